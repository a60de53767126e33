"""A backup by itself: shown, handed out, verified, restored."""

import time
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, RootModel

from logkeep.apis.css.records import ClusterLogRecord
from logkeep.backups.records import BackupRecord
from logkeep.backups.retention import expires_at
from logkeep.backups.store import backup_store
from logkeep.clock import now_ms
from logkeep.downloads.file_store import StoredFile
from logkeep.downloads.http import deliver_stored
from logkeep.errors import Conflict, RecordNotFound
from logkeep.extents import Facts
from logkeep.identity.credentials import Scope
from logkeep.logid import is_segment
from logkeep.restores.archive_store import archives
from logkeep.restores.plan import RestoreReport, RestoreRequest
from logkeep.restores.queue import RestoreOrder, VerifyOrder, order_restore
from logkeep.restores.store import restores
from logkeep.restores.verification import Verification, VerifyRequest
from logkeep.restores.verification_store import verifications
from logkeep.settings import settings
from logkeep.web.app import Answer, App


class ArchiveFacts(BaseModel):
    key: str
    size: int
    crc32: str
    logs: int  # files in it
    raw_size: int  # bytes of their text
    base: str | None  # the backup that it continues
    chain: list[str]  # from this backup to the full one


class BackupDetail(ClusterLogRecord):
    """A record as it is listed, and what only Logkeep tells; null where there is none."""

    hold: bool
    locked_until: int | None  # by S3 Object Lock, epoch ms, as expires_at
    expires_at: int | None  # unless one that is younger continues it
    archive: ArchiveFacts | None
    verification: dict[str, Any] | None
    restore: dict[str, Any] | None


class _Report(RootModel[dict[str, Any]]):
    pass


def show_record(app: App, cluster_id: str, record_id: str) -> Answer:
    _check(cluster_id, record_id)
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
    return app.answer_json(detail, headers={"Cache-Control": "no-store"})


def hand_out_archive(app: App, cluster_id: str, record_id: str) -> Answer:
    """The ZIP of a backup, as its size and the client allow; raise Conflict where there is none."""
    _check(cluster_id, record_id)
    found = archives(app.caller.project, cluster_id)
    record = found.finished(record_id)
    found.check_exist([record])
    size, crc32 = record.size or 0, record.crc32 or 0
    file = StoredFile(
        bucket=found.bucket,
        key=record.key or "",
        facts=Facts(size, size, crc32),
        filename=f"{record.id}.zip",
        content_type="application/zip",
    )
    return deliver_stored(app, file, f"{record.id}-{crc32:08x}")


def verify(app: App, cluster_id: str, record_id: str) -> Answer:
    """What is found, with 200; in full it is noted on the record while it is looked for, with 202."""
    _check(cluster_id, record_id)
    asked, project, now = app.json_body(VerifyRequest, optional=True), app.caller.project, now_ms()
    found = verifications(project, cluster_id)
    if asked.mode != "full":
        result = found.at_once(record_id, asked.mode, now, _deadline())
        return app.answer_json(_Report(result.shown()))
    running, is_new = found.begin(record_id, now)
    if is_new:
        order_restore(VerifyOrder(project=project, cluster=cluster_id, record=record_id, run=running.run))
    return app.answer_json(_Report(running.shown()), HTTPStatus.ACCEPTED)


def restore(app: App, cluster_id: str, record_id: str) -> Answer:
    """What would be done, with 200; or with 202 the report, which the record shows from then on."""
    app.caller.need(Scope.LOGS_WRITE)
    _check(cluster_id, record_id)
    asked, project, now = app.json_body(RestoreRequest, optional=True), app.caller.project, now_ms()
    asked.check(cluster_id)
    found = restores(project, cluster_id)
    if asked.dry_run:
        return app.answer_json(_Report(found.planned(record_id, asked, now, _deadline()).shown()))
    running, is_new = found.begin(record_id, asked, now)
    if is_new:
        order_restore(RestoreOrder(project=project, cluster=cluster_id, record=record_id, run=running.run))
    return app.answer_json(_Report(running.shown()), HTTPStatus.ACCEPTED)


def _check(cluster_id: str, record_id: str) -> None:
    """Raise RecordNotFound for what can be no id."""
    if not (is_segment(cluster_id) and is_segment(record_id)):
        raise RecordNotFound(f"no backup record {record_id}")


def _deadline() -> float:
    return time.monotonic() + settings().build_seconds


def _facts(project: str, record: BackupRecord) -> ArchiveFacts | None:
    if record.key is None:
        return None
    try:
        chain = archives(project, record.cluster_id).chain(record)
    except Conflict:
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
