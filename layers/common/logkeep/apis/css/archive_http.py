"""Requests about one backup: show its record, download its archive, verify it, restore it."""

import time
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from logkeep.apis.css.records import ClusterLogRecord
from logkeep.backups.orders import JobOrder, order_job
from logkeep.backups.records import BackupRecord
from logkeep.backups.retention import expires_at
from logkeep.backups.store import backup_store
from logkeep.backups.work_store import Kind, has_room
from logkeep.clock import now_ms
from logkeep.downloads.file_store import StoredFile
from logkeep.downloads.http import deliver_stored
from logkeep.errors import Conflict, RecordNotFound
from logkeep.extents import Facts
from logkeep.identity.credentials import Scope
from logkeep.logid import is_segment
from logkeep.restores.archive_store import archives
from logkeep.restores.plan import RestoreReport, RestoreRequest, ShownRestore
from logkeep.restores.store import restores
from logkeep.restores.verification import ShownVerification, Verification, VerifyRequest
from logkeep.restores.verification_store import verifications
from logkeep.settings import settings
from logkeep.web.app import Answer, App
from logkeep.web.parsing import Nothing


class ArchiveFacts(BaseModel):
    key: str
    size: int
    crc32: str
    logs: int  # number of logs in it
    raw_size: int  # bytes of their text
    base: str | None  # id of the backup that an incremental one continues
    chain: list[str]  # ids, from this backup to the full one


class BackupDetail(ClusterLogRecord):
    """A record as CSS lists it, with fields of our own; null if a backup has none."""

    hold: bool
    locked_until: int | None  # by S3 Object Lock, epoch ms
    expires_at: int | None  # epoch ms; it stays longer if a younger backup continues it
    archive: ArchiveFacts | None
    verification: ShownVerification | None
    restore: ShownRestore | None


def show_record(app: App, cluster_id: str, record_id: str) -> Answer[BackupDetail]:
    """Everything known of a backup. Raises RecordNotFound."""
    _check(app, cluster_id, record_id)
    project, now = app.caller.project, now_ms()
    store = backup_store(project, cluster_id)
    record = store.shown(record_id)
    detail = BackupDetail.of(
        record.seen_at(now),
        hold=bool(record.hold),
        locked_until=record.locked_until,
        expires_at=expires_at(record, store.keep_days()),
        archive=_facts(project, record),
        verification=_shown(Verification, record.verification, now),
        restore=_shown(RestoreReport, record.restore, now),
    )
    return app.answer_json(detail)


def download_archive(app: App, cluster_id: str, record_id: str) -> Answer:
    """The ZIP of a backup, or a redirect to it, as its size and the client allow.

    Raises RecordNotFound, or Conflict if the backup has no archive.
    """
    _check(app, cluster_id, record_id)
    store = archives(app.caller.project, cluster_id)
    record = store.finished(record_id)
    store.check_exist([record])
    size, crc32 = record.size or 0, record.crc32 or 0
    file = StoredFile(
        bucket=store.bucket,
        key=record.key or "",
        facts=Facts(size, size, crc32),
        filename=f"{record.id}.zip",
        content_type="application/zip",
    )
    return deliver_stored(app, file, f"{record.id}-{crc32:08x}")


def verify(app: App, cluster_id: str, record_id: str) -> Answer[ShownVerification]:
    """Verify a backup and answer 200 with the result. A full verification is a job: 202 with its progress so far.

    Raises RecordNotFound, or Conflict if the backup cannot be verified.
    """
    _check(app, cluster_id, record_id)
    request, project, now = app.json_body(VerifyRequest, optional=True), app.caller.project, now_ms()
    store = verifications(project, cluster_id)
    if request.mode != "full":
        result = store.at_once(record_id, request.mode, now, _deadline())
        return app.answer_json(result.shown())
    running, order = store.begin(record_id, now, ordered=has_room(Kind.JOBS, project, now))
    if order:
        order_job(JobOrder(project=project, cluster=cluster_id, kind="verification", record=record_id))
    return app.answer_json(running.shown(), HTTPStatus.ACCEPTED)


def restore(app: App, cluster_id: str, record_id: str) -> Answer[ShownRestore]:
    """Start the restore of a backup and answer 202 with its report, which the record shows from then on.

    A dry run answers 200 with what a restore would do. Raises RecordNotFound, or Conflict if it cannot be restored.
    """
    app.caller.need(Scope.LOGS_WRITE)
    _check(app, cluster_id, record_id)
    request, project, now = app.json_body(RestoreRequest, optional=True), app.caller.project, now_ms()
    request.check(cluster_id)
    store = restores(project, cluster_id)
    if request.dry_run:
        return app.answer_json(store.planned(record_id, request, now, _deadline()).shown())
    running, order = store.begin(record_id, request, now, ordered=has_room(Kind.JOBS, project, now))
    if order:
        order_job(JobOrder(project=project, cluster=cluster_id, kind="restore", record=record_id))
    return app.answer_json(running.shown(), HTTPStatus.ACCEPTED)


def _check(app: App, cluster_id: str, record_id: str) -> None:
    """Raise Invalid if there is a parameter, RecordNotFound if one of the two is not a possible id."""
    app.query(Nothing)
    if not (is_segment(cluster_id) and is_segment(record_id)):
        raise RecordNotFound(f"no backup record {record_id}")


def _deadline() -> float:
    return time.monotonic() + settings().build_seconds


def _facts(project: str, record: BackupRecord) -> ArchiveFacts | None:
    if record.key is None:
        return None
    try:
        chain = archives(project, record.cluster_id).chain(record)
    except Conflict:  # a backup of the chain is gone
        chain = [record]
    return ArchiveFacts(
        key=record.key,
        size=record.size or 0,
        crc32=f"{record.crc32 or 0:08x}",
        logs=record.logs or 0,
        raw_size=record.raw_size or 0,
        base=record.base,
        chain=[each.id for each in chain],
    )


def _shown[J: (RestoreReport, Verification)](kind: type[J], noted: dict[str, Any] | None, now: int) -> Any:
    return kind.model_validate(noted).seen_at(now).shown() if noted else None
