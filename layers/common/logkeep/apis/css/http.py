"""Requests about a cluster's backups: switch them on and off, change their settings, back up now, hold a backup."""

import uuid
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from logkeep.apis.css.records import HeldRecord
from logkeep.apis.css.settings import (
    ActionQuery,
    LogConfiguration,
    PolicyRequest,
    RealTimeLogCollectRecord,
    SettingsAnswer,
    SettingsRequest,
    TargetRequest,
)
from logkeep.backups.lease_store import Leases
from logkeep.backups.orders import RunOrder, order_backup
from logkeep.backups.retention_store import retention
from logkeep.backups.settings import SettingsChange
from logkeep.backups.store import BackupStore, backup_store
from logkeep.backups.work_store import Kind, has_room
from logkeep.clock import now_ms
from logkeep.errors import AlreadyClosed, ClusterNotFound, NotEnabled, RecordNotFound, Unavailable
from logkeep.logid import is_segment
from logkeep.logs.store import LogStore, log_store
from logkeep.settings import settings
from logkeep.web.app import Answer, App
from logkeep.web.parsing import Nothing

# The status of a collection that works. Ours always does: a log is in Logkeep as soon as it is appended.
_REAL_TIME_WORKS: Final = "200"
# Seconds. The answer names no backup: Terraform's provider lists the records next, and looks for the one that runs.
BEGINS_AFTER: Final = 3


def cluster_of(app: App, cluster_id: str) -> tuple[BackupStore, LogStore]:
    """The backups and the logs of a cluster. Raises ClusterNotFound if the id is not a possible one."""
    if not is_segment(cluster_id):
        raise ClusterNotFound(cluster_id)
    project = app.caller.project
    return backup_store(project, cluster_id), log_store(project)


def open_collection(app: App, cluster_id: str) -> Answer[None]:
    """Switch on the collection named by `action`: backups, or the real-time collection. Creates the cluster if needed.

    Raises Invalid if a field is missing, ForeignBucket for another bucket than ours.
    """
    action, request = app.query(ActionQuery), app.json_body(SettingsRequest)
    request.check_complete(real_time=action.real_time)
    request.check_bucket(settings().bucket)
    store, _ = cluster_of(app, cluster_id)
    if action.real_time:
        store.collect_in_real_time(_real_time_record(cluster_id, request).model_dump())
    else:
        store.open(request.change, now_ms())
    return _empty()


def close_collection(app: App, cluster_id: str) -> Answer[None]:
    """Switch off the collection named by `action`. Raises ClusterNotFound, or AlreadyClosed if it is off."""
    action = app.query(ActionQuery)
    store, logs = cluster_of(app, cluster_id)
    cluster = store.cluster(logs)
    if not (cluster.real_time if action.real_time else cluster.log_switch):
        raise AlreadyClosed(f"{action.action} is not switched on for the cluster")
    if action.real_time:
        store.collect_in_real_time(None)
    else:
        store.close(now_ms())
    return _empty()


def show_settings(app: App, cluster_id: str) -> Answer[SettingsAnswer]:
    """The settings of both collections; null for one that was never switched on. Raises ClusterNotFound."""
    app.query(ActionQuery)
    store, logs = cluster_of(app, cluster_id)
    cluster = store.cluster(logs)
    return app.answer_json(
        SettingsAnswer(
            logConfiguration=LogConfiguration.of(
                cluster, settings().bucket, settings().backup_keep_days, settings().backup_full_every
            ),
            realTimeLogCollectRecord=RealTimeLogCollectRecord.of(cluster),
        )
    )


def change_settings(app: App, cluster_id: str) -> Answer[None]:
    """Change the collection named by `action`.

    A body with only real-time fields changes the real-time collection, because the published client sends no `action`.
    A body with fields of both changes backups, and the real-time collection too if it is switched on.
    Raises ClusterNotFound, NotEnabled if the collection is not switched on, ForeignBucket for another bucket than ours.
    """
    action, request = app.query(ActionQuery), app.json_body(SettingsRequest)
    request.check_bucket(settings().bucket)
    store, logs = cluster_of(app, cluster_id)
    record = RealTimeLogCollectRecord.of(store.cluster(logs))
    if action.real_time or (request.has_real_time_fields and not request.has_backup_fields):
        _change_real_time(store, record, request)
        return _empty()
    store.enabled(logs)
    store.change(request.change, now_ms())
    if request.has_real_time_fields and record:
        _change_real_time(store, record, request)
    return _empty()


