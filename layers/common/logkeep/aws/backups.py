"""Backups of a cluster in DynamoDB, table Backups, pk={project}/{cluster}.

cluster holds settings, record/{created_at:013d}/{id} one backup each, active the lease of the one that runs. policy,
watch and active carry due_shard and due_at, by which the schedule finds what is due in the index by_due.
"""

from __future__ import annotations

import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from logkeep.aws import clients
from logkeep.aws.dynamo import decode, encode, query, transact
from logkeep.backup_settings import LogSettings, RealTimeLogCollectRecord
from logkeep.backups import BackupRecord, Cluster, RecordPage, RecordQuery, Status, page_of
from logkeep.errors import BackupRuns, ClusterNotFound, NotEnabled, RecordNotFound
from logkeep.files import LogSource
from logkeep.schedule import MISSED_AFTER, Period
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

BY_DUE: Final = "by_due"  # keys-only index: due_shard, due_at
DUE_SHARDS: Final = 4
QUEUED_FOR: Final = 120_000  # ms in which a worker must take what was started; then the schedule asks again


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's hold on a cluster's backup; every later write of the backup is conditional on the fence."""

    record: BackupRecord
    fence: int


class BackupStore:
    """The backups of one project's cluster."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, project: str, cluster: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._cluster = cluster
        self._pk = f"{project}/{cluster}"
        self._shard = f"due/{zlib.crc32(self._pk.encode()) % DUE_SHARDS}"

    # Settings

    def cluster(self, logs: LogSource) -> Cluster:
        """Raise ClusterNotFound for an unknown cluster: it comes into being by its first log, or by open."""
        item = self._get("cluster")
        if item is None and next(logs.heads(f"cluster/{self._cluster}"), None) is None:
            raise ClusterNotFound(self._cluster)
        return _cluster_of(self._cluster, item or {})

    def enabled(self, logs: LogSource) -> Cluster:
        """Raise NotEnabled besides, where backup is not switched on."""
        cluster = self.cluster(logs)
        if not cluster.log_switch:
            raise NotEnabled("log backup is not enabled for the cluster")
        return cluster

    def open(self, told: LogSettings, now: int) -> None:
        """Switch backup on, or change its settings; what is not told stays."""
        self._configure(told, now, {"enabled": True, "log_switch": True})

    def change(self, told: LogSettings, now: int) -> None:
        self._configure(told, now, {})

    def close(self, now: int) -> None:
        self._configure(LogSettings(auto_enable=False), now, {"log_switch": False})

    def collect_in_real_time(self, record: RealTimeLogCollectRecord | None) -> None:
        """Note the real-time collection, or that it ended."""
        self._update("cluster", {"real_time": record.model_dump() if record else None})

    def enable(self) -> None:
        """Note that backup of the cluster's logs was switched on once."""
        self._update("cluster", {"enabled": True, "log_switch": True})

    def _configure(self, told: LogSettings, now: int, more: Mapping[str, Any]) -> None:
        """One transaction, so that the schedule is never of other settings than those that are shown."""
        cluster = _cluster_of(self._cluster, self._get("cluster") or {})
        values: dict[str, Any] = {
            "agency": told.agency,
            "base_path": told.log_base_path,
            "auto_enable": told.auto_enable,
            "period": told.period,
            "keep_days": told.keep_days,
            "full_every": told.full_every,
            "services": told.services,
        }
        changes = {name: value for name, value in values.items() if value is not None}
        changes |= {**more, "updated_at": now, "settings_id": cluster.settings_id or str(uuid.uuid4())}
        period = told.period or cluster.period
        automatic = cluster.auto_enable if told.auto_enable is None else told.auto_enable
        items: list[TransactWriteItemTypeDef] = [{"Update": self._update_of("cluster", changes)}]
        if automatic and period:
            due = Period.parse(period).next_after(now)
            if not (cluster.auto_enable and cluster.period == period):
                items.append({"Put": self._due("policy", due, {"period": period})})
                items.append({"Put": self._due("watch", now + MISSED_AFTER, {})})
        else:
            items += [{"Delete": self._key_of(name)} for name in ("policy", "watch")]
        transact(self._dynamodb, items)

    # Records

    def put(self, record: BackupRecord) -> None:
        self._dynamodb.put_item(TableName=self._table, Item=encode(self._item(record)))

    def record(self, id: str) -> BackupRecord:
        """Raise RecordNotFound; records are few enough to be read through."""
        for each in self.records():
            if each.id == id:
                return each
        raise RecordNotFound(id)

    def page(self, wanted: RecordQuery, logs: LogSource) -> RecordPage:
        """Raise ClusterNotFound for an unknown cluster, NotEnabled for one that was never backed up."""
        if not self.cluster(logs).enabled:
            raise NotEnabled("log backup was never enabled for the cluster")
        return page_of(self.records(), wanted, _now())

    def records(self) -> Iterator[BackupRecord]:
        """Newest first."""
        items = query(
            self._dynamodb,
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :record)",
            ExpressionAttributeValues=encode({":pk": self._pk, ":record": "record/"}),
            ScanIndexForward=False,
        )
        return (_record_of(item) for item in items)

    def amend(self, record: BackupRecord, **fields: Any) -> None:
        """Note something on a record that ended."""
        self._update(_sort_key(record), fields)

    # Running, one at a time

    def start(self, record: BackupRecord, now: int) -> bool:
        """Make a record that runs; False if it was made before. Raise BackupRuns while another one runs."""
        begun = replace(record, lease_until=now + QUEUED_FOR)
        active = {"record": _sort_key(record), "fence": 0, "lease_until": now + QUEUED_FOR}
        puts: list[Any] = [
            {"TableName": self._table, "Item": encode(self._item(begun))},
            self._due("active", now + QUEUED_FOR, active),
        ]
        new = {"ConditionExpression": "attribute_not_exists(pk)"}
        there = transact(self._dynamodb, [{"Put": put | new} for put in puts])
        if 0 in there:
            return False
        if there:
            raise BackupRuns("")
        return True

    def claim(self, now: int, seconds: float) -> Lease | None:
        """Take the backup that runs, for so long; None if there is none, or another worker has it."""
        active = self._get("active")
        if active is None or (active["fence"] and active["lease_until"] > now):
            return None
        until, fence = now + int(seconds * 1000), active["fence"] + 1
        try:
            self._update(
                "active",
                {"fence": fence, "lease_until": until, "due_at": until},
                condition="fence = :seen",
                values={":seen": active["fence"]},
            )
        except ClientError as error:
            if _condition_failed(error):
                return None
            raise
        item = self._get(active["record"])
        return Lease(_record_of(item), fence) if item else None

    def release(self, lease: Lease, now: int) -> None:
        """Let the next worker go on; it is asked by message, or else by the schedule."""
        self._fenced(lease, {"lease_until": 0, "due_at": now + QUEUED_FOR})

    def finish(self, lease: Lease, record: BackupRecord, since_full: int | None) -> bool:
        """Write the end of a backup; False if another worker took it meanwhile. since_full is of a success."""
        mine = {
            "ConditionExpression": "fence = :fence",
            "ExpressionAttributeValues": encode({":fence": lease.fence}),
        }
        items: list[TransactWriteItemTypeDef] = [
            {"Delete": self._key_of("active") | mine},
            {"Put": {"TableName": self._table, "Item": encode(self._item(replace(record, lease_until=None)))}},
        ]
        if since_full is not None:
            last = {"last_record": record.id, "since_full": since_full}
            items.append({"Update": self._update_of("cluster", last)})
        if transact(self._dynamodb, items):
            return False
        if since_full is not None:
            self._watch_again(_now() + MISSED_AFTER)
        return True

    # Due

    def due_run(self) -> tuple[int, str] | None:
        """When the policy's next run is due, and its period."""
        item = self._get("policy")
        return (item["due_at"], item["period"]) if item else None

    def advance(self, due: int, following: int) -> bool:
        """Set the next run, if it is still the one that was due."""
        return self._move("policy", due, following)

    def due_watch(self) -> int | None:
        item = self._get("watch")
        return item["due_at"] if item else None

    def watch_next(self, due: int, following: int) -> bool:
        return self._move("watch", due, following)

    def _watch_again(self, at: int) -> None:
        try:
            self._update("watch", {"due_at": at}, condition="attribute_exists(pk)")
        except ClientError as error:
            if not _condition_failed(error):
                raise

    def _move(self, name: str, seen: int, following: int) -> bool:
        try:
            self._update(name, {"due_at": following}, condition="due_at = :seen", values={":seen": seen})
        except ClientError as error:
            if _condition_failed(error):
                return False
            raise
        return True

    # Items

    def _fenced(self, lease: Lease, fields: Mapping[str, Any]) -> bool:
        try:
            self._update("active", fields, condition="fence = :seen", values={":seen": lease.fence})
        except ClientError as error:
            if _condition_failed(error):
                return False
            raise
        return True

    def _get(self, name: str) -> dict[str, Any] | None:
        found = self._dynamodb.get_item(
            TableName=self._table, Key=encode({"pk": self._pk, "sk": name}), ConsistentRead=True
        )
        return decode(found["Item"]) if "Item" in found else None

    def _update(
        self, name: str, fields: Mapping[str, Any], *, condition: str = "", values: Mapping[str, Any] | None = None
    ) -> None:
        update = self._update_of(name, fields)
        if condition:
            update["ConditionExpression"] = condition
            update["ExpressionAttributeValues"] |= encode(values or {})
        self._dynamodb.update_item(**update)

    def _update_of(self, name: str, fields: Mapping[str, Any]) -> Any:
        """SET what has a value, REMOVE what has none."""
        names = {f"#{index}": field for index, field in enumerate(fields)}
        sets = [f"{ref} = :{ref[1:]}" for ref, field in names.items() if fields[field] is not None]
        removes = [ref for ref, field in names.items() if fields[field] is None]
        expression = (f"SET {', '.join(sets)} " if sets else "") + (f"REMOVE {', '.join(removes)}" if removes else "")
        return {
            **self._key_of(name),
            "UpdateExpression": expression,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": encode({f":{ref[1:]}": fields[field] for ref, field in names.items()}),
        }

    def _key_of(self, name: str) -> Any:
        return {"TableName": self._table, "Key": encode({"pk": self._pk, "sk": name})}

    def _due(self, name: str, at: int, fields: Mapping[str, Any]) -> Any:
        item = {"pk": self._pk, "sk": name, "due_shard": self._shard, "due_at": at, **fields}
        return {"TableName": self._table, "Item": encode(item)}

    def _item(self, record: BackupRecord) -> dict[str, Any]:
        return {"pk": self._pk, "sk": _sort_key(record)} | asdict(record)


def backup_store(project: str, cluster: str) -> BackupStore:
    return BackupStore(clients.dynamodb(), settings().backups_table, project, cluster)


def due_items(now: int) -> Iterator[tuple[str, str, str]]:
    """(project, cluster, name of the item) of everything that is due."""
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


def _now() -> int:
    return time.time_ns() // 1_000_000


def _sort_key(record: BackupRecord) -> str:
    return f"record/{record.created_at:013d}/{record.id}"


def _condition_failed(error: ClientError) -> bool:
    return error.response["Error"]["Code"] == "ConditionalCheckFailedException"


def _fields(item: Mapping[str, Any], of: type[BackupRecord | Cluster]) -> dict[str, Any]:
    return {each.name: item[each.name] for each in fields(of) if each.name in item}


def _record_of(item: Mapping[str, Any]) -> BackupRecord:
    return BackupRecord(**_fields(item, BackupRecord) | {"status": Status(item["status"])})


def _cluster_of(cluster_id: str, item: Mapping[str, Any]) -> Cluster:
    services = tuple(item.get("services", ()))
    return Cluster(**_fields(item, Cluster) | {"cluster_id": cluster_id, "services": services})
