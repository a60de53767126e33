"""Log backups and log search of CSS."""
