"""How a backup's logs are joined again from the archives of its chain: requests, targets, outcomes, reports."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from logkeep.backups.archive import Archive
from logkeep.backups.cuts import Cut, Mark, Slice
from logkeep.backups.jobs import Job, Shown
from logkeep.errors import Corrupt, Invalid
from logkeep.logid import SEGMENT_PATTERN, LogId, is_segment
from logkeep.logs.deletion import Deletion
from logkeep.logs.head import Head, State, Totals
from logkeep.logs.labels import Labels

SHOWN_MAX: Final = 50  # logs that a report names under `differs`, and under `failures`


def _prefix(text: str) -> str:
    if text and not is_segment(text):
        raise ValueError("must be of A-Z a-z 0-9 . _ -")
    return text


class RestoreRequest(BaseModel):
    """Where to restore to: `prefix` is put before the cluster's id. A dry run only reports what would be done.

    Logs that were deleted after the backup are left out, unless `deleted` is true.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    dry_run: bool = False
    deleted: bool = False
    prefix: Annotated[
        str, Field(max_length=64, json_schema_extra={"pattern": f"^({SEGMENT_PATTERN})?$"}), AfterValidator(_prefix)
    ] = ""

    def check(self, cluster: str) -> None:
        """Raise Invalid if the prefix and the cluster's id together are no valid id."""
        if not is_segment(self.prefix + cluster):
            raise Invalid("prefix", "is too long for the cluster's id")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a log in an archive. Sizes are in bytes."""

    archive: int  # in the chain, counted from the newest
    start: int  # of its packed bytes in the archive
    size: int
    packed_crc32: int
    begin: int  # in the log
    end: int
    crc32: int  # of the log up to `begin`


@dataclass(frozen=True, slots=True)
class Target:
    """A log to be restored: its sums at the cut, and its pieces from the first byte on."""

    log_id: LogId
    end: int
    crc32: int
    state: State
    expected: Totals | None  # totals of its seal
    time_zone: str | None
    labels: Labels
    received_at: int | None  # epoch ms
    source: LogId  # the log in the cluster that was backed up
    birth: str
    taken_at: int  # when the cut was taken, or before (epoch ms)
    pieces: tuple[Piece, ...]

    def was_deleted(self, deletions: Iterable[Deletion]) -> bool:
        """Whether one of the deletions of its id is of this log, or was later than the backup."""
        return any(each.birth == self.birth or each.at >= self.taken_at for each in deletions)

    def totals(self) -> Totals | None:
        """The totals to seal it with; None if it was open, or if its cut does not contain them."""
        if self.state is State.SEALED:
            expected = self.expected.stored() if self.expected else {}
            return Totals.of_stored(expected | {"bytes": self.end, "crc32": self.crc32})
        return self.expected if self.state is State.TRUNCATED else None


def targets(cuts: Iterable[Cut], prefix: str) -> list[Target]:
    """The logs of a backup, from the cuts of its chain: newest first, full one last.

    One cut at a time is held in memory. Raises Corrupt if the cuts do not hold every byte.
    """
    newest: list[Slice] = []
    taken_at = 0
    missing: dict[str, Mark] = {}
    found: dict[str, list[Piece]] = {}
    for number, cut in enumerate(cuts):
        if number == 0:
            newest, taken_at = cut.logs, cut.created_at
            missing = {each.log_id: each.mark for each in newest if each.mark.end}
        archive = Archive(cut)
        for index, each in enumerate(archive.slices):
            if each.raw and missing.get(each.log_id) == each.mark:
                start, size = archive.content_of(index)
                crc32 = each.entry("").packed_crc32
                piece = Piece(number, start, size, crc32, each.begin.end, each.mark.end, each.begin.crc32)
                found.setdefault(each.log_id, []).append(piece)
                missing[each.log_id] = each.begin
                if not each.begin.end:
                    del missing[each.log_id]
    for log_id, mark in missing.items():
        raise Corrupt(f"no backup holds the first {mark.end} bytes of {log_id}")
    return [_target(each, prefix, taken_at, found.get(each.log_id, [])) for each in newest]


def _target(source: Slice, prefix: str, taken_at: int, newest_first: list[Piece]) -> Target:
    kind, cluster, *rest = source.log_id.split("/")
    return Target(
        log_id=LogId.parse("/".join((kind, prefix + cluster, *rest))),
        end=source.mark.end,
        crc32=source.mark.crc32,
        state=source.state,
        expected=source.totals,
        time_zone=source.time_zone,
        labels=source.labels,
        received_at=source.received_at,
        source=LogId.parse(source.log_id),
        birth=source.birth,
        taken_at=taken_at,
        pieces=tuple(reversed(newest_first)),
    )


class Outcome(StrEnum):
    """What restoring does to a log."""

    NEW = "new"
    GROW = "grow"
    HELD = "held"
    DIFFERS = "differs"  # it holds other bytes and is not changed
    DELETED = "deleted"  # it was deleted since, and is left out
    FAILED = "failed"


def plan(target: Target, head: Head | None) -> tuple[Outcome, bool]:
    """What restoring does to a log with this head, and whether that is certain without comparing bytes."""
    if head is None:
        return Outcome.NEW, True
    if head.end == target.end:
        return Outcome.HELD if head.crc32 == target.crc32 else Outcome.DIFFERS, True
    if head.end > target.end:
        return Outcome.HELD, not target.end
    limit = head.end if head.state is State.SEALED else head.expected.bytes if head.expected else None
    if limit is not None and limit < target.end:
        return Outcome.DIFFERS, True
    known = {each.begin: each.crc32 for each in target.pieces}
    if head.end in known:
        return Outcome.GROW if known[head.end] == head.crc32 else Outcome.DIFFERS, True
    return Outcome.GROW, False


class Checked(BaseModel):
    """How many bytes of a piece have been read to check it, and their CRC-32."""

    log: int  # index of the target
    piece: int  # index in the target
    done: int
    crc32: int


class ShownRestore(Shown):
    """What a restore did, or would do."""

    state: Literal["planned", "running", "done", "failed"]
    prefix: str
    deleted: bool = False  # whether logs are restored that were deleted since
    logs: int
    done: int = 0  # of the logs
    bytes: int = 0  # written, or to be written
    counts: dict[Outcome, int] = Field(default_factory=dict)  # of logs
    unchecked: int = 0  # logs whose beginning was too long to compare
    differs: list[str] = Field(default_factory=list)  # ids, at most SHOWN_MAX
    failures: list[str] = Field(default_factory=list)
    failed_msg: str | None = None


class RestoreReport(ShownRestore, Job):
    """What a restore did, or would do, and what it is doing."""

    begun: Outcome | None = None  # the outcome for the next log, once writing to it has begun
    checked: Checked | None = None

    @classmethod
    def begin(cls, run: str, request: RestoreRequest, now: int, logs: int = 0) -> Self:
        return cls(
            state="planned" if request.dry_run else "running",
            run=run,
            prefix=request.prefix,
            deleted=request.deleted,
            logs=logs,
            started_at=now,
            updated_at=now,
        )

    def with_log(self, log_id: LogId, outcome: Outcome, written: int = 0, *, sure: bool = True, why: str = "") -> Self:
        """The report after the next log; `written` in bytes, `why` says what failed."""
        changes: dict[str, Any] = {
            "done": self.done + 1,
            "bytes": self.bytes + written,
            "counts": self.counts | {outcome: self.counts.get(outcome, 0) + 1},
            "unchecked": self.unchecked + (not sure),
            "begun": None,
            "checked": None,
        }
        if outcome is Outcome.DIFFERS:
            changes["differs"] = [*self.differs, str(log_id)][:SHOWN_MAX]
        if outcome is Outcome.FAILED:
            changes["failures"] = [*self.failures, why][:SHOWN_MAX]
        return self.model_copy(update=changes)

    def ended(self, now: int, why: str | None = None) -> Self:
        """The report of a restore that has ended; it has failed if `why` says so or if a log failed."""
        if why is None and (failed := self.counts.get(Outcome.FAILED)):
            why = f"{failed} of {self.logs} logs could not be restored"
        state = "failed" if why else "done"
        return self.model_copy(update={"state": state, "failed_msg": why, "finished_at": now, "checked": None})

    def shown(self) -> ShownRestore:
        return ShownRestore.model_validate(self.model_dump())
