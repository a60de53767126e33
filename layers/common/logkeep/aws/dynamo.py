"""DynamoDB items as plain dicts, and transactions that are retried where that is safe."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from logkeep.errors import Busy

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef, TransactWriteItemTypeDef

_ATTEMPTS: Final = 10
_serialize: Final = TypeSerializer().serialize
_deserialize: Final = TypeDeserializer().deserialize

# Another transaction held an item, or the table was out of capacity: the same call may succeed a moment later.
_PASSING: Final = {
    "TransactionConflict",
    "TransactionConflictException",
    "TransactionInProgressException",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
}


def attempts() -> Iterator[int]:
    """Numbers of tries against other writers, with a growing random pause between them."""
    for number in range(_ATTEMPTS):
        if number:
            time.sleep(random.uniform(0, min(0.8, 0.02 * 2**number)))  # noqa: S311 - jitter, no secret
        yield number


def encode(values: Mapping[str, Any]) -> dict[str, Any]:
    """A plain dict in DynamoDB's typed form; None is left out."""
    return {name: _serialize(value) for name, value in values.items() if value is not None}


def decode(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(_deserialize(value)) for name, value in item.items()}


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return int(value)
        case Binary():
            return bytes(value.value)  # type: ignore[attr-defined]  # the stubs lack it
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case _:
            return value


def query(client: DynamoDBClient, **request: Any) -> Iterator[dict[str, Any]]:
    """The items of a strongly consistent query, fetched a page at a time as they are consumed."""
    arguments: QueryInputTypeDef = {"ConsistentRead": True, **request}  # type: ignore[typeddict-item]  # caller's keys
    while True:
        page = client.query(**arguments)
        yield from map(decode, page["Items"])
        if "LastEvaluatedKey" not in page:
            return
        arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def update(client: DynamoDBClient, **request: Any) -> bool:
    """Update an item if its condition holds, and tell whether it did; Busy while transactions are in the way."""
    for _ in attempts():
        try:
            client.update_item(**request)
        except client.exceptions.ConditionalCheckFailedException:
            return False
        except ClientError as error:
            if error.response["Error"]["Code"] not in _PASSING:
                raise
        else:
            return True
    raise Busy("too many writers at once", retry_after=1)


@dataclass(frozen=True, slots=True)
class Transaction:
    """What became of a transaction: all items were written, or some were refused and none was written."""

    refused: frozenset[int] = frozenset()  # indexes of the items whose condition failed


def transact(client: DynamoDBClient, items: Sequence[TransactWriteItemTypeDef]) -> Transaction:
    """Write all items or none.

    Retries with jitter if another transaction holds an item, which botocore does not do. Raises Busy in the end.
    """
    token = uuid.uuid4().hex
    for _ in attempts():
        try:
            client.transact_write_items(TransactItems=items, ClientRequestToken=token)
        except ClientError as error:
            codes = [each.get("Code", "None") for each in error.response.get("CancellationReasons", [])]
            refused = frozenset(i for i, code in enumerate(codes) if code == "ConditionalCheckFailed")
            if refused:
                return Transaction(refused)
            if not ({*codes, error.response["Error"]["Code"]} & _PASSING):
                raise
            # A cancelled transaction is over. One in progress is ours, and only its token tells how it ends.
            if codes:
                token = uuid.uuid4().hex
        else:
            return Transaction()
    raise Busy("too many writers at once", retry_after=1)
