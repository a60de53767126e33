"""Deletions as items of table Logs, each twice (docs/formats.md#deletions).

Beside where the head was, at sk=deleted/{rest of the id}/{ms}, of kind app at sk=deleted/{ms}; and by time, at
pk={project}/deleted/{yyyymm}, sk={ms}/{log_id}. No kind of log is called deleted, so these are never keys of logs.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from logkeep.aws.dynamo import delete, encode, query, update
from logkeep.logid import LogId
from logkeep.logs.deletion import Deletion
from logkeep.logs.items import head_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_NEW: Final = "attribute_not_exists(pk)"


class Deletions:
    """The deletions of one project."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, project: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._project = project

    def of_log(self, log_id: LogId) -> Iterator[Deletion]:
        """The deletions of the logs that had an id, newest first."""
        key = self._folder(log_id)
        return self._found(key["pk"], f"{key['sk']}/", f"{key['sk']}/~", ScanIndexForward=False)

    def newest(self, log_id: LogId) -> Deletion | None:
        return next(self.of_log(log_id), None)

    def of_owner(self, owner: str) -> Iterator[Deletion]:
        """The deletions of all logs of an owner such as `cluster/{cluster_id}`."""
        return self._found(f"{self._project}/{owner}", "deleted/", "deleted/~")

    def between(self, since: int, until: int, after: str) -> Iterator[tuple[str, Deletion]]:
        """The deletions of [since, until) in epoch milliseconds, oldest first, each with its place.

        Those up to the place `after` are left out.
        """
        last = _month(until - 1)
        month = _month(max(since, int(after.partition("/")[0] or 0)))
        while month <= last:
            for each in self._found(f"{self._project}/deleted/{month}", f"{since:013d}", f"{until - 1:013d}/~"):
                place = _place(each)
                if place > after:
                    yield place, each
            month += 89 if month % 100 == 12 else 1

    def puts(self, deletion: Deletion) -> list[TransactWriteItemTypeDef]:
        """The writes of a deletion, for the transaction that removes the log's head."""
        return [
            {"Put": {"TableName": self._table, "Item": encode(key | deletion.item()), "ConditionExpression": _NEW}}
            for key in self._keys(deletion)
        ]

    def note(self, deletion: Deletion, name: str, value: int) -> None:
        """Note a number of a deletion, unless it is noted."""
        for key in self._keys(deletion):
            update(
                self._dynamodb,
                TableName=self._table,
                Key=encode(key),
                UpdateExpression="SET #name = if_not_exists(#name, :value)",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeNames={"#name": name},
                ExpressionAttributeValues=encode({":value": value}),
            )

    def forget(self, deletion: Deletion) -> None:
        """Remove a deletion: last where its log is looked for, so that a call that is repeated finds it."""
        for key in reversed(self._keys(deletion)):
            delete(self._dynamodb, TableName=self._table, Key=encode(key))

    def _keys(self, deletion: Deletion) -> tuple[dict[str, str], dict[str, str]]:
        folder = self._folder(deletion.log_id)
        month = f"{self._project}/deleted/{_month(deletion.at)}"
        return folder | {"sk": f"{folder['sk']}/{deletion.at:013d}"}, {"pk": month, "sk": _place(deletion)}

    def _folder(self, log_id: LogId) -> dict[str, str]:
        key = head_key(self._project, log_id)
        return key | {"sk": f"deleted{key['sk'].removeprefix('head')}"}

    def _found(self, pk: str, first: str, last: str, **options: Any) -> Iterator[Deletion]:
        items = query(
            self._dynamodb,
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues=encode({":pk": pk, ":first": first, ":last": last}),
            **options,
        )
        return map(Deletion.of_item, items)


def _month(time: int) -> int:
    date = datetime.fromtimestamp(time / 1000, UTC)
    return date.year * 100 + date.month


def _place(deletion: Deletion) -> str:
    return f"{deletion.at:013d}/{deletion.log_id}"
