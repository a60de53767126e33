"""Backup records in DynamoDB: table Backups, pk={project}/{cluster}, sk=cluster or record/{created_at:013d}/{id}."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from logkeep.aws import clients
from logkeep.aws.dynamo import decode, encode, query
from logkeep.backups import BackupRecord, RecordPage, RecordQuery, Status, page_of
from logkeep.errors import ClusterNotFound, NotEnabled
from logkeep.files import LogSource
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class BackupStore:
    """The backups of one project's cluster."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, project: str, cluster: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._cluster = cluster
        self._pk = f"{project}/{cluster}"

    def enable(self) -> None:
        """Note that backup of the cluster's logs was switched on once."""
        self._put({"sk": "cluster", "enabled": True})

    def put(self, record: BackupRecord) -> None:
        self._put({"sk": f"record/{record.created_at:013d}/{record.id}"} | asdict(record))

    def page(self, wanted: RecordQuery, logs: LogSource) -> RecordPage:
        """Raise ClusterNotFound for an unknown cluster, NotEnabled for one that was never backed up.

        A cluster comes into being by its first log, or by enabling its backup.
        """
        cluster = self._dynamodb.get_item(
            TableName=self._table, Key=encode({"pk": self._pk, "sk": "cluster"}), ConsistentRead=True
        ).get("Item")
        if cluster is None and next(logs.heads(f"cluster/{self._cluster}"), None) is None:
            raise ClusterNotFound(self._cluster)
        if cluster is None or not decode(cluster).get("enabled"):
            raise NotEnabled("log backup was never enabled for the cluster")
        return page_of(self._records(), wanted, time.time_ns() // 1_000_000)

    def _records(self) -> Iterator[BackupRecord]:
        items = query(
            self._dynamodb,
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :record)",
            ExpressionAttributeValues=encode({":pk": self._pk, ":record": "record/"}),
            ScanIndexForward=False,
        )
        return (_record_of(item) for item in items)

    def _put(self, item: dict[str, Any]) -> None:
        self._dynamodb.put_item(TableName=self._table, Item=encode({"pk": self._pk, **item}))


def backup_store(project: str, cluster: str) -> BackupStore:
    return BackupStore(clients.dynamodb(), settings().backups_table, project, cluster)


def _record_of(item: dict[str, Any]) -> BackupRecord:
    fields = {name: value for name, value in item.items() if name not in {"pk", "sk"}}
    return BackupRecord(**fields | {"status": Status(item["status"])})
