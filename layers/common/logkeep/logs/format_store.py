"""Item `format` of table Logs, which names the format of all others (docs/formats.md#table-logs).

Until version 1.0 there is no migration: a table of another format is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from logkeep.aws.dynamo import decode, encode, put
from logkeep.errors import WrongFormat

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FORMAT: Final = 3
_KEY: Final = {"pk": "format", "sk": "format"}


def claim_format(dynamodb: DynamoDBClient, table: str) -> None:
    """Write the item if there is none. Raises WrongFormat if it names another format."""
    try:
        put(
            dynamodb,
            TableName=table,
            Item=encode(_KEY | {"format": FORMAT}),
            ConditionExpression="attribute_not_exists(pk) OR #format = :format",
            ExpressionAttributeNames={"#format": "format"},
            ExpressionAttributeValues=encode({":format": FORMAT}),
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except dynamodb.exceptions.ConditionalCheckFailedException as error:
        found = decode(error.response["Item"])["format"]  # type: ignore[typeddict-item]  # as asked for
        raise _refusal(table, found) from error


def check_format(dynamodb: DynamoDBClient, table: str) -> None:
    """Raises WrongFormat if the table holds items of another format, or of a version before there was a format."""
    item = dynamodb.get_item(TableName=table, Key=encode(_KEY)).get("Item")
    if item is not None:
        if (found := decode(item)["format"]) != FORMAT:
            raise _refusal(table, found)
    elif dynamodb.scan(TableName=table, Limit=1)["Items"]:
        raise _refusal(table, "of an earlier version")


def _refusal(table: str, found: int | str) -> WrongFormat:
    return WrongFormat(
        f"table {table} has format {found}, and this version of Logkeep reads and writes {FORMAT}: "
        "deploy a new stack, or the version that wrote the table"
    )
