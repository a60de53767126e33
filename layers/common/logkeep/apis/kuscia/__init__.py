"""Kuscia: the task log API, POST /api/v1/log/task/query (docs/apis.md#kuscia)."""
