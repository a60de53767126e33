"""Logkeep's own API of logs: append, seal, list (docs/write-a-log.md)."""
