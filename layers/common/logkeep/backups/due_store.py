"""Due items: items of the table Backups with a time at which the schedule has to look at them.

They carry `due_shard` and `due_at` (epoch milliseconds), the keys of the index by_due. Writes are spread over shards,
because a partition of an index takes at most 1000 write units a second.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from logkeep.aws import clients
from logkeep.aws.dynamo import encode, query
from logkeep.aws.partition import Partition
from logkeep.settings import settings

BY_DUE: Final = "by_due"  # keys-only index: due_shard, due_at
DUE_SHARDS: Final = 4


def due_shard(items: Partition) -> str:
    """The shard of everything due of one cluster."""
    return f"due/{zlib.crc32(items.pk.encode()) % DUE_SHARDS}"


def due_put(items: Partition, name: str, at: int, fields: Mapping[str, Any]) -> Any:
    """A put of an item that is due at a time (epoch milliseconds)."""
    return items.put_of(name, {"due_shard": due_shard(items), "due_at": at, **fields})


def due_items(now: int) -> Iterator[tuple[str, str, str]]:
    """(project, cluster, sort key) of every item that is due at `now` (epoch milliseconds)."""
    for shard in range(DUE_SHARDS):
        for key in query(
            clients.dynamodb(),
            TableName=settings().backups_table,
            IndexName=BY_DUE,
            ConsistentRead=False,
            KeyConditionExpression="due_shard = :shard AND due_at <= :now",
            ExpressionAttributeValues=encode({":shard": f"due/{shard}", ":now": now}),
        ):
            project, _, cluster = key["pk"].partition("/")
            yield project, cluster, key["sk"]
