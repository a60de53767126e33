"""The part of Keystone's identity API that the clients use."""
