"""A log's head: what is known of the whole without reading it, how appends move it, and how it is sealed."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from logkeep.errors import Conflict
from logkeep.limits import LOG_MAX
from logkeep.logid import LogId
from logkeep.logs.fragment import Fragment, combine_crc32
from logkeep.logs.levels import LEVELS, Cursor, scan
from logkeep.logs.registration import Registration

_CRC32: Final = re.compile(r"[0-9A-Fa-f]{8}")


class State(StrEnum):
    OPEN = "open"
    SEALED = "sealed"
    TRUNCATED = "truncated"  # sealed by its producer, but not all of it has arrived


class Totals(BaseModel):
    """What a producer knows of the whole log; at least one helps, none seals the log as it stands."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bytes: Annotated[int, Field(ge=0, le=LOG_MAX)] | None = None
    lines: Annotated[int, Field(ge=0, le=LOG_MAX)] | None = None
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
        """These totals, and what an earlier seal told besides, unless it was about another number of bytes."""
        if earlier is None or self.bytes not in {None, earlier.bytes}:
            return self
        return Totals.of_stored(earlier.stored() | self.stored())

    @classmethod
    def of_stored(cls, values: Mapping[str, int]) -> "Totals":
        """Totals that were valid when they were told."""
        return cls.model_construct(None, **{name: values.get(name) for name in cls.model_fields})

    def stored(self) -> dict[str, int]:
        return self.model_dump(exclude_none=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The sums over a log's fragments; sizes in bytes, times in epoch milliseconds."""

    log_id: LogId
    end: int = 0
    packed: int = 0
    crc32: int = 0
    packed_crc32: int = 0
    lines: int = 0  # newlines
    levels: Counter[str] = field(default_factory=Counter)
    cursor: Cursor = field(default_factory=Cursor)
    first_time: int | None = None
    last_time: int | None = None
    fragments: int = 0
    generation: int = 0  # counts compactions: the same text, packed anew
    version: int = 0  # counts writes of the head: each is conditional on the one it was made from
    state: State = State.OPEN
    expected: Totals | None = None  # of the seal
    registration: Registration | None = None
    followed_until: int | None = field(default=None, compare=False)  # no part of the log: a reader waits for more of it

    def advance(self, fragments: Iterable[Fragment], cursor: Cursor) -> Self:
        """The head after these fragments, which begin at its end, and the state behind them."""
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
                fragments=head.fragments + 1,
            )
        return replace(head, cursor=cursor)

    def register(self, wanted: Registration | None) -> Self:
        """The head with a registration, which stays what it is once there is one: Conflict for another."""
        if wanted is None or wanted == self.registration:
            return self
        if self.registration:
            raise Conflict(f"the log is registered under {' '.join(self.registration)}, not {' '.join(wanted)}")
        return replace(self, registration=wanted)

    def check_room(self, end: int) -> None:
        """Raise Conflict if the log may not grow to `end` bytes."""
        if end <= self.end:
            return
        if self.state is State.SEALED:
            raise Conflict(f"the log is sealed at {self.end} bytes")
        if self.expected and self.expected.bytes is not None and end > self.expected.bytes:
            raise Conflict(f"the log was sealed for {self.expected.bytes} bytes")
        if end > LOG_MAX:
            raise Conflict(f"a log holds at most {LOG_MAX} bytes")

    def seal(self, totals: Totals) -> Self:
        """The head as its producer's seal leaves it: sealed, or truncated where bytes are missing.

        Raises Conflict where the log holds something else than the producer sent: sealing repairs nothing.
        """
        told = totals.added_to(self.expected)
        lines = Certificate.of(self).lines
        if told.bytes is not None and told.bytes < self.end:
            raise Conflict(f"bytes: the log holds {self.end}, more than the {told.bytes} of the seal")
        # A producer may or may not count a last line without a newline.
        if told.lines is not None and told.lines < self.lines:
            raise Conflict(f"lines: the log holds {lines}, more than the {told.lines} of the seal")
        too_many_lines = told.lines is not None and told.lines > lines
        if told.bytes > self.end if told.bytes is not None else too_many_lines:
            if self.state is State.SEALED:
                raise Conflict(f"the log is sealed already, at {self.end} bytes")
            return replace(self, state=State.TRUNCATED, expected=told)
        if too_many_lines:
            raise Conflict(f"lines: all bytes are there and hold {lines}, fewer than the {told.lines} of the seal")
        if told.crc32 is not None and told.crc32 != self.crc32:
            raise Conflict(f"crc32: the log's is {self.crc32:08x}, the seal says {told.crc32:08x}")
        return replace(self, state=State.SEALED, expected=told)


def joined(heads: Iterable[Head]) -> list[tuple[Head, bool]]:
    """The logs that hold text, each with whether a newline belongs between it and the next, since it ends with none."""
    some = [head for head in heads if head.end]
    return [(head, bool(head.cursor.open_line) and number < len(some)) for number, head in enumerate(some, 1)]


class Certificate(BaseModel):
    """What Logkeep vouches for: exactly these bytes of this log are kept."""

    model_config = ConfigDict(frozen=True)

    log_id: str
    state: State
    bytes: int
    lines: int  # as a reader counts them: a last line without a newline is one
    crc32: str
    levels: dict[str, int]
    first_time: int | None
    last_time: int | None
    missing: dict[str, int] | None  # of a truncated log: how many bytes or lines have not arrived

    @classmethod
    def of(cls, head: Head) -> "Certificate":
        # The last line counts although it has no newline yet; the cursor remembers enough of it.
        last = scan(b"\n", head.cursor).levels if head.cursor.open_line else Counter[str]()
        levels = head.levels + last
        lines = head.lines + bool(head.cursor.open_line)
        missing = None
        if head.state is State.TRUNCATED and head.expected:
            told = (("bytes", head.expected.bytes, head.end), ("lines", head.expected.lines, lines))
            missing = {name: max(0, want - have) for name, want, have in told if want is not None}
        return cls(
            log_id=str(head.log_id),
            state=head.state,
            bytes=head.end,
            lines=lines,
            crc32=f"{head.crc32:08x}",
            levels={level: levels[level] for level in LEVELS if levels[level]},
            first_time=head.first_time,
            last_time=head.last_time,
            missing=missing,
        )
