"""What a cluster keeps of its backups: holds, and the sweep that deletes those that have had their time.

A record is marked as expiring first, then its archive and cut are deleted, then the record. So whoever is killed in
between is followed by one that finishes it, and nobody is shown a record without its archive.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from logkeep.aws import clients
from logkeep.aws.dynamo import transact
from logkeep.aws.multipart import abort, discard
from logkeep.aws.objects import Bucket
from logkeep.backups.lock_store import set_legal_hold
from logkeep.backups.records import BackupRecord, Status, chain
from logkeep.backups.retention import expired
from logkeep.backups.runs import BackupFiles
from logkeep.backups.store import BackupStore, backup_store, record_of, sort_key
from logkeep.errors import Busy, Conflict, RecordNotFound
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

LEFT_FOR: Final = 3_600_000  # ms behind a backup's end, for workers whose lease has ended: they live a quarter of that
_RESERVE: Final = 30.0  # seconds of an invocation that one record may take


class Retention:
    """Of one project's cluster."""

    def __init__(self, bucket: Bucket, store: BackupStore, files: BackupFiles) -> None:
        self._bucket = bucket
        self._store = store
        self._files = files

    def hold(self, id: str) -> None:
        """Keep a record, and those that it continues, until it is let go. Raise RecordNotFound, Conflict.

        A record that is about to expire meanwhile is either held or not found.
        """
        record = self._store.record(id)
        if record.status is Status.RUNNING:
            raise Conflict("a backup that runs cannot be held")
        self._note(record, hold=True)
        if settings().backup_lock_days:
            self._set_legal_hold(chain(record, self._alive().get), on=True)

    def let_go(self, id: str) -> None:
        """Let a record expire in its time. Raise RecordNotFound."""
        record = self._store.record(id)
        self._note(record, hold=None)
        if settings().backup_lock_days:
            links = list(chain(record, self._alive().get))
            held = self._held()
            self._set_legal_hold((each for each in links if each.id not in held), on=False)
            # Who held one of them meanwhile may have locked it before us; whoever comes now does so behind us.
            held = self._held()
            self._set_legal_hold((each for each in links if each.id in held), on=True)

    def sweep(self, now: int, seconds_left: float) -> bool:
        """Delete what has had its time (now in epoch ms); whether there is more to do. Raise Busy without any time."""
        deadline = time.monotonic() + seconds_left - _RESERVE
        for number, _ in enumerate(self._steps(now)):
            if time.monotonic() > deadline:
                if number == 0:
                    raise Busy("no record could be deleted in time", retry_after=0)
                return True
        return False

    def _steps(self, now: int) -> Iterator[None]:
        """Delete record by record, with a pause before each."""
        # Before the records: what a backup continues that ends in between is the last one here, or its base there.
        cluster = self._store.items.get("cluster") or {}
        records = [record_of(item) for item in self._store.items.newest("record/")]
        alive = {each.id: each for each in records if not each.expiring}
        keep_days = cluster.get("keep_days", settings().backup_keep_days)
        begun = [each for each in records if each.expiring]
        over = expired(alive.values(), now, keep_days, cluster.get("last_record"))
        for record in records:
            if record.leftovers and (record.finished_at or now) + LEFT_FOR < now:
                yield
                self._tidy(record)
        kept: set[str] = set()
        for record in [*begun, *over]:
            yield
            if record.id in kept:
                continue
            if record.expiring or self._mark(record):
                self._delete(record)
            else:
                # Held or read meanwhile: what it continues comes behind it here, and stays with it.
                kept.update(each.id for each in chain(record, alive.get))

    def _tidy(self, record: BackupRecord) -> None:
        """Remove what a backup's workers left: of one that failed all, of a success what is not its archive."""
        (abort if record.status is Status.SUCCESS else discard)(self._bucket, self._files.archive(record))
        self._store.items.try_update(sort_key(record), {"leftovers": None}, {"id": record.id})

    def _mark(self, record: BackupRecord) -> bool:
        read = {"restore": record.restore, "verification": record.verification}
        seen = {"id": record.id, "hold": None, "expiring": None, **read}
        return self._store.items.try_update(sort_key(record), {"expiring": True}, seen)

    def _delete(self, record: BackupRecord) -> None:
        for key in self._keys(record):
            self._bucket.s3.delete_object(Bucket=self._bucket.name, Key=key)
        items = self._store.items
        deletes: list[TransactWriteItemTypeDef] = [
            {"Delete": items.key(sort_key(record))},
            {"Delete": items.key(f"id/{record.id}")},
        ]
        transact(items.dynamodb, deletes)

    def _note(self, record: BackupRecord, *, hold: bool | None) -> None:
        seen = {"id": record.id, "expiring": None}
        if not self._store.items.try_update(sort_key(record), {"hold": hold}, seen):
            raise RecordNotFound(f"no backup record {record.id}")

    def _alive(self) -> Mapping[str, BackupRecord]:
        return {each.id: each for each in self._store.records()}

    def _held(self) -> set[str]:
        """The ids of what is held, and of what that continues."""
        alive = self._alive()
        return {link.id for each in alive.values() if each.hold for link in chain(each, alive.get)}

    def _set_legal_hold(self, records: Iterable[BackupRecord], *, on: bool) -> None:
        for each in records:
            set_legal_hold(self._bucket, self._keys(each), on=on)

    def _keys(self, record: BackupRecord) -> tuple[str, str]:
        return self._files.archive(record), self._files.cut(record.id)


def retention(project: str, cluster: str) -> Retention:
    bucket = Bucket(clients.s3(), settings().bucket)
    return Retention(bucket, backup_store(project, cluster), BackupFiles(project, cluster))
