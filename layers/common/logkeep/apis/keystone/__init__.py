"""Keystone: the part of the identity API that the clients use (docs/apis.md#identity)."""
