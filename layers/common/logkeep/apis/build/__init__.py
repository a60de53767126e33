"""Build logs of CodeArts Build."""
