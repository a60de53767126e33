"""The calendar of a project's logs: the removal of what packs have replaced, and the end of logs.

Every step can be repeated: objects go first, then their rows, then the item that ordered it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from typing import Any, Final

from logkeep.aws.dynamo import decode, delete, encode, get_all, put, query, update, write_all
from logkeep.aws.partition import where
from logkeep.clock import DAY
from logkeep.logid import LogId
from logkeep.logs.activity import SHARDS, day_of
from logkeep.logs.activity_store import day_key
from logkeep.logs.calendar import CleanUp, Due, LogDue, Refiling, Step, due_key, due_of
from logkeep.logs.deletion import Deletion, Why
from logkeep.logs.deletion_store import Deleting
from logkeep.logs.head import Head
from logkeep.logs.items import head_key, head_of, objects_prefix, sort_key
from logkeep.logs.listing import Selection
from logkeep.logs.listing_store import heads_by_id
from logkeep.logs.packs import DUE_SEALED
from logkeep.logs.retention import GOING
from logkeep.logs.retention_store import new_refiling
from logkeep.logs.store import LogStore, log_store

_LOOKED_BACK: Final = 60  # days, if the schedule was not called for long
_REFILED_AT_ONCE: Final = 1000  # logs between two notes of how far it came


class Tending:
    """What is due with one project's logs."""

    def __init__(self, logs: LogStore) -> None:
        self._logs = logs

    def due(self, now: int) -> Iterator[Due]:
        """What is due by now (epoch ms), a shard after the other, the oldest first."""
        tomorrow = str(day_of(now + DAY))
        for shard in range(SHARDS):
            items = query(
                self._logs.dynamodb,
                TableName=self._logs.table,
                KeyConditionExpression="pk = :pk AND sk < :tomorrow",
                ExpressionAttributeValues=encode({":pk": due_key(self._logs.project, shard), ":tomorrow": tomorrow}),
            )
            for item in items:
                found = due_of(item)
                if found.at <= now:
                    yield found

    def silent(self, now: int) -> Iterator[Head]:
        """Logs to be packed because they fell silent by now (epoch ms): a day ago with some text, 30 days ago with any.

        They are filed for the day on which they expire. A shard of a day is looked at once, when its last log has been
        taken from here.
        """
        last = now // DAY - 2  # the day before yesterday, in days
        done = self._note()
        begin, shard = (done["day"], done["shard"] + 1) if done else (last, 0)
        is_behind = begin < last - _LOOKED_BACK
        if is_behind:
            begin, shard = last - _LOOKED_BACK, 0
        if done and (is_behind or done.get("default") != self._logs.expiry.retention.default):
            self._put(new_refiling())
            self._set_note(begin, shard - 1)
        for day in range(begin, last + 1):
            for each in range(shard, SHARDS):
                for head in self._silent_since(day, each):
                    self.file(head)
                    if head.unpacked.fragments >= DUE_SEALED:
                        yield head
                yield from (head for head in self._silent_since(day - 29, each) if head.unpacked.fragments)
                self._set_note(day, each)
            shard = 0

    def _silent_since(self, day: int, shard: int) -> Iterator[Head]:
        """Logs whose last text came on a day."""
        date = day_of(day * DAY)
        rows = query(
            self._logs.dynamodb,
            TableName=self._logs.table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues=encode({":pk": day_key(self._logs.project, date, shard)}),
        )
        keys = (encode(head_key(self._logs.project, LogId.parse(row["sk"]))) for row in rows)
        for head in map(head_of, get_all(self._logs.dynamodb, self._logs.table, keys)):
            if head.day == date:
                yield head

    def _note(self) -> dict[str, Any] | None:
        """The last day and shard that was looked at for silent logs, and the stack's retention then."""
        found = self._logs.dynamodb.get_item(
            TableName=self._logs.table, Key=encode(self._note_key()), ConsistentRead=True
        ).get("Item")
        return found and decode(found)

    def _set_note(self, day: int, shard: int) -> None:
        item = self._note_key() | {"day": day, "shard": shard, "default": self._logs.expiry.retention.default}
        put(self._logs.dynamodb, TableName=self._logs.table, Item=encode(item))

    def _note_key(self) -> dict[str, Any]:
        return {"pk": f"{self._logs.project}/due", "sk": "silent"}

    # The end of a log

    def file(self, head: Head) -> None:
        """Have it looked, on the day on which a log expires, whether it has."""
        at = self._logs.expiry.retention.expires_at(head)
        if at is not None:
            self._put(LogDue(step=Step.EXPIRE, log_id=head.log_id, birth=head.birth, at=at))

    def refile(self, due: Refiling, now: int, is_late: Callable[[], bool]) -> None:
        """File all logs anew by the settings of now (epoch ms). If time runs out, the next call continues."""
        logs, retention, marker = self._logs, self._logs.expiry.read(), due.marker
        key = {"TableName": logs.table, "Key": encode(self._key(due))} | where({"round": due.round})
        with suppress(logs.dynamodb.exceptions.ConditionalCheckFailedException):  # the settings changed again
            while True:
                low, high = Selection().ids(marker) or ("", "")
                heads, reached = heads_by_id(logs, low, high, _REFILED_AT_ONCE)
                expiring = ((head, retention.expires_at(head)) for head in heads)
                filed = (
                    LogDue(step=Step.EXPIRE, log_id=head.log_id, birth=head.birth, at=max(at, now))
                    for head, at in expiring
                    if at is not None
                )
                puts = ({"PutRequest": {"Item": encode(each.item(logs.project))}} for each in filed)
                write_all(logs.dynamodb, logs.table, puts)
                if reached is None:
                    delete(logs.dynamodb, **key)
                    return
                marker = reached
                self._move(key, marker)
                if is_late():
                    return

    def _move(self, key: dict[str, Any], marker: str) -> None:
        """Note how far all logs were filed."""
        names = {"#marker": "marker"} | key["ExpressionAttributeNames"]
        values = encode({":marker": marker}) | key["ExpressionAttributeValues"]
        change = {"UpdateExpression": "SET #marker = :marker"}
        named = {"ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
        update(self._logs.dynamodb, **key | change | named)

    def expire(self, due: LogDue, now: int) -> None:
        """Let a log go after some days if it has expired by now (epoch ms), or look again when it will have."""
        head, at = self._expiring(due)
        following = None
        if head and at is not None:
            step, at = (Step.EXPIRE, at) if at > now else (Step.GO, now + GOING)
            following = LogDue(step=step, log_id=due.log_id, birth=due.birth, at=at)
            self._put(following)
        self.end(due, following)

    def let_go(self, due: LogDue, now: int) -> None:
        """Delete a log that has expired by now (epoch ms), if for some days nobody has changed that."""
        head, at = self._expiring(due)
        if head and at is not None:
            if at > now:
                self.file(head)
            elif (since := max(at, self._logs.expiry.read().set_at) + GOING) > now:
                self.put_off(due, since)
                return
            elif Deleting(self._logs).try_delete(head, "", Why.RETENTION) is None:
                return  # it was written, so it is looked at again
        self.end(due)

    def remove(self, due: LogDue) -> None:
        """Remove what is left of a log that was deleted."""
        Deleting(self._logs).remove(due)
        self.end(due)

    def deletion(self, due: LogDue) -> Deletion | None:
        """The deletion that a step is about."""
        return Deleting(self._logs).deletion_of(due)

    def forget(self, due: LogDue, deletion: Deletion | None) -> None:
        """Remove what is known of a deletion."""
        if deletion:
            self._logs.deletions.forget(deletion)
        self.end(due)

    def put_off(self, due: LogDue, at: int) -> None:
        """Do a step later (epoch ms)."""
        following = replace(due, at=at)
        self._put(following)
        self.end(due, following)

    def end(self, due: Due, following: Due | None = None) -> None:
        """Take what is done from the calendar, unless what follows has its place there."""
        key = self._key(due)
        if following is None or self._key(following) != key:
            delete(self._logs.dynamodb, TableName=self._logs.table, Key=encode(key))

    def _key(self, due: Due) -> dict[str, str]:
        item = due.item(self._logs.project)
        return {"pk": item["pk"], "sk": item["sk"]}

    def _expiring(self, due: LogDue) -> tuple[Head | None, int | None]:
        """The log that was filed, and when it expires; None if it does not exist any more, or does not expire."""
        head = self._logs.find(due.log_id)
        if head is None or head.birth != due.birth:
            return None, None
        return head, self._logs.expiry.read().expires_at(head)

    def _put(self, due: Due) -> None:
        put(self._logs.dynamodb, TableName=self._logs.table, Item=encode(due.item(self._logs.project)))

    # What packs have replaced

    def clean(self, order: CleanUp) -> None:
        """Remove the fragments that a pack has replaced, and what killed packers left there."""
        head = self._logs.find(order.log_id)
        # What was deleted is removed as a whole. What is not in packs is never removed.
        if head and head.birth == order.birth and head.mark.raw >= order.end:
            self._remove_objects(head, order)
            self._logs.remove_rows(head, sort_key(order.begin), sort_key(order.end - 1))
        self.end(order)

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
