"""Restores of a cluster's logs from archives.

Text is appended at its own offset, so a repeated restore changes nothing. Two workers on one restore do no harm: each
finds that the log holds what the other has written. The progress is noted on the backup record.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Final

from isal import isal_zlib

from logkeep.aws.dynamo import attempts
from logkeep.aws.multipart import TimeUp
from logkeep.backups.records import BackupRecord
from logkeep.errors import Busy, Conflict, Corrupt, LogDeleted, LogNotFound
from logkeep.extents import ObjectRange
from logkeep.limits import FRAGMENT_MAX
from logkeep.logid import LogId
from logkeep.logs.deletion import Deletion
from logkeep.logs.fragment import NotDeflate, combine_crc32, inflated
from logkeep.logs.head import Head, State
from logkeep.logs.labels import NONE
from logkeep.logs.store import LogStore, log_store
from logkeep.restores.archive_store import Archives, archives
from logkeep.restores.plan import Checked, Outcome, Piece, RestoreReport, RestoreRequest, Target, plan, targets
from logkeep.restores.progress_store import Progress, Superseded, in_time, job_of

_AT_ONCE: Final = 8 * FRAGMENT_MAX  # bytes of text of one append
_KEPT_MAX: Final = 8 << 20  # packed bytes of a piece that is kept in memory; a larger one is checked, then read again
_STEP: Final = 64 << 20  # bytes that are checked between two looks at the clock
_ROWS_MAX: Final = 20_000  # rows of a log that are read to compare its beginning
_DRY_ROWS_MAX: Final = 5_000  # the same for a dry run, which is one request
_DRY_TEXT_MAX: Final = 256 << 20  # bytes of text of a piece that a dry run inflates
_COMPARED_MAX: Final = 500  # logs whose beginning a dry run compares
_INSTEAD: Final = "restore them under a prefix, which harms nothing"

type _Running = Progress[RestoreReport]


class Restores:
    """Restores of one project's cluster."""

    def __init__(self, archives: Archives, logs: LogStore) -> None:
        self._archives = archives
        self._bucket = archives.bucket
        self._logs = logs

    def begin(
        self, record_id: str, request: RestoreRequest, now: int, *, ordered: bool = True
    ) -> tuple[RestoreReport, bool]:
        """Begin a restore, or find the one that runs. Returns its report, and whether a worker must be ordered.

        With `ordered` false it waits for its turn, and none must be.

        Raises RecordNotFound, Conflict if archives are missing or a restore with another prefix runs, or Busy.
        """
        for _ in attempts():
            record = self._archives.finished(record_id)
            running = job_of(record, "restore", RestoreReport)
            if running and running.is_running(now):
                if (running.prefix, running.deleted) != (request.prefix, request.deleted):
                    raise Conflict(f"another restore, with the prefix {running.prefix!r}, is running; wait for its end")
                return running, running.is_untouched and ordered
            self._archives.check_exist(self._archives.chain(record))
            report = RestoreReport.begin(uuid.uuid4().hex, request, now)
            if self._archives.store.begin_job(record, "restore", report.model_dump(), now, ordered=ordered):
                return report, ordered
        raise Busy("too many restores are requested at once", retry_after=1)

    def planned(self, record_id: str, request: RestoreRequest, now: int, deadline: float) -> RestoreReport:
        """What a restore would do. Logs that are there are compared until the deadline (time.monotonic()).

        Raises RecordNotFound, Conflict if archives are missing, or TooLarge.
        """
        record = self._archives.finished(record_id)
        chain = self._archives.chain(record)
        self._archives.check_size(chain, _INSTEAD)
        self._archives.check_exist(chain)
        wanted = targets(in_time(self._archives.cuts(chain), deadline, _INSTEAD), request.prefix)
        ids = {each.log_id for each in wanted}
        found = in_time(self._logs.heads(wanted[0].log_id.owner), deadline, _INSTEAD) if wanted else ()
        heads = {head.log_id: head for head in found if head.log_id in ids}
        deletions = defaultdict[LogId, list[Deletion]](list)
        if wanted and not request.deleted:
            for deletion in in_time(self._logs.deletions.of_owner(wanted[0].source.owner), deadline, _INSTEAD):
                deletions[deletion.log_id].append(deletion)
        report = RestoreReport.begin("", request.model_copy(update={"dry_run": True}), now, len(wanted))
        compared = 0
        for each in wanted:
            if each.was_deleted(deletions[each.source]):
                report = report.with_log(each.log_id, Outcome.DELETED)
                continue
            head = heads.get(each.log_id)
            outcome, sure = plan(each, head)
            why = ""
            if head and not sure and compared < _COMPARED_MAX and time.monotonic() < deadline:
                compared += 1
                try:
                    outcome, sure = self._compared(each, head, chain, outcome)
                except Corrupt as error:
                    outcome, sure, why = Outcome.FAILED, True, f"{each.log_id}: {error}"
            missing = each.end - (head.end if head else 0)
            adds = missing if outcome in {Outcome.NEW, Outcome.GROW} else 0
            report = report.with_log(each.log_id, outcome, adds, sure=sure, why=why)
        return report

    def resume(self, record_id: str, run: str, deadline: float) -> bool:
        """Continue a restore until the deadline (time.monotonic()). True if there is more to do.

        Raises Busy if the time was not enough for any step.
        """
        try:
            progress = Progress(self._archives.store, "restore", RestoreReport, record_id, run, deadline)
            return progress.run(lambda: self._restore_all(progress))
        except Superseded:
            return False

    def give_up(self, record_id: str, run: str, why: str) -> None:
        """End the job as failed, if it still runs."""
        with suppress(Superseded):
            Progress(self._archives.store, "restore", RestoreReport, record_id, run, 0).end(why)

    def _restore_all(self, progress: _Running) -> None:
        chain = self._archives.chain(progress.record)
        self._archives.check_exist(chain)
        try:
            wanted = targets(self._archives.cuts(chain), progress.job.prefix)
        except Corrupt as error:
            raise Conflict(str(error)) from error
        progress.change(logs=len(wanted))
        while progress.job.done < len(wanted):
            if progress.is_late:
                raise TimeUp
            self._restore(wanted[progress.job.done], chain, progress)

    def _restore(self, target: Target, chain: Sequence[BackupRecord], progress: _Running) -> None:
        """Append and seal one log, unless it holds other bytes or was deleted."""
        if not progress.job.deleted and target.was_deleted(self._logs.deletions.of_log(target.source)):
            progress.job = progress.job.with_log(target.log_id, Outcome.DELETED)
            progress.step()
            return
        head, begun = self._head(target), progress.job.begun
        outcome, sure = plan(target, head)
        try:
            if outcome in {Outcome.NEW, Outcome.GROW}:
                outcome, sure = self._write(target, head, chain, progress, begun or outcome), True
            elif head and outcome is Outcome.HELD:
                outcome, sure = (begun, True) if begun else self._begins_with(target, head, _ROWS_MAX)
            if outcome is not Outcome.DIFFERS:
                self._seal(target)
                self._logs.file(target.log_id)
        except Corrupt as error:
            progress.job = progress.job.with_log(target.log_id, Outcome.FAILED, why=f"{target.log_id}: {error}")
        except (LogDeleted, LogNotFound):  # while it was written
            progress.job = progress.job.with_log(target.log_id, Outcome.DELETED)
        else:
            progress.job = progress.job.with_log(target.log_id, outcome, sure=sure)
        progress.step()

    def _write(
        self,
        target: Target,
        head: Head | None,
        chain: Sequence[BackupRecord],
        progress: _Running,
        begun: Outcome,
    ) -> Outcome:
        """Append the bytes that a log lacks. Returns `begun`, or DIFFERS if the log holds other bytes.

        Raises Corrupt if an archive does not hold what it should.
        """
        held = head.end if head else 0
        labels = NONE if head else target.labels  # a log that is there keeps its own
        progress.change(begun=begun)
        if target.end - held > _AT_ONCE:
            progress.note()  # for the worker that continues
        try:
            if not target.pieces:
                self._logs.append(target.log_id, lambda: iter(()), 0, time_zone=target.time_zone, labels=labels)
            for number, piece in enumerate(target.pieces):
                if piece.end <= held:
                    continue
                content = self._checked(target, number, chain, progress)
                crc32 = piece.crc32
                for offset, text in _texts(piece, content()):
                    known, new = text[: max(0, held - offset)], text[max(0, held - offset) :]
                    if known and head:
                        crc32 = isal_zlib.crc32(known, crc32)
                        if offset + len(known) == held and crc32 != head.crc32:
                            return Outcome.DIFFERS
                    if new:
                        self._logs.append(
                            target.log_id,
                            (new,).__iter__,
                            offset + len(known),
                            time_zone=target.time_zone,
                            received_at=target.received_at,
                            labels=labels,
                        )
                        progress.step(bytes=progress.job.bytes + len(new))
        except Conflict:
            return Outcome.DIFFERS
        after = self._logs.head(target.log_id)
        if after.end == target.end and after.crc32 != target.crc32:
            raise Corrupt("after the restore its CRC-32 is not the one of the backup")
        return begun

    def _checked(
        self, target: Target, number: int, chain: Sequence[BackupRecord], progress: _Running
    ) -> Callable[[], Iterable[bytes]]:
        """A function that gives the packed bytes of a piece, once they were checked. Raises Corrupt if they differ."""
        piece = target.pieces[number]
        record, log = chain[piece.archive], progress.job.done
        where = ObjectRange(record.key or "", piece.start, piece.size)
        content: Callable[[], Iterable[bytes]]
        if piece.size <= _KEPT_MAX:
            data = b"".join(self._bucket.read([where]))
            crc32, content = isal_zlib.crc32(data), lambda: (data,)
        else:
            noted = progress.job.checked
            done, crc32 = (noted.done, noted.crc32) if noted and (noted.log, noted.piece) == (log, number) else (0, 0)
            while done < piece.size:
                step = min(_STEP, piece.size - done)
                crc32 = self._bucket.crc32(ObjectRange(where.key, where.start + done, step), crc32)
                done += step
                progress.step(checked=Checked(log=log, piece=number, done=done, crc32=crc32))
            content = partial(self._bucket.read, [where])
        if crc32 != piece.packed_crc32:
            raise Corrupt(f"the archive of the backup {record.id} does not hold its bytes {piece.begin} to {piece.end}")
        return content

    def _seal(self, target: Target) -> None:
        """Seal a log as it was, if it ends where it ended then."""
        totals = target.totals()
        head = self._logs.head(target.log_id)
        if totals and head.end == target.end and head.state is State.OPEN:
            with suppress(Conflict):  # it has grown since
                self._logs.seal(target.log_id, totals)

    # Comparing

    def _head(self, target: Target) -> Head | None:
        try:
            return self._logs.head(target.log_id)
        except LogNotFound:
            return None

    def _begins_with(self, target: Target, head: Head, most: int) -> tuple[Outcome, bool]:
        """Compare the beginning of a longer log with the backup: HELD or DIFFERS, and whether that is certain.

        It is not certain if the beginning has more than `most` fragments.
        """
        crc32, end = 0, 0
        for row in islice(self._logs.rows(head, 0, target.end), most):
            each = row.fragment
            end = min(each.end, target.end)
            if each.end <= target.end:
                crc32 = combine_crc32(crc32, each.crc32, each.raw)
            else:
                crc32 = isal_zlib.crc32(self._logs.text(row)[: end - each.offset], crc32)
        sure = end == target.end
        return Outcome.DIFFERS if sure and crc32 != target.crc32 else Outcome.HELD, sure

    def _compared(
        self, target: Target, head: Head, chain: Sequence[BackupRecord], outcome: Outcome
    ) -> tuple[Outcome, bool]:
        """What a restore would do to a log whose bytes must be compared, and whether that is certain.

        It is not certain if there are too many bytes.
        """
        if outcome is Outcome.HELD:
            return self._begins_with(target, head, _DRY_ROWS_MAX)
        (piece,) = (each for each in target.pieces if each.begin < head.end < each.end)
        if piece.size > _KEPT_MAX or piece.end - piece.begin > _DRY_TEXT_MAX:
            return outcome, False
        where = ObjectRange(chain[piece.archive].key or "", piece.start, piece.size)
        crc32 = piece.crc32
        for offset, text in _texts(piece, self._bucket.read([where])):
            crc32 = isal_zlib.crc32(text[: max(0, head.end - offset)], crc32)
        return outcome if crc32 == head.crc32 else Outcome.DIFFERS, True


def _texts(piece: Piece, packed: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The text of a piece in stretches of about _AT_ONCE bytes, each with its offset in the log.

    Raises Corrupt if the bytes do not inflate to the whole piece.
    """
    buffer, offset = bytearray(), piece.begin
    try:
        for text in inflated(packed):
            buffer += text
            if len(buffer) >= _AT_ONCE:
                yield offset, bytes(buffer)
                offset += len(buffer)
                buffer.clear()
    except NotDeflate as error:
        raise Corrupt(f"its bytes from {offset} on cannot be inflated: {error}") from error
    if buffer:
        yield offset, bytes(buffer)
    if offset + len(buffer) != piece.end:
        raise Corrupt(f"the archive holds it up to byte {offset + len(buffer)}, not up to {piece.end}")


def restores(project: str, cluster: str) -> Restores:
    return Restores(archives(project, cluster), log_store(project))
