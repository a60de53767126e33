"""Verifications of archives by their attributes, by samples, or in full."""

from __future__ import annotations

import base64
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from botocore.exceptions import ClientError

from logkeep.aws.dynamo import attempts
from logkeep.aws.multipart import TimeUp
from logkeep.aws.objects import is_absent
from logkeep.backups.archive import Archive
from logkeep.backups.records import BackupRecord
from logkeep.clock import now_ms
from logkeep.errors import Busy, Conflict, Corrupt
from logkeep.extents import ObjectRange
from logkeep.restores.archive_store import Archives, archives
from logkeep.restores.progress_store import Progress, Superseded, in_time, job_of
from logkeep.restores.verification import FAILURES_MAX, Mode, Sample, Verification, sampled

_STEP: Final = 64 << 20  # bytes that are read between two looks at the clock
_CHANCE: Final = random.SystemRandom()
_INSTEAD: Final = "ask for mode full"

type _Running = Progress[Verification]


class Verifications:
    """Verifications of the archives of one project's cluster."""

    def __init__(self, archives: Archives) -> None:
        self._archives = archives
        self._bucket = archives.bucket

    def at_once(self, record_id: str, mode: Mode, now: int, deadline: float) -> Verification:
        """Verify attributes, and in mode sample as many samples as the deadline (time.monotonic()) allows.

        Raises RecordNotFound, Conflict if there is no archive or a verification runs, TooLarge, or Busy if the time is
        not enough for the attributes.
        """
        found = self._verified(self._free(record_id, now), mode, now, deadline).ended(now_ms())
        for _ in attempts():
            record = self._free(record_id, now)
            if self._archives.store.amend(record, {"verification": found.model_dump()}):
                return found
        raise Busy("too many verifications are requested at once", retry_after=1)

    def begin(self, record_id: str, now: int, *, ordered: bool = True) -> tuple[Verification, bool]:
        """Begin a full verification, or find the one that runs. Also says whether a worker must be ordered.

        With `ordered` false it waits for its turn, and none must be.

        Raises RecordNotFound, Conflict if there is no archive, or Busy.
        """
        for _ in attempts():
            record = self._archives.finished(record_id)
            running = job_of(record, "verification", Verification)
            if running and running.is_running(now):
                return running, running.is_untouched and ordered
            chain, _ = self._chain(record)
            started = Verification.begin("full", uuid.uuid4().hex, now)
            started = started.model_copy(update={"total": sum(each.size or 0 for each in chain)})
            if self._archives.store.begin_job(record, "verification", started.model_dump(), now, ordered=ordered):
                return started, ordered
        raise Busy("too many verifications are requested at once", retry_after=1)

    def resume(self, record_id: str, run: str, deadline: float) -> bool:
        """Continue a full verification until the deadline (time.monotonic()). True if there is more to do.

        Raises Busy if the time was not enough for any step.
        """
        try:
            progress = Progress(self._archives.store, "verification", Verification, record_id, run, deadline)
            return progress.run(lambda: self._read_all(progress))
        except Superseded:
            return False

    def give_up(self, record_id: str, run: str, why: str) -> None:
        """End the job as failed, if it still runs."""
        with suppress(Superseded):
            Progress(self._archives.store, "verification", Verification, record_id, run, 0).end(why)

    def _free(self, record_id: str, now: int) -> BackupRecord:
        """The record, if no verification of it runs. Raises RecordNotFound or Conflict."""
        record = self._archives.finished(record_id)
        running = job_of(record, "verification", Verification)
        if running and running.is_running(now):
            raise Conflict("a verification in full is running; wait for its end")
        return record

    def _chain(self, record: BackupRecord) -> tuple[list[BackupRecord], list[str]]:
        """The chain of a backup. If it is broken: the backup alone, and what is wrong."""
        try:
            return self._archives.chain(record), []
        except Conflict as error:
            return [record], [str(error)]

    # Attributes and samples

    def _verified(self, record: BackupRecord, mode: Mode, now: int, deadline: float) -> Verification:
        chain, wrong = self._chain(record)
        self._archives.check_size(chain, _INSTEAD)
        found = Verification.begin(mode, uuid.uuid4().hex, now).failed(*wrong)
        found = found.model_copy(update={"total": len(chain)})
        for each in chain:
            if time.monotonic() > deadline:
                raise Busy(f"there is no time to verify the chain of {len(chain)} backups; {_INSTEAD}", 60)
            found = found.failed(*self._attributes(each)).with_done(1)
        samples: list[Sample] = []
        try:
            cuts = in_time(self._archives.cuts(chain), deadline, _INSTEAD)
            if mode == "attributes":
                for _ in cuts:
                    pass
            else:
                samples = sampled((Archive(cut).layout for cut in cuts), _CHANCE)
        except Conflict as error:
            return found.failed(str(error))
        found = found.model_copy(update={"total": found.total + len(samples)})
        for sample in samples:
            if time.monotonic() > deadline:
                break
            found = self._with_sample(sample, chain, found)
        return found

    def _attributes(self, record: BackupRecord) -> Iterator[str]:
        """What is wrong with the size and the checksum of an archive, as the bucket reports them."""
        try:
            head = self._bucket.s3.head_object(Bucket=self._bucket.name, Key=record.key or "", ChecksumMode="ENABLED")
        except ClientError as error:
            if not is_absent(error):
                raise
            yield f"the archive of the backup {record.id} is missing"
            return
        if head["ContentLength"] != record.size:
            yield f"the archive of the backup {record.id} has {head['ContentLength']} bytes, not {record.size}"
        if head.get("ChecksumType") == "FULL_OBJECT" and "ChecksumCRC32" in head:
            crc32 = int.from_bytes(base64.b64decode(head["ChecksumCRC32"]), "big")
            if crc32 != record.crc32:
                yield f"the archive of the backup {record.id} has the CRC-32 {crc32:08x}, not {record.crc32:08x}"

    def _with_sample(self, sample: Sample, chain: Sequence[BackupRecord], found: Verification) -> Verification:
        record = chain[sample.archive]
        try:
            packed = b"".join(self._bucket.read([ObjectRange(record.key or "", sample.start, sample.size)]))
        except Corrupt as error:
            return found.failed(str(error)).with_done(1)
        if not sample.is_held_by(packed):
            found = found.failed(_wrong(sample.entry.name, record))
        return found.with_done(1, read=len(packed))

    # In full

    def _read_all(self, progress: _Running) -> None:
        chain, wrong = self._chain(progress.record)
        progress.job = progress.job.failed(*(each for each in wrong if each not in progress.job.failures))
        while progress.job.archive < len(chain):
            if progress.is_late:
                raise TimeUp
            record = chain[progress.job.archive]
            wrong = list(self._attributes(record))
            if wrong or self._crc32(record, progress) != record.crc32:
                wrong += self._culprits(record, progress)
            job = progress.job.failed(*wrong)
            rest = (record.size or 0) - job.offset
            after = {"archive": job.archive + 1, "offset": 0, "crc32": 0, "done": job.done + rest}
            progress.job = job.model_copy(update=after)
            progress.step()

    def _crc32(self, record: BackupRecord, progress: _Running) -> int:
        """The CRC-32 of an archive, read from where the job has come to."""
        size = record.size or 0
        while (job := progress.job).offset < size:
            step = min(_STEP, size - job.offset)
            crc32 = self._bucket.crc32(ObjectRange(record.key or "", job.offset, step), job.crc32)
            moved = {"offset": job.offset + step, "done": job.done + step, "bytes": job.bytes + step}
            progress.step(**moved, crc32=crc32)
        return progress.job.crc32

    def _culprits(self, record: BackupRecord, progress: _Running) -> list[str]:
        """Names the damaged files of an archive, as far as the time allows."""
        if self._bucket.size(record.key or "") is None:
            return []
        try:
            (cut,) = self._archives.cuts([record])
        except Conflict as error:
            return [str(error)]
        wrong: list[str] = []
        layout = Archive(cut).layout
        for index, entry in enumerate(layout.entries):
            if progress.is_late or len(wrong) == FAILURES_MAX:
                break
            where = ObjectRange(record.key or "", layout.content_start(index), entry.packed)
            try:
                is_held = self._bucket.crc32(where) == entry.packed_crc32
            except Corrupt:
                is_held = False  # the archive ends before it
            if not is_held:
                wrong.append(_wrong(entry.name, record))
        return wrong or [f"the archive of the backup {record.id} does not have its CRC-32"]


def _wrong(name: str, record: BackupRecord) -> str:
    return f"{name} in the archive of the backup {record.id} is not what was backed up"


def verifications(project: str, cluster: str) -> Verifications:
    return Verifications(archives(project, cluster))
