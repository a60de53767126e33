"""Retention of a cluster's backups: holds, and the sweep that deletes expired ones.

A record is marked as expiring first, then its archive and cut are deleted, then the record. So a sweep that is killed
in between is finished by the next one, and no reader sees a record without its archive.
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

LEFT_FOR: Final = 3_600_000  # ms after a backup's end until leftovers are removed; workers live a quarter of that
_RESERVE: Final = 30.0  # seconds of an invocation that one record may take


class Retention:
    """Holds and sweeps of one project's cluster."""

    def __init__(self, bucket: Bucket, store: BackupStore, files: BackupFiles) -> None:
        self._bucket = bucket
        self._store = store
        self._files = files

    def hold(self, id: str) -> None:
        """Keep a record, and those that it continues, until let_go(). A record that expires meanwhile is not found.

        Raises RecordNotFound, or Conflict if the backup runs.
        """
        record = self._store.record(id)
        if record.status is Status.RUNNING:
            raise Conflict("a backup that runs cannot be held")
        self._note(record, hold=True)
        if settings().backup_lock_days:
            self._set_legal_hold(chain(record, self._alive().get), on=True)

    def let_go(self, id: str) -> None:
        """Lift a hold, so that the record can expire. Raises RecordNotFound."""
        record = self._store.record(id)
        self._note(record, hold=None)
        if settings().backup_lock_days:
            links = list(chain(record, self._alive().get))
            held = self._held()
            self._set_legal_hold((each for each in links if each.id not in held), on=False)
            # A request that held one of them meanwhile may have locked it before we unlocked it: lock it again.
            # A request from now on locks after us.
            held = self._held()
            self._set_legal_hold((each for each in links if each.id in held), on=True)

    def sweep(self, now: int, seconds_left: float) -> bool:
        """Delete expired backups and leftovers. True if time ran out before the end. `now` in epoch ms.

        Raises Busy if the time was not enough for one record.
        """
        deadline = time.monotonic() + seconds_left - _RESERVE
        for number, _ in enumerate(self._steps(now)):
            if time.monotonic() > deadline:
                if number == 0:
                    raise Busy("no record could be deleted in time", retry_after=0)
                return True
        return False

    def _steps(self, now: int) -> Iterator[None]:
        """Delete record by record, yielding before each."""
        # The cluster is read before the records. If a backup ends between the two reads, the backup that it continues
        # is `last_record` here, or the records that are read next include both.
        cluster = self._store.items.get("cluster") or {}
        records = [record_of(item) for item in self._store.items.newest("record/")]
        alive = {each.id: each for each in records if not each.expiring}
        keep_days = cluster.get("keep_days", settings().backup_keep_days)
        marked = [each for each in records if each.expiring]
        over = expired(alive.values(), now, keep_days, cluster.get("last_record"))
        for record in records:
            if record.leftovers and (record.finished_at or now) + LEFT_FOR < now:
                yield
                self._tidy(record)
        kept: set[str] = set()
        for record in [*marked, *over]:
            yield
            if record.id in kept:
                continue
            if record.expiring or self._mark(record):
                self._delete(record)
            else:
                # It was held, restored or verified meanwhile. What it continues comes later in this loop and must stay.
                kept.update(each.id for each in chain(record, alive.get))

    def _tidy(self, record: BackupRecord) -> None:
        """Remove what a backup's workers left: after a failure everything, after a success all but the archive."""
        (abort if record.status is Status.SUCCESS else discard)(self._bucket, self._files.archive(record))
        self._store.items.try_update(sort_key(record), {"leftovers": None}, {"id": record.id})

    def _mark(self, record: BackupRecord) -> bool:
        """Mark a record as expiring. False if it was held, restored or verified since it was read."""
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
        """The ids of the records that are held, and of those that they continue."""
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
