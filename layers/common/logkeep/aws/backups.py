"""Backups of a cluster in DynamoDB, table Backups, pk={project}/{cluster}.

cluster holds settings, record/{created_at:013d}/{id} one backup each, active the lease of the one that runs. policy,
watch and active carry due_shard and due_at, by which the schedule finds what is due in the index by_due.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from logkeep.aws import clients
from logkeep.aws.dynamo import attempts, decode, encode, query, transact
from logkeep.backup_settings import LogSettings, RealTimeLogCollectRecord
from logkeep.backups import BackupRecord, Cluster, RecordPage, RecordQuery, Status, page_of
from logkeep.clock import now_ms
from logkeep.errors import BackupRuns, Busy, ClusterNotFound, Invalid, NotEnabled
from logkeep.files import LogSource
from logkeep.schedule import MISSED_AFTER, Period
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

BY_DUE: Final = "by_due"  # keys-only index: due_shard, due_at
DUE_SHARDS: Final = 4
QUEUED_FOR: Final = 120_000  # ms in which a worker must take what was started; then the schedule asks again
GIVEN_UP_AFTER: Final = 120_000  # ms behind that, a record that the schedule did not come to is shown as failed
ASKED_MAX: Final = 5  # times in a row without progress
_NEW: Final = "attribute_not_exists(pk)"


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
        for _ in attempts():
            item = self._get("cluster") or {}
            if not transact(self._dynamodb, self._configuring(item, told, now, more)):
                return
        raise Busy("too many changes of the settings at once", retry_after=1)

    def _configuring(
        self, item: Mapping[str, Any], told: LogSettings, now: int, more: Mapping[str, Any]
    ) -> list[TransactWriteItemTypeDef]:
        cluster = _cluster_of(self._cluster, item)
        values: dict[str, Any] = {
            "agency": told.agency,
            "base_path": told.log_base_path,
            "auto_enable": told.auto_enable,
            "period": told.period,
            "full_every": told.full_every,
        }
        changes = {name: value for name, value in values.items() if value is not None}
        changes |= {**more, "updated_at": now, "settings_id": cluster.settings_id or str(uuid.uuid4())}
        changes["version"] = item.get("version", 0) + 1
        period = told.period or cluster.period
        automatic = cluster.auto_enable if told.auto_enable is None else told.auto_enable
        if automatic and not period:
            raise Invalid("period", "is required to back up automatically")
        seen = {"version": item.get("version")}
        items: list[TransactWriteItemTypeDef] = [{"Update": self._update_of("cluster", changes, seen)}]
        if not (automatic and period):
            items += [{"Delete": self._key_of(name)} for name in ("policy", "watch")]
        elif not (cluster.auto_enable and cluster.period == period):
            items.append({"Put": self._due("policy", Period.parse(period).next_after(now), {"period": period})})
            items.append({"Put": self._due("watch", now + MISSED_AFTER, {})})
        return items

    # Records

    def put(self, record: BackupRecord) -> None:
        self._dynamodb.put_item(TableName=self._table, Item=encode(self._item(record)))

    def put_new(self, record: BackupRecord) -> None:
        """Make a record, unless it was made before."""
        with suppress(self._dynamodb.exceptions.ConditionalCheckFailedException):
            self._dynamodb.put_item(TableName=self._table, Item=encode(self._item(record)), ConditionExpression=_NEW)

    def page(self, wanted: RecordQuery, logs: LogSource) -> RecordPage:
        """Raise ClusterNotFound for an unknown cluster, NotEnabled for one that was never backed up."""
        if not self.cluster(logs).enabled:
            raise NotEnabled("log backup was never enabled for the cluster")
        active = self._get("active") or {}
        records = (
            replace(each, lease_until=active["due_at"] + GIVEN_UP_AFTER)
            if each.status is Status.RUNNING and _sort_key(each) == active.get("record")
            else each
            for each in self.records()
        )
        return page_of(records, wanted, now_ms())

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

    def note_read_back(self, record: BackupRecord, done: int, crc32: int) -> None:
        """Note how far the archive of a backup that runs was read back, and the CRC-32 to there."""
        self._update(_sort_key(record), {"read_back": {"done": done, "crc32": crc32}})

    # Running, one at a time

    def start(self, record: BackupRecord, now: int) -> bool:
        """Make a record that runs; False if it was made before. Raise BackupRuns while another one runs."""
        active = {"record": _sort_key(record), "fence": 0, "lease_until": 0, "asked": 0}
        puts: list[Any] = [
            {"TableName": self._table, "Item": encode(self._item(record))},
            self._due("active", now + QUEUED_FOR, active),
        ]
        there = transact(self._dynamodb, [{"Put": put | {"ConditionExpression": _NEW}} for put in puts])
        if 0 in there:
            return False
        if there:
            raise BackupRuns("")
        return True

    def claim(self, now: int, seconds: float) -> Lease | None:
        """Take the backup that runs, for so long; None if there is none, or another worker has it."""
        active = self._get("active")
        if active is None or active["lease_until"] > now:
            return None
        until, fence = now + int(seconds * 1000), active["fence"] + 1
        seen = {"fence": active["fence"], "record": active["record"]}
        if not self._try("active", {"fence": fence, "lease_until": until, "due_at": until}, seen):
            return None
        item = self._get(active["record"])
        return Lease(_record_of(item), fence) if item else None

    def release(self, lease: Lease, now: int, *, progress: bool) -> None:
        """Let the next worker go on; it is asked by message, or else by the schedule."""
        fields = {"lease_until": 0, "due_at": now + QUEUED_FOR} | ({"asked": 0} if progress else {})
        self._try("active", fields, _held(lease))

    def finish(self, lease: Lease, record: BackupRecord, since_full: int | None) -> bool:
        """Write the end of a backup; False if another worker took it meanwhile. since_full is of a success."""
        items: list[TransactWriteItemTypeDef] = [
            {"Delete": self._key_of("active") | _where(_held(lease))},
            {"Put": {"TableName": self._table, "Item": encode(self._item(record))}},
        ]
        if since_full is not None:
            last = {"last_record": record.id, "since_full": since_full}
            items.append({"Update": self._update_of("cluster", last)})
        if transact(self._dynamodb, items):
            return False
        if since_full is not None:
            self._try("watch", {"due_at": now_ms() + MISSED_AFTER}, {"pk": self._pk})
        return True

    # Due

    def due_run(self) -> tuple[int, Period] | None:
        """When the policy's next run is due, and every day."""
        item = self._get("policy")
        return (item["due_at"], Period.parse(item["period"])) if item else None

    def due_watch(self) -> int | None:
        """When people should hear that no backup succeeded."""
        item = self._get("watch")
        return item["due_at"] if item else None

    def advance(self, name: str, due: int, following: int) -> bool:
        """Move the policy or the watch on, if it is still due then."""
        return self._try(name, {"due_at": following}, {"due_at": due})

    def ask_again(self, now: int) -> bool:
        """Whether a backup that nobody works on should be asked for again; after ASKED_MAX times it has failed."""
        active = self._get("active")
        if active is None or active["due_at"] > now:
            return False
        if active["asked"] < ASKED_MAX:
            seen = {"due_at": active["due_at"], "record": active["record"]}
            return self._try("active", {"due_at": now + QUEUED_FOR, "asked": active["asked"] + 1}, seen)
        if lease := self.claim(now, QUEUED_FOR / 1000):
            message = f"no worker could go on with the backup, which was asked for {ASKED_MAX} times again"
            self.finish(lease, lease.record.failed(message, now), None)
        return False

    # Items

    def _get(self, name: str) -> dict[str, Any] | None:
        found = self._dynamodb.get_item(
            TableName=self._table, Key=encode({"pk": self._pk, "sk": name}), ConsistentRead=True
        )
        return decode(found["Item"]) if "Item" in found else None

    def _update(self, name: str, fields: Mapping[str, Any], where: Mapping[str, Any] | None = None) -> None:
        self._dynamodb.update_item(**self._update_of(name, fields, where))

    def _try(self, name: str, fields: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
        """Update an item where it has these values; False where it has not."""
        try:
            self._update(name, fields, where)
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _update_of(self, name: str, fields: Mapping[str, Any], where: Mapping[str, Any] | None = None) -> Any:
        """SET what has a value, REMOVE what has none."""
        update: dict[str, Any] = _where(where) if where else {}
        names = {f"#{index}": field for index, field in enumerate(fields)}
        sets = [f"{ref} = :{ref[1:]}" for ref, field in names.items() if fields[field] is not None]
        removes = [ref for ref, field in names.items() if fields[field] is None]
        expression = (f"SET {', '.join(sets)} " if sets else "") + (f"REMOVE {', '.join(removes)}" if removes else "")
        values = encode({f":{ref[1:]}": fields[field] for ref, field in names.items()})
        values |= update.get("ExpressionAttributeValues", {})
        update["ExpressionAttributeNames"] = names | update.get("ExpressionAttributeNames", {})
        # DynamoDB refuses an empty map.
        return (
            self._key_of(name)
            | {"UpdateExpression": expression}
            | update
            | ({"ExpressionAttributeValues": values} if values else {})
        )

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


def _sort_key(record: BackupRecord) -> str:
    return f"record/{record.created_at:013d}/{record.id}"


def _held(lease: Lease) -> dict[str, Any]:
    """What `active` has as long as the lease is good; fences are of one record, so that is told too."""
    return {"fence": lease.fence, "record": _sort_key(lease.record)}


def _where(values: Mapping[str, Any]) -> dict[str, Any]:
    """The condition that attributes have these values, or (None) do not exist."""
    tests = [
        f"attribute_not_exists(#w{index})" if value is None else f"#w{index} = :w{index}"
        for index, value in enumerate(values.values())
    ]
    told = encode({f":w{index}": value for index, value in enumerate(values.values())})
    return {
        "ConditionExpression": " AND ".join(tests),
        "ExpressionAttributeNames": {f"#w{index}": name for index, name in enumerate(values)},
    } | ({"ExpressionAttributeValues": told} if told else {})


def _fields(item: Mapping[str, Any], of: type[BackupRecord | Cluster]) -> dict[str, Any]:
    return {each.name: item[each.name] for each in fields(of) if each.name in item}


def _record_of(item: Mapping[str, Any]) -> BackupRecord:
    return BackupRecord(**_fields(item, BackupRecord) | {"status": Status(item["status"])})


def _cluster_of(cluster_id: str, item: Mapping[str, Any]) -> Cluster:
    return Cluster(**_fields(item, Cluster) | {"cluster_id": cluster_id})
