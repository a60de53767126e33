"""Runs of backups: the cut, the archive, the comparison of its checksum, in as many invocations as that takes.

Every step can be repeated: the cut is written once and then read, finished parts of the upload are kept, and the end is
one conditional write. So if a worker is killed anywhere, another one can continue.
"""

from __future__ import annotations

import base64
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from botocore.exceptions import ClientError

from logkeep.aws import clients
from logkeep.aws.multipart import Making, Unfinished, UploadGone, assemble, discard
from logkeep.aws.objects import Bucket
from logkeep.backups.archive import Archive
from logkeep.backups.cuts import LOGS_MAX, Cut
from logkeep.backups.event_file_store import EventFileStore
from logkeep.backups.lease_store import Lease, Leases
from logkeep.backups.lock_store import retain
from logkeep.backups.records import BackupRecord, Cluster, Status, chain
from logkeep.backups.slice_store import SliceStore
from logkeep.backups.store import BackupStore, backup_store
from logkeep.backups.work_store import LEASE_OVER, TRIES_MAX
from logkeep.clock import DAY, now_ms
from logkeep.errors import Busy, Corrupt, TooLarge
from logkeep.extents import ObjectRange
from logkeep.logs.store import LogStore, log_store
from logkeep.settings import settings

_RESERVE: Final = 45.0  # seconds of an invocation that one part of an upload may take
_EXISTS: Final = {"PreconditionFailed", "ConditionalRequestConflict"}  # S3's codes if IfNoneMatch fails
_STEP: Final = 64 << 20  # bytes of an archive that are read back between two looks at the clock


@dataclass(frozen=True, slots=True)
class BackupFiles:
    """The keys of the objects of a cluster's backups. The tenant chooses log_path, but nothing before it."""

    project: str
    cluster: str

    @property
    def archives(self) -> str:
        """The prefix of the keys of all archives."""
        return f"backups/{self.project}/{self.cluster}/"

    def archive(self, record: BackupRecord) -> str:
        return f"{self.archives}{record.log_path}/{record.id}.zip"

    def cut(self, record_id: str) -> str:
        return f"cuts/{self.project}/{self.cluster}/{record_id}.json"


