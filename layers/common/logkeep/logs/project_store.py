"""Which projects have logs: pk=projects, sk={project} in table Logs (docs/formats.md#projects)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from logkeep.aws import clients
from logkeep.aws.dynamo import encode, put, query
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def note_project(dynamodb: DynamoDBClient, table: str, project: str) -> None:
    """Write the item of a project, which may be there."""
    put(dynamodb, TableName=table, Item=encode({"pk": "projects", "sk": project}))


def projects() -> Iterator[str]:
    """The projects of this deployment, in order."""
    items = query(
        clients.dynamodb(),
        TableName=settings().logs_table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues=encode({":pk": "projects"}),
    )
    return (item["sk"] for item in items)
