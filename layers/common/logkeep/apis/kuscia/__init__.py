"""Kuscia's task log query."""
