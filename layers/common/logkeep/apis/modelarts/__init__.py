"""ModelArts: events of services (docs/apis.md#modelarts)."""
