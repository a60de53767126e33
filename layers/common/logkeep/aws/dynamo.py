"""DynamoDB items as plain dicts, and writes that are retried when that is safe."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from logkeep.aws.refusals import TRANSIENT, codes_of
from logkeep.errors import Busy

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef, TransactWriteItemTypeDef

_GOT_AT_ONCE: Final = 100  # the most that BatchGetItem takes
_WRITTEN_AT_ONCE: Final = 25  # the most that BatchWriteItem takes
_ATTEMPTS: Final = 10
_SECONDS: Final = 8.0  # after which none begins: one that AWS throttles takes up to 7 s, and an HTTP API gives up at 30
_serialize: Final = TypeSerializer().serialize
_deserialize: Final = TypeDeserializer().deserialize


def attempts() -> Iterator[int]:
    """The numbers of ten attempts against other writers, or of those that begin within 8 s.

    There is a growing random pause before each but the first.
    """
    until = time.monotonic() + _SECONDS
    for number in range(_ATTEMPTS):
        if number:
            if time.monotonic() > until:
                return
            time.sleep(random.uniform(0, min(0.8, 0.02 * 2**number)))  # noqa: S311 - jitter, no secret
        yield number


def encode(values: Mapping[str, Any]) -> dict[str, Any]:
    """A plain dict in DynamoDB's typed form, without the names whose value is None."""
    return {name: _serialize(value) for name, value in values.items() if value is not None}


def decode(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as a plain dict: numbers are ints, binary values are bytes."""
    return {name: _plain(_deserialize(value)) for name, value in item.items()}


def query(client: DynamoDBClient, **request: Any) -> Iterator[dict[str, Any]]:
    """The items that a strongly consistent query finds, fetched page by page as they are consumed."""
    arguments: QueryInputTypeDef = {"ConsistentRead": True, **request}  # type: ignore[typeddict-item]  # caller's keys
    while True:
        page = client.query(**arguments)
        yield from map(decode, page["Items"])
        if "LastEvaluatedKey" not in page:
            return
        arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def get_all(client: DynamoDBClient, table: str, keys: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The items with these encoded keys that there are, in any order. Raises Busy if the table leaves some out."""
    for batch in batched(keys, _GOT_AT_ONCE, strict=False):
        left: Any = list(batch)
        pauses = attempts()
        while left:
            if next(pauses, None) is None:
                raise Busy("storage is busy", retry_after=1)
            answer = client.batch_get_item(RequestItems={table: {"Keys": left, "ConsistentRead": True}})
            yield from map(decode, answer["Responses"].get(table, []))
            unread = answer["UnprocessedKeys"].get(table)
            left = unread["Keys"] if unread else []


def write_all(client: DynamoDBClient, table: str, requests: Iterable[Mapping[str, Any]]) -> None:
    """Put or delete items, without conditions, in any order. Raises Busy if the table leaves some out."""
    for batch in batched(requests, _WRITTEN_AT_ONCE, strict=False):
        left: Any = {table: list(batch)}
        pauses = attempts()
        while left:
            if next(pauses, None) is None:
                raise Busy("storage is busy", retry_after=1)
            left = client.batch_write_item(RequestItems=left)["UnprocessedItems"]


def put(client: DynamoDBClient, **request: Any) -> None:
    """Put an item. Raises Busy if other writers stay in the way, ConditionalCheckFailedException as boto3 does."""
    _write(client.put_item, request)


def update(client: DynamoDBClient, **request: Any) -> None:
    """Update an item, with the errors of put()."""
    _write(client.update_item, request)


def delete(client: DynamoDBClient, **request: Any) -> None:
    """Delete an item, with the errors of put()."""
    _write(client.delete_item, request)


def _write(call: Callable[..., object], request: Mapping[str, Any]) -> None:
    """Call until no transaction is in the way, which a write of a single item meets, too: botocore does not retry.

    A write whose answer was lost is sent again, too. If it has a condition, that may fail then by what the write itself
    has changed. Where it matters whether the condition held, use transact(), which AWS recognises by its token.
    """
    for _ in attempts():
        try:
            call(**request)
        except ClientError as error:
            if not codes_of(error) & TRANSIENT:
                raise
        else:
            return
    raise Busy("too many writers at once", retry_after=1)


@dataclass(frozen=True, slots=True)
class Transaction:
    """The result of a transaction: all items were written, or some were refused and none was written."""

    refused: frozenset[int] = frozenset()  # indexes of the items whose condition failed


def transact(client: DynamoDBClient, items: Sequence[TransactWriteItemTypeDef]) -> Transaction:
    """Write all items or none.

    Retries when another transaction is in the way, which botocore does not; raises Busy when no attempt is left.
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
            if not codes_of(error) & TRANSIENT:
                raise
            # A cancelled transaction is over. One in progress is ours: only the same token gives its result.
            if codes:
                token = uuid.uuid4().hex
        else:
            return Transaction()
    raise Busy("too many writers at once", retry_after=1)


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return int(value)
        case Binary():
            return bytes(value.value)  # type: ignore[attr-defined]  # the stubs lack it
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list():
            return [*map(_plain, value)]
        case _:
            return value
