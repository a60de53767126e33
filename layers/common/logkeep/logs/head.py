"""A log's head: the sums over its fragments, how an append changes them, and how a log is sealed."""

import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from logkeep.errors import Conflict
from logkeep.limits import LOG_MAX
from logkeep.logid import LogId
from logkeep.logs import labels
from logkeep.logs.fragment import UNKNOWN, Fragment, combine_crc32, pack
from logkeep.logs.labels import Labels
from logkeep.logs.levels import GRAMMAR, LEVELS, ScanState, TimeBasis, scan
from logkeep.logs.registration import Registration
from logkeep.logs.sums import NOTHING, Sums
from logkeep.logs.times import zone_of
from logkeep.params import Integer

_CRC32: Final = re.compile(r"[0-9A-Fa-f]{8}")


class State(StrEnum):
    OPEN = "open"
    SEALED = "sealed"
    TRUNCATED = "truncated"  # its producer sealed it for more than has arrived


class Totals(BaseModel):
    """The totals that a producer knows of a whole log. A seal without any seals the log with what it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bytes: Annotated[Integer, Field(ge=0, le=LOG_MAX)] | None = None
    lines: Annotated[Integer, Field(ge=0, le=LOG_MAX)] | None = None
    crc32: int | None = Field(default=None, description="Eight hex digits in JSON.")

    @field_validator("crc32", mode="before")
    @classmethod
    def _from_hex(cls, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, str) or not _CRC32.fullmatch(value):
            raise ValueError("must be eight hex digits")
        return int(value, 16)

    def added_to(self, earlier: "Totals | None") -> "Totals":
        """These totals, completed from an earlier seal's unless these name another number of bytes."""
        if earlier is None or self.bytes not in {None, earlier.bytes}:
            return self
        return Totals.of_stored(earlier.stored() | self.stored())

    @classmethod
    def of_stored(cls, values: Mapping[str, int]) -> "Totals":
        """Totals from a head's item, which were validated when they were stored."""
        return cls.model_construct(None, **{name: values.get(name) for name in cls.model_fields})

    def stored(self) -> dict[str, int]:
        return self.model_dump(exclude_none=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The sums over a log's fragments, and its state. Sizes are in bytes, times in epoch milliseconds."""

    log_id: LogId
    birth: str  # random, chosen with its first write: a log that is deleted and begun anew has another
    end: int = 0
    packed: int = 0
    crc32: int = 0
    packed_crc32: int = 0
    lines: int = 0  # newlines
    levels: Counter[str] = field(default_factory=Counter)
    scan_state: ScanState = field(default_factory=ScanState)  # at the end
    first_time: int | None = None
    last_time: int | None = None
    least_time: int | None = None
    greatest_time: int | None = None
    grammar: int = GRAMMAR  # with which all its text was read; 0: with several
    received_at: int | None = None  # when text last arrived
    began: int = 0  # when it was first written
    arrived: int | None = None  # when its first text had arrived, if that was before: a restore's
    written_at: int | None = None  # when it was last written in a way that leaves received_at as it was
    retention: int | None = None  # days, if it has a number of its own
    hold: bool = False  # keeps it from expiry and deletion
    time_zone: str | None = None  # IANA name, of times without a zone; None before the first append
    fragments: int = 0
    mark: Sums = NOTHING  # of the text that is in packs; readers use these up to there
    version: int = 0  # counts writes of the head; each is conditional on the one before
    state: State = State.OPEN
    expected: Totals | None = None  # the seal's
    registration: Registration | None = None
    labels: Labels = field(default_factory=dict)  # without those that its id says
    day: int | None = None  # the last on which text arrived (yyyymmdd, UTC): activity has a row of it
    odd: tuple[int, int] | None = None  # what its activity's row of odd text spans (epoch ms)
    # A reader waits for more until then. Not compared, because it is no part of the log.
    followed_until: int | None = field(default=None, compare=False)

    @classmethod
    def born(cls, log_id: LogId, now: int = 0) -> Self:
        """The head of a new log. `now` in epoch milliseconds."""
        return cls(log_id=log_id, birth=secrets.token_hex(6), began=now)

    @property
    def all_lines(self) -> int:
        """The lines as a reader counts them: with a last line that has no newline."""
        return self.lines + bool(self.scan_state.open_line)

    @property
    def last_write(self) -> int:
        """From when on its days of retention count (epoch milliseconds)."""
        return max(self.began, self.received_at or 0, self.written_at or 0)

    @property
    def sums(self) -> Sums:
        return Sums(self.end, self.packed, self.crc32, self.packed_crc32, self.lines, self.fragments)

    @property
    def unpacked(self) -> Sums:
        """The sums of the text that is not in packs."""
        return self.sums.rest(self.mark)

    def with_pack(self, pack: Sums, replaced: Sums) -> Self:
        """The head once a pack takes the place of the fragments with the sums `replaced`, the first after its mark."""
        mark = self.mark + pack
        after = mark + self.unpacked.rest(replaced)
        return replace(self, mark=mark, packed=after.packed, packed_crc32=after.packed_crc32, fragments=after.fragments)

    @property
    def newest_time(self) -> int | None:
        """The greatest time of its text, UNKNOWN if an older grammar read some of it."""
        return self.greatest_time if self.grammar == GRAMMAR else UNKNOWN

    def extended(self, pieces: Iterable[bytes], arrival: int) -> tuple[Self, list[tuple[Fragment, bytes]]]:
        """The head after text that follows, and the fragments of the text with their packed bytes."""
        packed = list(
            pack(
                pieces,
                self.time_basis(arrival),
                arrival,
                offset=self.end,
                line=self.lines,
                before=self.scan_state,
                newest=self.newest_time,
            )
        )
        if not packed:
            return self, []
        head = self._advance((each.fragment for each in packed), packed[-1].after)
        return head, [(each.fragment, each.data) for each in packed]

    def time_basis(self, arrival: int) -> TimeBasis:
        """What times of text are read by that arrives then (epoch milliseconds)."""
        return TimeBasis(zone_of(self.time_zone or "UTC"), arrival)

    def labelled(self, wanted: Labels) -> Self:
        """The head with labels. Raises Conflict if an append has begun the log with others, or with none."""
        if not wanted or wanted == self.labels:
            return self
        if self.time_zone is not None:
            own = " ".join(f"{key}={value}" for key, value in self.labels.items()) or "none"
            raise Conflict(f"a log keeps the labels of its first append, and those of this log are: {own}")
        return replace(self, labels=wanted)

    def in_zone(self, wanted: str | None, default: Callable[[], str]) -> Self:
        """The head with a time zone: its own, or else the wanted one, or else the default's."""
        return self if self.time_zone else replace(self, time_zone=wanted or default())

    def kept_for(self, days: int | None) -> Self:
        """The head with a retention of its own (days). Raises Conflict if an append has begun the log with another."""
        if days is None or days == self.retention:
            return self
        if self.time_zone is not None:
            own = "none" if self.retention is None else f"{self.retention} days"
            raise Conflict(f"a log keeps the retention of its first append, and this log's own is: {own}")
        return replace(self, retention=days)

    def restored(self, arrival: int, now: int) -> Self:
        """The head after an append of text that had arrived before `now` (both in epoch milliseconds)."""
        first = self.began if self.arrived is None else self.arrived
        return replace(self, written_at=now, arrived=arrival if arrival < first else self.arrived)

    def _advance(self, fragments: Iterable[Fragment], scan_state: ScanState) -> Self:
        """The head after these fragments, which begin at its end and leave the scan state."""
        head = self
        for each in fragments:
            head = replace(
                head,
                end=each.end,
                packed=head.packed + each.packed,
                crc32=combine_crc32(head.crc32, each.crc32, each.raw),
                packed_crc32=combine_crc32(head.packed_crc32, each.packed_crc32, each.packed),
                lines=head.lines + each.lines,
                levels=head.levels + each.levels,
                first_time=each.first_time if head.first_time is None else head.first_time,
                last_time=head.last_time if each.last_time is None else each.last_time,
                least_time=_end(min, head.least_time, each.least_time),
                greatest_time=_end(max, head.greatest_time, each.greatest_time),
                grammar=each.grammar if head.grammar == each.grammar or not head.fragments else 0,
                received_at=max(head.received_at or 0, each.received_at),
                fragments=head.fragments + 1,
            )
        return replace(head, scan_state=scan_state)

    def with_packed(self, fragments: Iterable[Fragment], after: ScanState) -> Self:
        """The head after a pack of these fragments, which follows its end and leaves the scan state."""
        head = self._advance(fragments, after)
        return replace(head, mark=head.sums)

    def register(self, wanted: Registration | None) -> Self:
        """The head with a registration. Raises Conflict if it already has another one."""
        if wanted is None or wanted == self.registration:
            return self
        if self.registration:
            raise Conflict(f"the log is registered under {' '.join(self.registration)}, not {' '.join(wanted)}")
        return replace(self, registration=wanted)

    def check_room(self, end: int) -> None:
        """Raises Conflict if the log may not grow to `end` bytes."""
        if end <= self.end:
            return
        if self.state is State.SEALED:
            raise Conflict(f"the log is sealed at {self.end} bytes")
        if self.expected and self.expected.bytes is not None and end > self.expected.bytes:
            raise Conflict(f"the log was sealed for {self.expected.bytes} bytes")
        if end > LOG_MAX:
            raise Conflict(f"a log holds at most {LOG_MAX} bytes")

    def seal(self, totals: Totals) -> Self:
        """The head after its producer's seal: sealed, or truncated if bytes or lines are missing.

        Raises Conflict if the log cannot become what the producer sent: a seal repairs nothing.
        """
        expected = totals.added_to(self.expected)
        self._check_holds_no_more_than(expected)
        is_short = self._is_short_of(expected)
        if is_short and self.state is State.SEALED:
            raise Conflict(f"the log is sealed already, at {self.end} bytes")
        if is_short:
            return replace(self, state=State.TRUNCATED, expected=expected)
        self._check_matches(expected)
        return replace(self, state=State.SEALED, expected=expected)

    def _check_holds_no_more_than(self, expected: Totals) -> None:
        if expected.bytes is not None and self.end > expected.bytes:
            raise Conflict(f"bytes: the log holds {self.end}, more than the {expected.bytes} of the seal")
        # Only newlines: a producer may or may not count a last line without one.
        if expected.lines is not None and self.lines > expected.lines:
            raise Conflict(f"lines: the log holds {self.all_lines}, more than the {expected.lines} of the seal")

    def _is_short_of(self, expected: Totals) -> bool:
        """Whether text is missing. The bytes decide if the producer counted them, otherwise the lines."""
        if expected.bytes is not None:
            return self.end < expected.bytes
        return expected.lines is not None and self.all_lines < expected.lines

    def _check_matches(self, expected: Totals) -> None:
        """Raise Conflict if a log that is not short of its totals differs from them."""
        if expected.lines is not None and self.all_lines < expected.lines:
            raise Conflict(
                f"lines: all bytes are there and hold {self.all_lines}, fewer than the {expected.lines} of the seal"
            )
        if expected.crc32 is not None and self.crc32 != expected.crc32:
            raise Conflict(f"crc32: the log has {self.crc32:08x}, the seal says {expected.crc32:08x}")


def _end(choose: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    """The least or the greatest of two times, of which some are missing."""
    if one is None or other is None:
        return one if other is None else other
    return choose(one, other)


class Certificate(BaseModel):
    """Which bytes, lines and levels of a log are kept, exactly."""

    model_config = ConfigDict(frozen=True)

    log_id: str
    state: State
    bytes: int
    lines: int  # with a last line that has no newline
    crc32: str
    levels: dict[str, int]
    first_time: int | None
    last_time: int | None
    time_zone: str | None  # in which times without a zone were read
    labels: dict[str, str]  # those of its id, and those of its first append
    hold: bool  # it neither expires nor can be deleted
    missing: dict[str, int] | None  # of a truncated log: bytes and lines that have not arrived

    @classmethod
    def of(cls, head: Head) -> "Certificate":
        # The last line counts even without a newline. The scan state holds enough of it to find its level.
        last = scan(b"\n", head.scan_state).levels if head.scan_state.open_line else Counter[str]()
        levels = head.levels + last
        missing = None
        if head.state is State.TRUNCATED and head.expected:
            totals = (("bytes", head.expected.bytes, head.end), ("lines", head.expected.lines, head.all_lines))
            missing = {name: max(0, expected - held) for name, expected, held in totals if expected is not None}
        return cls(
            log_id=str(head.log_id),
            state=head.state,
            bytes=head.end,
            lines=head.all_lines,
            crc32=f"{head.crc32:08x}",
            levels={level: levels[level] for level in LEVELS if levels[level]},
            first_time=head.first_time,
            last_time=head.last_time,
            time_zone=head.time_zone,
            labels={**labels.derived_from(head.log_id), **head.labels},
            hold=head.hold,
            missing=missing,
        )


def joined(heads: Iterable[Head]) -> list[tuple[Head, bool]]:
    """The logs that hold text, each with whether a newline must be put between it and the next one."""
    filled = [head for head in heads if head.end]
    return [(head, bool(head.scan_state.open_line) and number < len(filled)) for number, head in enumerate(filled, 1)]
