"""Settings and backup records of a cluster in DynamoDB, table Backups, pk={project}/{cluster}.

| sk | is |
|---|---|
| cluster | the settings |
| record/{created_at:013d}/{id} | a backup record |
| id/{id} | where the record with this id is |
| active | the backup that runs, and its lease (lease_store.py) |
| restore/{id}, verification/{id} | a job on the record with this id, and its lease (work_store.py) |
| policy | when the next daily backup is due |
| watch | when a missing success is reported |
| sweep | when expired backups are looked for |
| alert/{id} | a failure that is not published yet |

policy, watch, sweep and alert are due items (due_store.py), and so are active and the jobs, which are work.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from logkeep.aws import clients
from logkeep.aws.dynamo import attempts, encode, transact
from logkeep.aws.partition import Partition
from logkeep.backups.due_store import due_put, due_shard
from logkeep.backups.jobs import JobKind
from logkeep.backups.records import BackupRecord, Cluster, Status
from logkeep.backups.schedule import MISSED_AFTER, Period
from logkeep.backups.settings import SettingsChange
from logkeep.backups.work_store import Kind, WorkItem
from logkeep.clock import DAY, now_ms
from logkeep.errors import Busy, ClusterNotFound, Invalid, NotEnabled, RecordNotFound
from logkeep.logs.reader import LogSource
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

NEW: Final = "attribute_not_exists(pk)"  # the condition that an item does not exist yet
# ms after a lease ended at which readers see a failure, if the schedule has not noticed it until then.
GIVEN_UP_AFTER: Final = 120_000
ALERT_AFTER: Final = 60_000  # ms in which the writer of a failure publishes it; after that the schedule does
SWEPT_AFTER: Final = DAY // 2  # ms after a cluster's first record, so that the sweep and the daily backup are apart


class BackupStore:
    """The backups of one project's cluster."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, project: str, cluster: str) -> None:
        self.items = Partition(dynamodb, table, f"{project}/{cluster}")
        self._cluster = cluster

    # Settings

    def cluster(self, logs: LogSource) -> Cluster:
        """The cluster with its settings. It exists once it has a log, or once backups were switched on.

        Raises ClusterNotFound.
        """
        item = self.items.get("cluster")
        if item is None and next(logs.heads(f"cluster/{self._cluster}"), None) is None:
            raise ClusterNotFound(self._cluster)
        return _cluster_of(self._cluster, item or {})

    def enabled(self, logs: LogSource) -> Cluster:
        """The cluster, if its backups are switched on. Raises ClusterNotFound or NotEnabled."""
        cluster = self.cluster(logs)
        if not cluster.log_switch:
            raise NotEnabled("log backup is not enabled for the cluster")
        return cluster

    def open(self, change: SettingsChange, now: int) -> None:
        """Switch backups on and change settings. Raises Invalid for a daily backup without a period."""
        self._configure(change, now, {"enabled": True, "log_switch": True})

    def change(self, change: SettingsChange, now: int) -> None:
        """Raises Invalid for a daily backup without a period."""
        self._configure(change, now, {})

    def close(self, now: int) -> None:
        """Switch backups off."""
        self._configure(SettingsChange(auto_enable=False), now, {"log_switch": False})

    def enable(self) -> None:
        """Switch backups on without settings."""
        self.items.update("cluster", {"enabled": True, "log_switch": True})

    def collect_in_real_time(self, record: Mapping[str, Any] | None) -> None:
        """Keep the real-time collection as it is shown, or (None) remove it."""
        self.items.update("cluster", {"real_time": record})

    def _configure(self, change: SettingsChange, now: int, switches: Mapping[str, bool]) -> None:
        """Write settings and due items in one transaction, so that the schedule follows the settings that are shown.

        Raises Busy.
        """
        for _ in attempts():
            item = self.items.get("cluster") or {}
            writes = self._settings_writes(item, change, now, switches)
            if not transact(self.items.dynamodb, writes).refused:
                return
        raise Busy("too many changes of the settings at once", retry_after=1)

    def _settings_writes(
        self, item: Mapping[str, Any], change: SettingsChange, now: int, switches: Mapping[str, bool]
    ) -> list[TransactWriteItemTypeDef]:
        cluster = _cluster_of(self._cluster, item)
        period = change.period or cluster.period
        automatic = cluster.auto_enable if change.auto_enable is None else change.auto_enable
        if automatic and not period:
            raise Invalid("period", "is required to back up automatically")
        values = {
            **change.values(),
            **switches,
            "updated_at": now,
            "settings_id": cluster.settings_id or str(uuid.uuid4()),
            "version": item.get("version", 0) + 1,
        }
        seen = {"version": item.get("version")}
        writes: list[TransactWriteItemTypeDef] = [{"Update": self.items.update_of("cluster", values, seen)}]
        daily_before = cluster.period if cluster.auto_enable else None
        daily = period if automatic else None
        if daily is None:
            writes += [{"Delete": self.items.key(name)} for name in ("policy", "watch")]
        elif daily != daily_before:
            first = Period.parse(daily).next_after(now)
            writes.append({"Put": due_put(self.items, "policy", first, {"period": daily})})
            writes.append({"Put": due_put(self.items, "watch", now + MISSED_AFTER, {})})
        return writes

    # Records

    def put(self, record: BackupRecord, *, alert: bool = False) -> bool:
        """Store a new backup record, on request with an alert of it. False if it was stored before."""
        alerts = [self.alert_put(record)] if alert else []
        writes = [*self.puts_of_new(record), self.sweep_update(), *alerts]
        return not transact(self.items.dynamodb, writes).refused

    def find(self, id: str) -> BackupRecord | None:
        """The backup record; None if there is none, or if it is being deleted."""
        place = self.items.get(f"id/{id}")
        item = place and self.items.get(place["record"])
        return record_of(item) if item and not item.get("expiring") else None

    def record(self, id: str) -> BackupRecord:
        """The backup record. Raises RecordNotFound."""
        if found := self.find(id):
            return found
        raise RecordNotFound(f"no backup record {id}")

    def amend(self, record: BackupRecord, changes: Mapping[str, Any]) -> bool:
        """Change fields of a backup record, if they are still stored as in `record`.

        False if they are not, or if the backup record is being deleted.
        """
        values = asdict(record)
        seen = {"id": record.id, "expiring": None} | {name: values[name] for name in changes}
        return self.items.try_update(sort_key(record), changes, seen)

    def begin_job(
        self, record: BackupRecord, kind: JobKind, job: Mapping[str, Any], now: int, *, ordered: bool
    ) -> bool:
        """Note a new job on a backup record, in the place of the one in `record`, and make its work item.

        Say with `ordered` whether a worker is ordered next. False if the record was changed meanwhile.
        """
        seen = {"id": record.id, "expiring": None, kind: getattr(record, kind)}
        item = self.job(kind, record.id).put_of(Kind.JOBS, job["run"], now, ordered=ordered)
        update = self.items.update_of(sort_key(record), {kind: job}, seen)
        return not transact(self.items.dynamodb, [{"Update": update}, {"Put": item}]).refused

    def job(self, kind: JobKind, id: str) -> WorkItem:
        """The work item of a job on a backup record."""
        return WorkItem(self.items, f"{kind}/{id}")

    def listed(self, logs: LogSource) -> Iterator[BackupRecord]:
        """All backup records, newest first; the running one with its lease.

        Raises ClusterNotFound, or NotEnabled if backups of the cluster were never switched on.
        """
        if not self.cluster(logs).enabled:
            raise NotEnabled("log backup was never enabled for the cluster")
        active = self.items.get("active") or {}
        return (_with_lease(each, active) for each in self.records())

    def shown(self, id: str) -> BackupRecord:
        """The backup record, with its lease if it runs. Raises RecordNotFound."""
        return _with_lease(self.record(id), self.items.get("active") or {})

    def records(self) -> Iterator[BackupRecord]:
        """Newest first, without those that are being deleted."""
        return (record_of(item) for item in self.items.newest("record/") if not item.get("expiring"))

    def daily(self) -> Cluster | None:
        """The cluster, if it is backed up every day."""
        cluster = _cluster_of(self._cluster, self.items.get("cluster") or {})
        return cluster if cluster.log_switch and cluster.auto_enable else None

    def keep_days(self) -> int:
        """How many days the cluster's backups are kept."""
        return int((self.items.get("cluster") or {}).get("keep_days", settings().backup_keep_days))

    def last_success(self) -> BackupRecord | None:
        last = (self.items.get("cluster") or {}).get("last_record")
        return self.find(last) if last else None

    def note_read_back(self, record: BackupRecord, done: int, crc32: int) -> None:
        """Note how many bytes of the archive were read back, and their CRC-32.

        Does nothing if another worker has noted something since `record` was read.
        """
        self.amend(record, {"read_back": {"done": done, "crc32": crc32}, "status": Status.RUNNING})

    # Due items

    def due_run(self) -> tuple[int, Period] | None:
        """When the next daily backup is due (epoch milliseconds), and its period."""
        item = self.items.get("policy")
        return (item["due_at"], Period.parse(item["period"])) if item else None

    def due_at(self, name: Literal["watch", "sweep"]) -> int | None:
        """When a missing success is reported, or when expired backups are looked for (epoch milliseconds)."""
        item = self.items.get(name)
        return item["due_at"] if item else None

    def advance(self, name: Literal["policy", "watch", "sweep"], due: int, following: int) -> bool:
        """Move a due item from `due` to `following`. False if it was moved before."""
        return self.items.try_update(name, {"due_at": following}, {"due_at": due})

    # Parts of transactions

    def puts_of_new(self, record: BackupRecord) -> tuple[TransactWriteItemTypeDef, TransactWriteItemTypeDef]:
        """A backup record that must not exist yet, and the item by which its id is found."""
        return (
            {"Put": self.items.put_of(sort_key(record), asdict(record)) | {"ConditionExpression": NEW}},
            {"Put": self.items.put_of(f"id/{record.id}", {"record": sort_key(record)})},
        )

    def sweep_update(self) -> TransactWriteItemTypeDef:
        """Have the cluster's backups swept, if they are not yet."""
        update = {
            "UpdateExpression": "SET due_shard = :shard, due_at = if_not_exists(due_at, :at)",
            "ExpressionAttributeValues": encode({":shard": due_shard(self.items), ":at": now_ms() + SWEPT_AFTER}),
        }
        return {"Update": self.items.key("sweep") | update}

    def alert_put(self, record: BackupRecord) -> TransactWriteItemTypeDef:
        """Have a failure published."""
        failure = {"failed": asdict(record)}
        return {"Put": due_put(self.items, f"alert/{record.id}", now_ms() + ALERT_AFTER, failure)}


def backup_store(project: str, cluster: str) -> BackupStore:
    return BackupStore(clients.dynamodb(), settings().backups_table, project, cluster)


def sort_key(record: BackupRecord) -> str:
    return f"record/{record.place}"


def record_of(item: Mapping[str, Any]) -> BackupRecord:
    return BackupRecord(**_fields(item, BackupRecord) | {"status": Status(item["status"])})


def _cluster_of(cluster_id: str, item: Mapping[str, Any]) -> Cluster:
    return Cluster(**_fields(item, Cluster) | {"cluster_id": cluster_id})


def _fields(item: Mapping[str, Any], of: type[BackupRecord | Cluster]) -> dict[str, Any]:
    return {each.name: item[each.name] for each in fields(of) if each.name in item}


def _with_lease(record: BackupRecord, active: Mapping[str, Any]) -> BackupRecord:
    """A running record with the time at which readers give its worker up; None while it waits for one."""
    if record.status is Status.RUNNING and sort_key(record) == active.get("of") and active["lease_until"]:
        return replace(record, lease_until=active["lease_until"] + GIVEN_UP_AFTER)
    return record