class BackupRuns:
    """Runs the backups of one project's cluster."""

    def __init__(self, bucket: Bucket, store: BackupStore, logs: LogStore, project: str, cluster: str) -> None:
        self.bucket = bucket
        self._store = store
        self._leases = Leases(store)
        self._logs = logs
        self._cluster_id = cluster
        self._files = BackupFiles(project, cluster)
        self._events = EventFileStore(bucket, project, cluster)
        self._slices = SliceStore(bucket, logs, project, cluster)

    def resume(self, seconds_left: float, request: str = "") -> bool | None:
        """Continue the backup that was started, as far as the time allows. True if there is more to do.

        Returns None if no backup runs or another request holds the lease. Raises Busy if the time was not enough for
        any step.
        """
        deadline = time.monotonic() + seconds_left - _RESERVE
        lease = self._leases.claim(now_ms(), seconds_left + LEASE_OVER, request)
        if lease is None:
            return None
        if lease.claim.tries > TRIES_MAX:
            why = f"no worker could continue the backup: {TRIES_MAX} orders in a row brought no progress"
            self._leases.finish(lease, lease.record.failed(why, now_ms()))
            return False
        cluster = self._store.cluster(self._logs)
        try:
            cut = self._cut(lease.record, cluster, deadline)
            if isinstance(cut, Unfinished):
                return self._release(lease, cut)
            archive = Archive(cut)
            unfinished = self._work(lease.record, archive, deadline)
        except (Corrupt, TooLarge) as error:
            # After Corrupt, a log may no longer continue the part of it that the last backup holds.
            failed, full_next = lease.record.failed(str(error), now_ms()), isinstance(error, Corrupt)
            if self._leases.finish(lease, failed, full_next=full_next):
                with suppress(ClientError):  # the sweep tries again
                    discard(self.bucket, self._files.archive(failed))
            return False
        if unfinished is not None:
            return self._release(lease, unfinished)
        since_full = 0 if cut.base is None else cluster.since_full + 1
        if self._leases.finish(lease, self._locked(self._succeeded(lease.record, archive)), since_full):
            self._events.discard(cut)
            self._slices.discard(cut)
        return False

    def _release(self, lease: Lease, unfinished: Unfinished) -> bool:
        """Release the lease for the next worker. True, because there is more to do.

        Raises Busy if nothing was done, because the next worker would do no better.
        """
        self._leases.release(lease, now_ms(), progress=unfinished.new_parts > 0)
        if not unfinished.new_parts:
            raise Busy("no step of the backup could be finished in time", retry_after=0)
        return True

    def _locked(self, record: BackupRecord) -> BackupRecord:
        """Lock a backup and those that it continues until the backup's own lock ends.

        An object with a longer lock, from a time of more BackupLockDays, keeps it: S3 refuses to make a lock shorter.
        """
        days, mode = settings().backup_lock_days, settings().backup_lock_mode
        if not days:
            return record
        until = (record.finished_at or 0) + days * DAY
        record = replace(record, locked_until=until, lock_mode=mode)
        for link in chain(record, self._store.find):
            until, mode = max(until, link.locked_until or 0), link.lock_mode or mode
            retain(self.bucket, (self._files.archive(link), self._files.cut(link.id)), until, mode)
        return record

    def cut_of(self, record_id: str) -> Cut | None:
        """The stored cut of a backup; None if there is none."""
        stored = self.bucket.whole(self._files.cut(record_id))
        return Cut.model_validate_json(stored.content) if stored else None

    def _cut(self, record: BackupRecord, cluster: Cluster, deadline: float) -> Cut | Unfinished:
        """The cut of a record, made if there is none yet; Unfinished if time ran out while events were read."""
        if found := self.cut_of(record.id):
            return found
        base = self._base(cluster)
        events = self._events.collect(record.id, cluster.services, base, deadline)
        if isinstance(events, Unfinished):
            return events
        heads = list(islice(self._logs.heads(f"cluster/{self._cluster_id}"), LOGS_MAX + 1))
        if len(heads) > LOGS_MAX:
            raise TooLarge(f"the cluster has more than {LOGS_MAX} logs")
        slices = self._slices.collect(record.id, heads, base, deadline)
        if isinstance(slices, Unfinished):
            return slices
        cut = Cut(
            record_id=record.id,
            cluster_id=self._cluster_id,
            created_at=events.created_at,
            base=base.record_id if base else None,
            logs=slices,
            events=events.files,
        )
        try:
            self.bucket.s3.put_object(
                Bucket=self.bucket.name,
                Key=self._files.cut(record.id),
                Body=cut.model_dump_json().encode(),
                IfNoneMatch="*",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _EXISTS:
                raise
            # Another worker, whose lease has ended, was faster. Its cut counts.
            return self._cut(record, cluster, deadline)
        # Reading the events, or the rest of a fragment, was a step. There may be no time for another.
        return Unfinished(1) if cut.has_staged and time.monotonic() > deadline else cut

    def _base(self, cluster: Cluster) -> Cut | None:
        """The cut that the next backup continues. None if the next one is full, also because an archive is gone."""
        full_every = cluster.full_every or settings().backup_full_every
        if cluster.last_record is None or cluster.full_next or cluster.since_full + 1 >= full_every:
            return None
        records = {each.id: each for each in self._store.records()}
        last, sizes = records.get(cluster.last_record), self.bucket.sizes(self._files.archives)
        links = list(chain(last, records.get)) if last else []
        if not links or links[-1].base is not None:
            return None
        if any(sizes.get(self._files.archive(each)) != each.size for each in links):
            return None
        return self.cut_of(cluster.last_record)

    def _work(self, record: BackupRecord, archive: Archive, deadline: float) -> Unfinished | None:
        """Assemble the archive and compare it; Unfinished if time ran out."""
        key, steps = self._files.archive(record), 0
        if self.bucket.size(key) != archive.layout.size:
            try:
                built = assemble(self.bucket, key, Making(archive.make(self._logs), deadline), archive.layout.size)
            except UploadGone as gone:
                if self.bucket.size(key) != archive.layout.size:
                    return Unfinished(gone.new_parts)
            else:
                if isinstance(built, Unfinished):
                    return built
            steps = 1
        unfinished = self._verify(record, archive, deadline)
        return unfinished and Unfinished(steps + unfinished.new_parts)

    def _verify(self, record: BackupRecord, archive: Archive, deadline: float) -> Unfinished | None:
        """Compare the archive's checksum with the one that follows from the logs; Unfinished if time ran out.

        If S3 does not know the checksum of the whole object, the archive is read back, and the progress is noted.
        Raises Corrupt if the checksums differ.
        """
        key, size = self._files.archive(record), archive.layout.size
        head = self.bucket.s3.head_object(Bucket=self.bucket.name, Key=key, ChecksumMode="ENABLED")
        if head.get("ChecksumType") == "FULL_OBJECT" and "ChecksumCRC32" in head:
            found = int.from_bytes(base64.b64decode(head["ChecksumCRC32"]), "big")
        else:
            noted = record.read_back or {"done": 0, "crc32": 0}
            done, found, steps = noted["done"], noted["crc32"], 0
            while done < size:
                if time.monotonic() > deadline:
                    self._store.note_read_back(record, done, found)
                    return Unfinished(steps)
                step = min(_STEP, size - done)
                found = self._crc32(key, done, step, found)
                done, steps = done + step, steps + 1
        if (head["ContentLength"], found) != (size, archive.layout.crc32):
            raise Corrupt(f"the archive does not hold what was backed up: {self._culprit(key, archive, deadline)}")
        return None

    def _culprit(self, key: str, archive: Archive, deadline: float) -> str:
        """A sentence that names the source with other bytes than were stored, if it is found before the deadline."""
        for index, name in enumerate(archive.sources):
            if time.monotonic() > deadline:
                break
            start, size = archive.content_of(index)
            if self._crc32(key, start, size) != archive.layout.entries[index + 1].packed_crc32:
                return f"the stored bytes of {name} do not match their checksum"
        return "its checksum differs"

    def _crc32(self, key: str, start: int, size: int, before: int = 0) -> int:
        return self.bucket.crc32(ObjectRange(key, start, size), before)

    def _succeeded(self, record: BackupRecord, archive: Archive) -> BackupRecord:
        return replace(
            record,
            status=Status.SUCCESS,
            finished_at=now_ms(),
            lease_until=None,
            key=self._files.archive(record),
            base=archive.cut.base,
            size=archive.layout.size,
            crc32=archive.layout.crc32,
            logs=len(archive.slices),
            raw_size=archive.raw_size,
            read_back=None,
        )


def backup_runs(project: str, cluster: str) -> BackupRuns:
    bucket = Bucket(clients.s3(), settings().bucket)
    return BackupRuns(bucket, backup_store(project, cluster), log_store(project), project, cluster)
