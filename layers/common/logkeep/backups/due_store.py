"""Due items: items of the table Backups with a time at which the schedule has to look at them.

They carry `due_shard` and `due_at` (epoch milliseconds), the keys of the index by_due. Writes are spread over shards,
because a partition of an index takes at most 1000 write units a second.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from logkeep.aws import clients
from logkeep.aws.dynamo import encode, query
from logkeep.aws.partition import Partition
from logkeep.settings import settings

BY_DUE: Final = "by_due"  # keys-only index: due_shard, due_at
DUE_SHARDS: Final = 4


class Due(NamedTuple):
    """Where a due item is, and when it is due (epoch milliseconds)."""

    project: str
    cluster: str
    name: str  # its sort key
    at: int


def due_shard(items: Partition) -> str:
    """The shard of everything due of one cluster."""
    return f"due/{zlib.crc32(items.pk.encode()) % DUE_SHARDS}"


def due_put(items: Partition, name: str, at: int, fields: Mapping[str, Any]) -> Any:
    """A put of an item that is due at a time (epoch milliseconds)."""
    return items.put_of(name, {"due_shard": due_shard(items), "due_at": at, **fields})


def due_items(now: int) -> list[Due]:
    """Every item that is due at `now` (epoch milliseconds), the longest due first."""
    found = (each for shard in range(DUE_SHARDS) for each in items_of(f"due/{shard}", now))
    return sorted(found, key=lambda each: each.at)


def items_of(shard: str, until: int) -> Iterator[Due]:
    """The items of a shard that are due at a time (epoch milliseconds), the longest due first."""
    for key in query(
        clients.dynamodb(),
        TableName=settings().backups_table,
        IndexName=BY_DUE,
        ConsistentRead=False,
        KeyConditionExpression="due_shard = :shard AND due_at <= :until",
        ExpressionAttributeValues=encode({":shard": shard, ":until": until}),
    ):
        project, _, cluster = key["pk"].partition("/")
        yield Due(project, cluster, key["sk"], key["due_at"])
