"""Logkeep's shared layer. Import from its modules; this one is empty."""
