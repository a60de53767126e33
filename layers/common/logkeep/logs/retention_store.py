"""A project's retention in table Logs: pk={project}/settings, sk=retention (docs/formats.md#retention)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from logkeep.aws.dynamo import encode, query, transact, update
from logkeep.clock import now_ms
from logkeep.logs.calendar import Refiling
from logkeep.logs.head import Head
from logkeep.logs.retention import Days, Retention, may_have_expired
from logkeep.settings import settings as stack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Expiry:
    """Whether logs of one project have expired. The settings are read when they are first needed, and then kept."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, project: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._project = project

    @cached_property
    def retention(self) -> Retention:
        return self.read()

    def read(self) -> Retention:
        """The settings as they are now."""
        # A query, since some readers may do nothing else.
        found = query(
            self._dynamodb,
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk = :sk",
            ExpressionAttributeValues=encode({f":{name}": value for name, value in self._key().items()}),
        )
        return retention_of(next(found, {}))

    def set(self, kinds: Mapping[str, Days], prefixes: Mapping[str, Days]) -> None:
        """Set the days of kinds and prefixes, and have all logs filed anew. What was paused continues."""
        fields = {"kinds": dict(kinds), "prefixes": dict(prefixes), "set_at": now_ms()}
        items: list[dict[str, Any]] = [{**self._key(), **fields}, new_refiling().item(self._project)]
        transact(self._dynamodb, [{"Put": {"TableName": self._table, "Item": encode(item)}} for item in items])

    def pause(self) -> None:
        """Let nothing expire until set() is called."""
        update(
            self._dynamodb,
            TableName=self._table,
            Key=encode(self._key()),
            UpdateExpression="SET paused = :paused, set_at = :now",
            ExpressionAttributeValues=encode({":paused": True, ":now": now_ms()}),
        )

    def _key(self) -> dict[str, str]:
        return {"pk": f"{self._project}/settings", "sk": "retention"}

    def has_come(self, head: Head) -> bool:
        """Whether a log has expired. Nothing is read for one that was written within a day."""
        now = now_ms()
        return may_have_expired(head, now) and self.retention.has_expired(head, now)


def new_refiling() -> Refiling:
    """An order to file all logs anew, now."""
    return Refiling(round=uuid.uuid4().hex, marker="", at=now_ms())


def retention_of(item: dict[str, Any]) -> Retention:
    return Retention(
        default=stack().log_retention_days,
        kinds=item.get("kinds", {}),
        prefixes=item.get("prefixes", {}),
        paused=item.get("paused", False),
        set_at=item.get("set_at", 0),
    )