def update_policy(app: App, cluster_id: str) -> Answer[None]:
    """Back up every day at a time. Raises ClusterNotFound, or NotEnabled if backups are not switched on."""
    request = app.json_body(PolicyRequest)
    store, logs = cluster_of(app, cluster_id)
    store.enabled(logs)
    store.change(SettingsChange(auto_enable=True, period=request.period), now_ms())
    return _empty()


def close_policy(app: App, cluster_id: str) -> Answer[None]:
    """Stop backing up every day. Raises ClusterNotFound, or NotEnabled if backups are not switched on."""
    store, logs = cluster_of(app, cluster_id)
    store.enabled(logs)
    store.change(SettingsChange(auto_enable=False), now_ms())
    return _empty()


def start_backup(app: App, cluster_id: str) -> Answer[None]:
    """Start a backup, which runs from BEGINS_AFTER seconds on, or when it is its turn.

    Raises ClusterNotFound, NotEnabled, or BackupInProgress while another one runs.
    """
    store, logs = cluster_of(app, cluster_id)
    project, cluster, now = app.caller.project, store.enabled(logs), now_ms()
    room = has_room(Kind.BACKUPS, project, now)
    Leases(store).start(cluster.new_record(str(uuid.uuid4()), now, "Manual"), now, ordered=room)
    if room:
        with suppress(Unavailable):  # the backup is written, and the schedule orders a worker for what has none
            order_backup(RunOrder(project=project, cluster=cluster_id, not_before=now + BEGINS_AFTER * 1000))
    return _empty()


def hold_record(app: App, cluster_id: str, record_id: str, *, held: bool) -> Answer[HeldRecord]:
    """Place a hold on a backup, or lift it. Raises RecordNotFound, or Conflict while the backup runs."""
    app.query(Nothing)
    app.json_body(Nothing, optional=True)
    if not is_segment(cluster_id):
        raise ClusterNotFound(cluster_id)
    if not is_segment(record_id):
        raise RecordNotFound(f"no backup record {record_id}")
    keeper = retention(app.caller.project, cluster_id)
    (keeper.hold if held else keeper.let_go)(record_id)
    return app.answer_json(HeldRecord(id=record_id, hold=held))


def check_connectivity(app: App, cluster_id: str) -> Answer[None]:
    """Whether logs can be collected into the target cluster: it must exist. Raises ClusterNotFound."""
    request = app.json_body(TargetRequest)
    store, logs = cluster_of(app, cluster_id)
    store.cluster(logs)
    target, _ = cluster_of(app, request.target_cluster_id)
    target.cluster(logs)
    return _empty()


def _real_time_record(cluster_id: str, request: SettingsRequest) -> RealTimeLogCollectRecord:
    now = now_ms()
    return RealTimeLogCollectRecord(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"logkeep/real-time/{cluster_id}")),
        clusterId=cluster_id,
        indexPrefix=request.index_prefix or "",
        keepDays=request.keep_days or 1,
        targetClusterId=request.target_cluster_id or "",
        status=_REAL_TIME_WORKS,
        createAt=now,
        updateAt=now,
    )


def _change_real_time(store: BackupStore, record: RealTimeLogCollectRecord | None, request: SettingsRequest) -> None:
    if record is None:
        raise _real_time_not_enabled()
    changes = {
        "indexPrefix": request.index_prefix,
        "keepDays": request.keep_days,
        "targetClusterId": request.target_cluster_id,
        "updateAt": now_ms(),
    }
    store.collect_in_real_time(
        record.model_dump() | {name: value for name, value in changes.items() if value is not None}
    )


def _real_time_not_enabled() -> NotEnabled:
    return NotEnabled("real-time collection is not enabled for the cluster")


def _empty() -> Answer[None]:
    return Answer(HTTPStatus.OK, "application/json", "")
