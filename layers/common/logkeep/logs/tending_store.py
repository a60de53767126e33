"""The calendar of a project's logs, and the removal of what packs have replaced.

Every step can be repeated: objects go first, then their rows, then the item that ordered it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from logkeep.aws.dynamo import delete, encode, query
from logkeep.clock import DAY
from logkeep.logs.activity import SHARDS, day_of
from logkeep.logs.calendar import CleanUp, due_key
from logkeep.logs.head import Head
from logkeep.logs.items import objects_prefix, sort_key
from logkeep.logs.store import LogStore, log_store


class Tending:
    """What is due with one project's logs."""

    def __init__(self, logs: LogStore) -> None:
        self._logs = logs

    def due(self, now: int) -> Iterator[CleanUp]:
        """What is to be cleaned up by now (epoch ms), a shard after the other, the oldest first."""
        tomorrow = str(day_of(now + DAY))
        for shard in range(SHARDS):
            items = query(
                self._logs.dynamodb,
                TableName=self._logs.table,
                KeyConditionExpression="pk = :pk AND sk < :tomorrow",
                ExpressionAttributeValues=encode({":pk": due_key(self._logs.project, shard), ":tomorrow": tomorrow}),
            )
            for item in items:
                found = CleanUp.of(item)
                if found and found.at <= now:
                    yield found

    def clean(self, order: CleanUp) -> None:
        """Remove the fragments that a pack has replaced, and what killed packers left there."""
        head = self._logs.find(order.log_id)
        # What was deleted is removed as a whole. What is not in packs is never removed.
        if head and head.birth == order.birth and head.mark.raw >= order.end:
            self._remove_objects(head, order)
            self._logs.remove_rows(head, sort_key(order.begin), sort_key(order.end - 1))
        item = order.item(self._logs.project)
        key = encode({"pk": item["pk"], "sk": item["sk"]})
        delete(self._logs.dynamodb, TableName=self._logs.table, Key=key)

    def _remove_objects(self, head: Head, order: CleanUp) -> None:
        """Remove the objects of these offsets but packs that are in use.

        No append or packer can still need another one: what they would write begins at the log's end, or its mark.
        """
        used = {pack.key for pack in self._logs.packs(head, order.begin, order.end)}
        prefix, bucket = objects_prefix(self._logs.project, head), self._logs.bucket
        pages = bucket.s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket.name, Prefix=prefix, StartAfter=f"{prefix}{order.begin:016d}"
        )
        keys = (each["Key"] for page in pages for each in page.get("Contents", []))
        there = takewhile(lambda key: key < f"{prefix}{order.end:016d}", keys)
        bucket.delete_all(key for key in there if key not in used)


def tending(project: str) -> Tending:
    return Tending(log_store(project))
