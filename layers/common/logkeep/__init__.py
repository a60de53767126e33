"""Logkeep's shared layer: import what you need from the submodules."""
