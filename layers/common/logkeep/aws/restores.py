"""Restoring a cluster's logs out of archives: appended at their own offsets, so that doing it again changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

from isal import isal_zlib

from logkeep.aws.backup_runs import BackupRuns, backup_runs
from logkeep.aws.backups import BackupStore, backup_store
from logkeep.aws.logs import LogStore, log_store
from logkeep.aws.objects import Bucket
from logkeep.backups import BackupRecord
from logkeep.cuts import Cut
from logkeep.errors import Conflict, Corrupt, LogkeepError, NotFound
from logkeep.fragment import END, RAW_MAX
from logkeep.log import State, Totals
from logkeep.parts import ObjectRange
from logkeep.restores import Piece, RestoreReport, RestoreRequest, Target, plan, targets

_APPENDED_AT_ONCE: Final = 8 * RAW_MAX
_RAW_DEFLATE: Final = -15


class Restores:
    """Restores of one project's cluster."""

    def __init__(self, bucket: Bucket, store: BackupStore, runs: BackupRuns, logs: LogStore) -> None:
        self._bucket = bucket
        self._store = store
        self._runs = runs
        self._logs = logs

    def begin(self, record: BackupRecord, asked: RestoreRequest, now: int) -> RestoreReport:
        """What restoring would do; unless the run is dry, it is noted on the record, for go_on() to do.

        Raises Corrupt where archives that are needed are gone.
        """
        wanted = targets([cut for cut, _ in self._chain(record)], asked.prefix)
        report = RestoreReport(
            state="planned" if asked.dry_run else "running",
            dry_run=asked.dry_run,
            prefix=asked.prefix,
            logs=len(wanted),
            started_at=now,
            finished_at=now if asked.dry_run else None,
        )
        if not asked.dry_run:
            self._store.amend(record, restore=report.model_dump())
            return report
        heads = {str(head.log_id): head for head in self._logs.heads(wanted[0].log_id.owner)} if wanted else {}
        for each in wanted:
            report = report.with_log(str(each.log_id), plan(each, heads.get(str(each.log_id))), 0)
        return report

    def go_on(self, record_id: str, deadline: float) -> bool:
        """Restore what is left, until the deadline (time.monotonic()); whether there is more to do."""
        record = self._store.record(record_id)
        report = RestoreReport.model_validate(record.restore or {})
        if report.state != "running":
            return False
        try:
            chain = self._chain(record)
            wanted = targets([cut for cut, _ in chain], report.prefix)
            for each in wanted[report.done :]:
                if time.monotonic() > deadline:
                    self._store.amend(record, restore=report.model_dump())
                    return True
                outcome, written = self._restore(each, chain)
                report = report.with_log(str(each.log_id), outcome, written)
        except LogkeepError as error:
            failed = {"state": "failed", "failed_msg": str(error), "finished_at": _now()}
            self._store.amend(record, restore=report.model_copy(update=failed).model_dump())
            return False
        done = {"state": "done", "finished_at": _now()}
        self._store.amend(record, restore=report.model_copy(update=done).model_dump())
        return False

    def _chain(self, record: BackupRecord) -> list[tuple[Cut, BackupRecord]]:
        """The cut of a backup and those that it continues, to the full one, with their records."""
        chain: list[tuple[Cut, BackupRecord]] = []
        records = {each.id: each for each in self._store.records()}
        id: str | None = record.id
        while id is not None:
            cut, found = self._runs.cut_of(id), records.get(id)
            if cut is None or found is None or found.key is None:
                raise Corrupt(f"the backup {id} is needed and is not there")
            chain.append((cut, found))
            id = cut.base
        return chain

    def _restore(self, target: Target, chain: Sequence[tuple[Cut, BackupRecord]]) -> tuple[str, int]:
        """Append what a log lacks; what was done, and the bytes that were written."""
        mark, written = target.source.mark, 0
        try:
            before = self._logs.head(target.log_id)
        except NotFound:
            before = None
        outcome = plan(target, before)
        if outcome == "differs":
            return outcome, 0
        try:
            for piece in target.pieces:
                offset = piece.slice.begin.end
                for text in self._texts(piece, *chain[piece.cut]):
                    head, _ = self._logs.append(target.log_id, lambda text=text: iter((text,)), offset)  # type: ignore[misc]  # bound by its default
                    offset += len(text)
                    written = max(written, head.end - (before.end if before else 0))
            if not mark.end:
                self._logs.append(target.log_id, lambda: iter(()), 0)
            head = self._logs.head(target.log_id)
            if head.end == mark.end and head.crc32 != mark.crc32:
                raise Corrupt(f"{target.log_id} was restored with another CRC-32")
            if target.source.state is State.SEALED and head.end == mark.end:
                self._logs.seal(target.log_id, Totals.of_stored({"bytes": mark.end, "crc32": mark.crc32}))
        except Conflict:
            return "differs", 0
        return outcome, written

    def _texts(self, piece: Piece, cut: Cut, record: BackupRecord) -> Iterator[bytes]:
        """The text of a slice out of its archive, as much at once as is appended at once."""
        part = ObjectRange(record.key or "", *cut.archive.content_of(piece.index))
        crc = 0
        for chunk in self._bucket.read([part]):
            crc = isal_zlib.crc32(chunk, crc)
        # Read twice, so that nothing is appended of an archive that does not hold what it should.
        if crc != isal_zlib.crc32(END, piece.slice.packed_crc32):
            raise Corrupt(f"the archive of {record.id} does not hold {piece.slice.log_id} as it was backed up")
        stream = isal_zlib.decompressobj(_RAW_DEFLATE)
        buffer = bytearray()
        for chunk in self._bucket.read([part]):
            rest, text = chunk, b""
            while rest or len(text) == RAW_MAX:
                text = stream.decompress(rest, RAW_MAX)
                rest = stream.unconsumed_tail
                buffer += text
                if len(buffer) >= _APPENDED_AT_ONCE:
                    yield bytes(buffer)
                    buffer.clear()
        if buffer:
            yield bytes(buffer)


def restores(project: str, cluster: str) -> Restores:
    runs = backup_runs(project, cluster)
    return Restores(runs.bucket, backup_store(project, cluster), runs, log_store(project))


def _now() -> int:
    return time.time_ns() // 1_000_000
