"""Backups of a cluster in DynamoDB, table Backups, pk={project}/{cluster}.

cluster holds settings, record/{created_at:013d}/{id} one backup each, id/{id} where that is, active the lease of the
one that runs, sweep when the cluster's backups are looked at for those that have had their time, alert/{id} a failure
that people were not told of yet. policy, watch, active, sweep and alert carry due_shard and due_at, by which the
schedule finds what is due in the index by_due.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from logkeep.aws import clients
from logkeep.aws.dynamo import attempts, encode, query, transact
from logkeep.aws.partition import Partition, where
from logkeep.backups.records import BackupRecord, Cluster, Status
from logkeep.backups.schedule import MISSED_AFTER, Period
from logkeep.backups.settings import LogSettings
from logkeep.clock import DAY, now_ms
from logkeep.errors import BackupInProgress, Busy, ClusterNotFound, Invalid, NotEnabled, RecordNotFound
from logkeep.logs.reader import LogSource
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

BY_DUE: Final = "by_due"  # keys-only index: due_shard, due_at
DUE_SHARDS: Final = 4
QUEUED_FOR: Final = 120_000  # ms in which a worker must take what was started; then the schedule asks again
GIVEN_UP_AFTER: Final = 120_000  # ms behind that, a record that the schedule did not come to is shown as failed
ALERT_AFTER: Final = 60_000  # ms in which who wrote a failure tells of it; then the schedule does
SWEPT_AFTER: Final = DAY // 2  # ms behind a cluster's first record, so that it is not when its backups run
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
        self.items = Partition(dynamodb, table, f"{project}/{cluster}")
        self._cluster = cluster
        self._shard = f"due/{zlib.crc32(self.items.pk.encode()) % DUE_SHARDS}"

    # Settings

    def cluster(self, logs: LogSource) -> Cluster:
        """Raise ClusterNotFound for an unknown cluster: it comes into being by its first log, or by open."""
        item = self.items.get("cluster")
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

    def collect_in_real_time(self, record: Mapping[str, Any] | None) -> None:
        """Note the real-time collection, or that it ended."""
        self.items.update("cluster", {"real_time": record})

    def enable(self) -> None:
        """Note that backup of the cluster's logs was switched on once."""
        self.items.update("cluster", {"enabled": True, "log_switch": True})

    def _configure(self, told: LogSettings, now: int, more: Mapping[str, Any]) -> None:
        """One transaction, so that the schedule is never of other settings than those that are shown."""
        for _ in attempts():
            item = self.items.get("cluster") or {}
            if not transact(self.items.dynamodb, self._configuring(item, told, now, more)):
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
            "services": told.services,
            "keep_days": told.backup_keep_days,
        }
        changes = {name: value for name, value in values.items() if value is not None}
        changes |= {**more, "updated_at": now, "settings_id": cluster.settings_id or str(uuid.uuid4())}
        changes["version"] = item.get("version", 0) + 1
        period = told.period or cluster.period
        automatic = cluster.auto_enable if told.auto_enable is None else told.auto_enable
        if automatic and not period:
            raise Invalid("period", "is required to back up automatically")
        seen = {"version": item.get("version")}
        items: list[TransactWriteItemTypeDef] = [{"Update": self.items.update_of("cluster", changes, seen)}]
        if not (automatic and period):
            items += [{"Delete": self.items.key(name)} for name in ("policy", "watch")]
        elif not (cluster.auto_enable and cluster.period == period):
            items.append({"Put": self._due("policy", Period.parse(period).next_after(now), {"period": period})})
            items.append({"Put": self._due("watch", now + MISSED_AFTER, {})})
        return items

    # Records

    def put(self, record: BackupRecord, *, alert: bool = False) -> bool:
        """Make a record, and an alert of it where that is wanted; False if it was made before."""
        alerts = [self._alert(record)] if alert else []
        return not transact(self.items.dynamodb, [*self._puts(record), self._swept(), *alerts])

    def find(self, id: str) -> BackupRecord | None:
        place = self.items.get(f"id/{id}")
        item = place and self.items.get(place["record"])
        return record_of(item) if item and not item.get("expiring") else None

    def record(self, id: str) -> BackupRecord:
        """Raise RecordNotFound where the cluster has none of that id."""
        if found := self.find(id):
            return found
        raise RecordNotFound(f"no backup record {id}")

    def amend(self, record: BackupRecord, changes: Mapping[str, Any]) -> bool:
        """Change some fields of a record that still has the values of `record` in them; False where it has not, and
        where it is about to be deleted.
        """
        values = asdict(record)
        seen = {"id": record.id, "expiring": None} | {name: values[name] for name in changes}
        return self.items.try_update(sort_key(record), changes, seen)

    def listed(self, logs: LogSource) -> Iterator[BackupRecord]:
        """All records, newest first, the running one with the lease of its worker.

        Raises ClusterNotFound for an unknown cluster, NotEnabled for one that was never backed up.
        """
        if not self.cluster(logs).enabled:
            raise NotEnabled("log backup was never enabled for the cluster")
        active = self.items.get("active") or {}
        return (_leased(each, active) for each in self.records())

    def shown(self, id: str) -> BackupRecord:
        """A record with the lease of its worker, if it runs; raise RecordNotFound."""
        return _leased(self.record(id), self.items.get("active") or {})

    def records(self) -> Iterator[BackupRecord]:
        """Newest first, without those that expire."""
        return (record_of(item) for item in self.items.newest("record/") if not item.get("expiring"))

    def keep_days(self) -> int:
        """How long the cluster's backups are kept."""
        return int((self.items.get("cluster") or {}).get("keep_days", settings().backup_keep_days))

    def last_success(self) -> BackupRecord | None:
        last = (self.items.get("cluster") or {}).get("last_record")
        return self.find(last) if last else None

    def note_read_back(self, record: BackupRecord, done: int, crc32: int) -> None:
        """Note how far the archive was read back, and the CRC-32 to there; nothing where someone else went further."""
        self.amend(record, {"read_back": {"done": done, "crc32": crc32}, "status": Status.RUNNING})

    # Running, one at a time

    def start(self, record: BackupRecord, now: int) -> bool:
        """Make a record that runs; False if it was made before. Raise BackupInProgress while another one runs."""
        active = {"record": sort_key(record), "fence": 0, "lease_until": 0, "asked": 0}
        lease = self._due("active", now + QUEUED_FOR, active) | {"ConditionExpression": _NEW}
        there = transact(self.items.dynamodb, [*self._puts(record), {"Put": lease}])
        if 0 in there:
            return False
        if there:
            raise BackupInProgress("")
        return True

    def claim(self, now: int, seconds: float) -> Lease | None:
        """Take the backup that runs, for so long; None if there is none, or another worker has it."""
        active = self.items.get("active")
        if active is None or active["lease_until"] > now:
            return None
        until, fence = now + int(seconds * 1000), active["fence"] + 1
        seen = {"fence": active["fence"], "record": active["record"]}
        if not self.items.try_update("active", {"fence": fence, "lease_until": until, "due_at": until}, seen):
            return None
        item = self.items.get(active["record"])
        return Lease(record_of(item), fence) if item else None

    def release(self, lease: Lease, now: int, *, progress: bool) -> None:
        """Let the next worker go on; it is asked by message, or else by the schedule."""
        fields = {"lease_until": 0, "due_at": now + QUEUED_FOR} | ({"asked": 0} if progress else {})
        self.items.try_update("active", fields, _held(lease))

    def finish(
        self, lease: Lease, record: BackupRecord, since_full: int | None = None, *, full_next: bool = False
    ) -> bool:
        """Write the end of a backup; False if another worker took it meanwhile. since_full is of a success.

        Whoever had it before may still write, so what is left is for the sweep. full_next: the next one is full.
        """
        items: list[TransactWriteItemTypeDef] = [
            {"Delete": self.items.key("active") | where(_held(lease))},
            {"Put": self.items.put_of(sort_key(record), asdict(record) | {"leftovers": True})},
            self._swept(),
        ]
        if since_full is not None:
            last = {"last_record": record.id, "since_full": since_full, "full_next": None}
            items.append({"Update": self.items.update_of("cluster", last)})
        else:
            items.append(self._alert(record))
            if full_next:
                items.append({"Update": self.items.update_of("cluster", {"full_next": True})})
        if transact(self.items.dynamodb, items):
            return False
        if since_full is not None:
            self.items.try_update("watch", {"due_at": now_ms() + MISSED_AFTER}, {"pk": self.items.pk})
        return True

    # Due

    def due_run(self) -> tuple[int, Period] | None:
        """When the policy's next run is due, and every day."""
        item = self.items.get("policy")
        return (item["due_at"], Period.parse(item["period"])) if item else None

    def due_at(self, name: Literal["watch", "sweep"]) -> int | None:
        """When people should hear that no backup succeeded, or records be looked at for those to be deleted."""
        item = self.items.get(name)
        return item["due_at"] if item else None

    def advance(self, name: Literal["policy", "watch", "sweep"], due: int, following: int) -> bool:
        """Move a due item on, if it is still due then."""
        return self.items.try_update(name, {"due_at": following}, {"due_at": due})

    def ask_again(self, now: int) -> bool:
        """Whether a backup that nobody works on should be asked for again; after ASKED_MAX times it has failed."""
        active = self.items.get("active")
        if active is None or active["due_at"] > now:
            return False
        if active["asked"] < ASKED_MAX:
            seen = {"due_at": active["due_at"], "record": active["record"]}
            return self.items.try_update("active", {"due_at": now + QUEUED_FOR, "asked": active["asked"] + 1}, seen)
        if lease := self.claim(now, QUEUED_FOR / 1000):
            message = f"no worker could go on with the backup, which was asked for {ASKED_MAX} times again"
            self.finish(lease, lease.record.failed(message, now))
        return False

    # Items

    def _puts(self, record: BackupRecord) -> list[TransactWriteItemTypeDef]:
        """A record that is new, and where it is found by its id."""
        return [
            {"Put": self.items.put_of(sort_key(record), asdict(record)) | {"ConditionExpression": _NEW}},
            {"Put": self.items.put_of(f"id/{record.id}", {"record": sort_key(record)})},
        ]

    def _swept(self) -> TransactWriteItemTypeDef:
        """The cluster's records are looked at from time to time."""
        update = {
            "UpdateExpression": "SET due_shard = :shard, due_at = if_not_exists(due_at, :at)",
            "ExpressionAttributeValues": encode({":shard": self._shard, ":at": now_ms() + SWEPT_AFTER}),
        }
        return {"Update": self.items.key("sweep") | update}

    def _alert(self, record: BackupRecord) -> TransactWriteItemTypeDef:
        return {"Put": self._due(f"alert/{record.id}", now_ms() + ALERT_AFTER, {"failed": asdict(record)})}

    def _due(self, name: str, at: int, fields: Mapping[str, Any]) -> Any:
        return self.items.put_of(name, {"due_shard": self._shard, "due_at": at, **fields})


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


def _leased(record: BackupRecord, active: Mapping[str, Any]) -> BackupRecord:
    """A record that runs has its lease in `active`."""
    if record.status is Status.RUNNING and sort_key(record) == active.get("record"):
        return replace(record, lease_until=active["due_at"] + GIVEN_UP_AFTER)
    return record


def sort_key(record: BackupRecord) -> str:
    return f"record/{record.place}"


def _held(lease: Lease) -> dict[str, Any]:
    """What `active` has as long as the lease is good; fences are of one record, so that is told too."""
    return {"fence": lease.fence, "record": sort_key(lease.record)}


def _fields(item: Mapping[str, Any], of: type[BackupRecord | Cluster]) -> dict[str, Any]:
    return {each.name: item[each.name] for each in fields(of) if each.name in item}


def record_of(item: Mapping[str, Any]) -> BackupRecord:
    return BackupRecord(**_fields(item, BackupRecord) | {"status": Status(item["status"])})


def _cluster_of(cluster_id: str, item: Mapping[str, Any]) -> Cluster:
    return Cluster(**_fields(item, Cluster) | {"cluster_id": cluster_id})
