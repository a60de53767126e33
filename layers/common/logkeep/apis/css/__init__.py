"""CSS: backups of cluster logs, and search in a log (docs/apis.md#css)."""
