"""Logs of CodeArts Check."""
