"""Logkeep's own API of logs."""
