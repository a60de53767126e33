"""The calendar of a project's logs, and the removal of what packs have replaced.

Every step can be repeated: objects go first, then their rows, then the item that ordered it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Any, Final

from logkeep.aws.dynamo import decode, delete, encode, get_all, put, query
from logkeep.clock import DAY
from logkeep.logid import LogId
from logkeep.logs.activity import SHARDS, day_of
from logkeep.logs.activity_store import day_key
from logkeep.logs.calendar import CleanUp, due_key
from logkeep.logs.head import Head
from logkeep.logs.items import head_key, head_of, objects_prefix, sort_key
from logkeep.logs.packs import DUE_SEALED
from logkeep.logs.store import LogStore, log_store

_LOOKED_BACK: Final = 60  # days, if the schedule was not called for long


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

    def silent(self, now: int) -> Iterator[Head]:
        """Logs to be packed because they fell silent by now (epoch ms): a day ago with some text, 30 days ago with any.

        A shard of a day is looked at once, when its last log has been taken from here.
        """
        last = now // DAY - 2  # the day before yesterday, in days
        done = self._note()
        begin, shard = (last, 0) if done is None else (done[0], done[1] + 1)
        if begin < last - _LOOKED_BACK:
            begin, shard = last - _LOOKED_BACK, 0
        for day in range(begin, last + 1):
            for each in range(shard, SHARDS):
                yield from self._silent_since(day, each, DUE_SEALED)
                yield from self._silent_since(day - 29, each, 1)
                self._set_note(day, each)
            shard = 0

    def _silent_since(self, day: int, shard: int, least: int) -> Iterator[Head]:
        """Logs whose last text came on a day, and that have so many fragments in no pack."""
        date = day_of(day * DAY)
        rows = query(
            self._logs.dynamodb,
            TableName=self._logs.table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues=encode({":pk": day_key(self._logs.project, date, shard)}),
        )
        keys = (encode(head_key(self._logs.project, LogId.parse(row["sk"]))) for row in rows)
        for head in map(head_of, get_all(self._logs.dynamodb, self._logs.table, keys)):
            if head.day == date and head.unpacked.fragments >= least:
                yield head

    def _note(self) -> tuple[int, int] | None:
        """The last day and shard that was looked at for silent logs."""
        found = self._logs.dynamodb.get_item(
            TableName=self._logs.table, Key=encode(self._note_key()), ConsistentRead=True
        ).get("Item")
        return None if found is None else (decode(found)["day"], decode(found)["shard"])

    def _set_note(self, day: int, shard: int) -> None:
        item = self._note_key() | {"day": day, "shard": shard}
        put(self._logs.dynamodb, TableName=self._logs.table, Item=encode(item))

    def _note_key(self) -> dict[str, Any]:
        return {"pk": f"{self._logs.project}/due", "sk": "silent"}

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
