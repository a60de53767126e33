"""Items of table Logs that name the projects: pk=projects, sk={project}."""

from __future__ import annotations

from typing import TYPE_CHECKING

from logkeep.aws.dynamo import encode, put

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def note_project(dynamodb: DynamoDBClient, table: str, project: str) -> None:
    """Write the item of a project, which may be there."""
    put(dynamodb, TableName=table, Item=encode({"pk": "projects", "sk": project}))
