"""Which projects have logs: pk=projects, sk={project} in table Logs (docs/formats.md#projects)."""

from __future__ import annotations

from collections.abc import Iterator

from logkeep.aws import clients
from logkeep.aws.dynamo import encode, query
from logkeep.settings import settings


def projects() -> Iterator[str]:
    """The projects of this deployment, in order."""
    items = query(
        clients.dynamodb(),
        TableName=settings().logs_table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues=encode({":pk": "projects"}),
    )
    return (item["sk"] for item in items)
