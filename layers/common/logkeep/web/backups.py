"""CSS's log management: requests and answers of a cluster's backups."""

import time
import uuid
from http import HTTPStatus
from typing import Final

from aws_lambda_powertools.event_handler import Response

from logkeep.aws.backup_queue import RunOrder, send
from logkeep.aws.backups import BackupStore, backup_store
from logkeep.aws.logs import LogStore, log_store
from logkeep.backup_settings import (
    BACKUP_FIELDS,
    REAL_TIME_FIELDS,
    ActionQuery,
    LogSettings,
    PolicyRequest,
    RealTimeLogCollectRecord,
    SettingsAnswer,
    TargetRequest,
)
from logkeep.backups import BackupRecord, Status
from logkeep.errors import ClusterNotFound, Invalid, NotEnabled
from logkeep.logid import is_segment
from logkeep.settings import settings
from logkeep.web.http import Answer, App

BODY_MAX: Final = 16 * 1024
# Logs are in Logkeep as soon as they are appended: a collection that is switched on works.
_REAL_TIME_WORKS: Final = "200"


def cluster_of(app: App, cluster_id: str) -> tuple[BackupStore, LogStore]:
    """The backups and the logs of a cluster; raise ClusterNotFound for what can be no id."""
    if not is_segment(cluster_id):
        raise ClusterNotFound(cluster_id)
    project = app.caller.project
    return backup_store(project, cluster_id), log_store(project)


def open_collection(app: App, cluster_id: str) -> Answer:
    """Switch backup on, or the real-time collection; a cluster comes into being by it."""
    action, told = app.query(ActionQuery), app.json_body(LogSettings, BODY_MAX)
    told.check(*(REAL_TIME_FIELDS if action.real_time else BACKUP_FIELDS), bucket=settings().bucket)
    store, _ = cluster_of(app, cluster_id)
    if action.real_time:
        store.collect_in_real_time(_real_time_record(cluster_id, told))
    else:
        store.open(told, _now())
    return _empty()


def close_collection(app: App, cluster_id: str) -> Answer:
    action = app.query(ActionQuery)
    store, logs = cluster_of(app, cluster_id)
    if not action.real_time:
        store.enabled(logs)
        store.close(_now())
    elif store.cluster(logs).real_time is None:
        raise NotEnabled("real-time collection is not enabled for the cluster")
    else:
        store.collect_in_real_time(None)
    return _empty()


def show_settings(app: App, cluster_id: str) -> Answer:
    """Both configurations; the one that was never made is null."""
    app.query(ActionQuery)
    store, logs = cluster_of(app, cluster_id)
    cluster = store.cluster(logs)
    return app.answer_json(
        SettingsAnswer(
            logConfiguration=cluster.configuration(settings().bucket),
            realTimeLogCollectRecord=cluster.real_time_record,
        )
    )


def change_settings(app: App, cluster_id: str) -> Answer:
    action, told = app.query(ActionQuery), app.json_body(LogSettings, BODY_MAX)
    told.check(bucket=settings().bucket)
    store, logs = cluster_of(app, cluster_id)
    if not action.real_time:
        store.enabled(logs)
        store.change(told, _now())
        return _empty()
    record = store.cluster(logs).real_time_record
    if record is None:
        raise NotEnabled("real-time collection is not enabled for the cluster")
    changes = {
        "indexPrefix": told.index_prefix,
        "keepDays": told.keep_days,
        "targetClusterId": told.target_cluster_id,
        "updateAt": _now(),
    }
    changed = record.model_copy(update={name: value for name, value in changes.items() if value is not None})
    store.collect_in_real_time(changed)
    return _empty()


def update_policy(app: App, cluster_id: str) -> Answer:
    """Back up every day at that time."""
    asked = app.json_body(PolicyRequest, BODY_MAX)
    store, logs = cluster_of(app, cluster_id)
    store.enabled(logs)
    store.change(LogSettings(auto_enable=True, period=asked.period), _now())
    return _empty()


def close_policy(app: App, cluster_id: str) -> Answer:
    store, logs = cluster_of(app, cluster_id)
    store.enabled(logs)
    store.change(LogSettings(auto_enable=False), _now())
    return _empty()


def start_backup(app: App, cluster_id: str) -> Answer:
    """Begin a backup now; raise BackupRuns while one runs."""
    store, logs = cluster_of(app, cluster_id)
    cluster, now = store.enabled(logs), _now()
    record = BackupRecord(
        id=str(uuid.uuid4()),
        cluster_id=cluster_id,
        created_at=now,
        log_path=cluster.base_path,
        status=Status.RUNNING,
        job_type="Manual",
        job_id=uuid.uuid4().hex,
    )
    store.start(record, now)
    send(RunOrder(project=app.caller.project, cluster=cluster_id))
    return _empty()


def try_target(app: App, cluster_id: str) -> Answer:
    """Whether logs could be collected into another cluster of the project; it must exist."""
    asked = app.json_body(TargetRequest, BODY_MAX)
    store, logs = cluster_of(app, cluster_id)
    store.cluster(logs)
    if asked.target_cluster_id == cluster_id:
        raise Invalid("target_cluster_id", "is the cluster itself")
    target, _ = cluster_of(app, asked.target_cluster_id)
    target.cluster(logs)
    return _empty()


def _real_time_record(cluster_id: str, told: LogSettings) -> RealTimeLogCollectRecord:
    now = _now()
    return RealTimeLogCollectRecord(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"logkeep/real-time/{cluster_id}")),
        clusterId=cluster_id,
        indexPrefix=told.index_prefix or "",
        keepDays=told.keep_days or 1,
        targetClusterId=told.target_cluster_id or "",
        status=_REAL_TIME_WORKS,
        createAt=now,
        updateAt=now,
    )


def _empty() -> Answer:
    return Response(HTTPStatus.OK, "application/json", "")


def _now() -> int:
    return time.time_ns() // 1_000_000
