"""Looking whether archives still hold what they should: at their attributes, into some files, or at every byte."""

from __future__ import annotations

import base64
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Final

from botocore.exceptions import ClientError

from logkeep.aws.dynamo import attempts
from logkeep.aws.objects import is_absent
from logkeep.backups.records import BackupRecord
from logkeep.clock import now_ms
from logkeep.errors import Busy, Conflict, Corrupt
from logkeep.extents import ObjectRange
from logkeep.restores.archive_store import Archives, archives
from logkeep.restores.progress_store import Progress, Superseded, TimeUp, in_time, job_of
from logkeep.restores.verification import FAILURES_MAX, Mode, Sample, Verification, sampled

_STEP: Final = 64 << 20  # bytes that are read between two looks at the clock
_CHANCE: Final = random.SystemRandom()
_INSTEAD: Final = "ask for mode full"

type _Running = Progress[Verification]


class Verifications:
    """Of the archives of one project's cluster."""

    def __init__(self, archives: Archives) -> None:
        self._archives = archives
        self._bucket = archives.bucket

    def at_once(self, record_id: str, mode: Mode, now: int, deadline: float) -> Verification:
        """The result of looking at attributes, or at samples until the deadline (time.monotonic()).

        Raises RecordNotFound, Conflict where there is no archive or a verification runs, or Busy where the time is not
        enough for the attributes.
        """
        found = self._looked_at(self._free(record_id, now), mode, now, deadline).ended(now_ms())
        for _ in attempts():
            record = self._free(record_id, now)
            if self._archives.store.amend(record, {"verification": found.model_dump()}):
                return found
        raise Busy("too many verifications are asked for at once", retry_after=1)

    def begin(self, record_id: str, now: int) -> tuple[Verification, bool]:
        """A verification in full that is new, or runs already; and whether go_on() is to be asked for."""
        for _ in attempts():
            record = self._archives.finished(record_id)
            running = job_of(record, "verification", Verification)
            if running and running.is_running(now):
                return running, running.is_untouched
            chain, _ = self._chain(record)
            begun = Verification.begin("full", uuid.uuid4().hex, now)
            begun = begun.model_copy(update={"total": sum(each.size or 0 for each in chain)})
            if self._archives.store.amend(record, {"verification": begun.model_dump()}):
                return begun, True
        raise Busy("too many verifications are asked for at once", retry_after=1)

    def go_on(self, record_id: str, run: str, deadline: float) -> bool:
        """Read what is left of the archives, until the deadline; whether there is more to do.

        Raises Busy where the time was not enough for any step.
        """
        try:
            progress = Progress(self._archives.store, "verification", Verification, record_id, run, deadline)
            return progress.run(lambda: self._read_all(progress))
        except Superseded:
            return False

    def _free(self, record_id: str, now: int) -> BackupRecord:
        record = self._archives.finished(record_id)
        running = job_of(record, "verification", Verification)
        if running and running.is_running(now):
            raise Conflict("a verification in full is running; wait for its end")
        return record

    def _chain(self, record: BackupRecord) -> tuple[list[BackupRecord], list[str]]:
        """What is left of a chain, and what is wrong with it."""
        try:
            return self._archives.chain(record), []
        except Conflict as error:
            return [record], [str(error)]

    # Attributes and samples

    def _looked_at(self, record: BackupRecord, mode: Mode, now: int, deadline: float) -> Verification:
        chain, wrong = self._chain(record)
        self._archives.check_size(chain, _INSTEAD)
        found = Verification.begin(mode, uuid.uuid4().hex, now).failed(*wrong)
        found = found.model_copy(update={"total": len(chain)})
        for each in chain:
            if time.monotonic() > deadline:
                raise Busy(f"the chain of {len(chain)} backups is too long to be looked at; {_INSTEAD}", 60)
            found = found.failed(*self._attributes(each)).with_done(1)
        samples: list[Sample] = []
        try:
            cuts = in_time(self._archives.cuts(chain), deadline, _INSTEAD)
            if mode == "attributes":
                for _ in cuts:
                    pass
            else:
                samples = sampled((cut.archive.layout for cut in cuts), _CHANCE)
        except Conflict as error:
            return found.failed(str(error))
        found = found.model_copy(update={"total": found.total + len(samples)})
        for sample in samples:
            if time.monotonic() > deadline:
                break
            found = self._looked_into(sample, chain, found)
        return found

    def _attributes(self, record: BackupRecord) -> Iterator[str]:
        """What the bucket tells of an archive that it should not."""
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

    def _looked_into(self, sample: Sample, chain: Sequence[BackupRecord], found: Verification) -> Verification:
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
        if progress.job.is_untouched:
            progress.job = progress.job.failed(*wrong)
        while progress.job.archive < len(chain):
            if progress.is_late:
                raise TimeUp
            record = chain[progress.job.archive]
            wrong = list(self._attributes(record))
            if wrong or self._crc32(record, progress) != record.crc32:
                wrong += self._culprits(record, progress)
            job = progress.job.failed(*wrong)
            rest = (record.size or 0) - job.offset
            behind = {"archive": job.archive + 1, "offset": 0, "crc32": 0, "done": job.done + rest}
            progress.job = job.model_copy(update=behind)
            progress.step()

    def _crc32(self, record: BackupRecord, progress: _Running) -> int:
        size = record.size or 0
        while (job := progress.job).offset < size:
            step = min(_STEP, size - job.offset)
            crc32 = self._bucket.crc32(ObjectRange(record.key or "", job.offset, step), job.crc32)
            moved = {"offset": job.offset + step, "done": job.done + step, "bytes": job.bytes + step}
            progress.step(**moved, crc32=crc32)
        return progress.job.crc32

    def _culprits(self, record: BackupRecord, progress: _Running) -> list[str]:
        """Which files of an archive are not what they should be, as far as the time allows."""
        if self._bucket.size(record.key or "") is None:
            return []
        try:
            (cut,) = self._archives.cuts([record])
        except Conflict as error:
            return [str(error)]
        wrong: list[str] = []
        layout = cut.archive.layout
        for index, entry in enumerate(layout.entries):
            if progress.is_late or len(wrong) == FAILURES_MAX:
                break
            where = ObjectRange(record.key or "", layout.content_start(index), entry.packed)
            try:
                is_held = self._bucket.crc32(where) == entry.packed_crc32
            except Corrupt:
                is_held = False  # it ends before
            if not is_held:
                wrong.append(_wrong(entry.name, record))
        return wrong or [f"the archive of the backup {record.id} does not have its CRC-32"]


def _wrong(name: str, record: BackupRecord) -> str:
    return f"{name} in the archive of the backup {record.id} is not what was backed up"


def verifications(project: str, cluster: str) -> Verifications:
    return Verifications(archives(project, cluster))
