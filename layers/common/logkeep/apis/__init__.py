"""The published APIs, a folder each, and our own. May import every other room."""
