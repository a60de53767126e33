"""Deleting logs: the head goes in one transaction, which files what is left to be removed (docs/retention.md).

Every step can be repeated. What belongs to a log bears its birth, so that nothing of a later log of that name goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from logkeep.aws.dynamo import attempts, encode, get_all, put, query, transact
from logkeep.clock import now_ms
from logkeep.errors import Busy, Conflict, LogNotFound
from logkeep.logid import LogId
from logkeep.logs.activity import days, shard_of, span_of
from logkeep.logs.activity_store import ODD, day_key
from logkeep.logs.calendar import LogDue, Step
from logkeep.logs.deletion import KEPT, REMOVED_AFTER, Deletion, Why
from logkeep.logs.head import Head
from logkeep.logs.items import head_of, objects_prefix
from logkeep.logs.store import LogStore, log_store

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef


class Deleting:
    """Deletes the logs of one project."""

    def __init__(self, logs: LogStore) -> None:
        self._logs = logs

    def delete(self, log_id: LogId, by: str) -> Deletion:
        """Delete a log, at the request of a credential; also one that has expired. If it is deleted, how it was.

        Raises LogNotFound, Conflict if it is held, or Busy.
        """
        for _ in attempts():
            head = self._logs.find(log_id)
            if head is None:
                if found := self._logs.deletions.newest(log_id):
                    return found
                raise LogNotFound(f"no log {log_id}")
            if head.hold:
                raise Conflict(f"{log_id} is held")
            if deletion := self.try_delete(head, by, Why.REQUEST):
                return deletion
        raise Busy("too many writers change this log at once", retry_after=1)

    def try_delete(
        self, head: Head, by: str, why: Why, also: Iterable[TransactWriteItemTypeDef] = ()
    ) -> Deletion | None:
        """Delete a log that is not held; None if it was written since its head was read.

        `also` is written in the same transaction.
        """
        logs, now = self._logs, now_ms()
        deletion = Deletion.of(head, by, why, now)
        removal = LogDue(step=Step.REMOVE, log_id=head.log_id, birth=head.birth, at=now + REMOVED_AFTER)
        writes: list[TransactWriteItemTypeDef] = [
            {"Delete": logs.delete_of_head(head)},
            *logs.deletions.puts(deletion),
            {"Put": {"TableName": logs.table, "Item": encode(removal.item(logs.project))}},
            *also,
        ]
        return None if transact(logs.dynamodb, writes).refused else deletion

    def remove(self, due: LogDue) -> None:
        """Remove what a deleted log has left: objects, rows, activity, registration. No reader may need it any more."""
        deletion = self.deletion_of(due)
        if deletion is None or self._has_head(due):
            return  # a table that was restored from before the deletion has it again
        self._remove_objects(deletion)
        self._remove_activity(deletion)
        self._remove_registration(deletion)
        self._logs.remove_rows(deletion)
        now = now_ms()
        self._logs.deletions.note(deletion, "removed_at", now)
        forgetting = LogDue(step=Step.FORGET, log_id=due.log_id, birth=due.birth, at=deletion.at + KEPT)
        put(self._logs.dynamodb, TableName=self._logs.table, Item=encode(forgetting.item(self._logs.project)))

    def deletion_of(self, due: LogDue) -> Deletion | None:
        """The deletion of a log that was filed."""
        return next((each for each in self._logs.deletions.of_log(due.log_id) if each.birth == due.birth), None)

    def _has_head(self, due: LogDue) -> bool:
        head = self._logs.find(due.log_id)
        return head is not None and head.birth == due.birth

    def _remove_objects(self, deletion: Deletion) -> None:
        bucket = self._logs.bucket
        prefix = objects_prefix(self._logs.project, deletion)

        def keys() -> Iterator[str]:
            pages = bucket.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=prefix)
            return (each["Key"] for page in pages for each in page.get("Contents", []))

        self._logs.deletions.note(deletion, "objects", sum(1 for _ in keys()))
        bucket.delete_all(keys())

    def _remove_activity(self, deletion: Deletion) -> None:
        project, shard = self._logs.project, shard_of(deletion.log_id)
        partitions = [f"{project}/day/{ODD}"]
        if deletion.day is not None:
            until = span_of(deletion.day)[1] + 1
            partitions += (day_key(project, day, shard) for day in days(deletion.arrived, until, until))
        keys = (encode({"pk": pk, "sk": str(deletion.log_id)}) for pk in partitions)
        for item in get_all(self._logs.dynamodb, self._logs.table, keys):
            if item["birth"] == deletion.birth:
                self._delete({"pk": item["pk"], "sk": item["sk"]}, item["birth"])

    def _delete(self, key: dict[str, str], birth: str) -> None:
        """Remove an item, unless a log of another birth has written it meanwhile."""
        request: Any = {
            "TableName": self._logs.table,
            "Key": encode(key),
            "ConditionExpression": "birth = :birth",
            "ExpressionAttributeValues": encode({":birth": birth}),
        }
        transact(self._logs.dynamodb, [{"Delete": request}])

    def _remove_registration(self, deletion: Deletion) -> None:
        logs, log_id = self._logs, deletion.log_id
        if log_id.kind not in {"build", "check"}:
            return
        if next(self._heads(log_id.owner), None) is None:
            logs.registrations.remove(log_id.owner)
        head = next((each for each in self._heads(log_id.owner) if each.registration), None)
        # It came meanwhile, and may have found the registration that is removed now.
        registration = head and head.registration
        if head and registration and (writes := logs.registrations.puts(head.log_id, head.birth, registration)):
            transact(logs.dynamodb, writes)

    def _heads(self, owner: str) -> Iterator[Head]:
        """The logs of an owner, also those that have expired."""
        items = query(
            self._logs.dynamodb,
            TableName=self._logs.table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :head)",
            ExpressionAttributeValues=encode({":pk": f"{self._logs.project}/{owner}", ":head": "head/"}),
        )
        return map(head_of, items)


def deleting(project: str) -> Deleting:
    return Deleting(log_store(project))
