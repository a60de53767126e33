"""How much of a log is of which time, from its rows alone."""

from collections import Counter
from collections.abc import Callable
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from logkeep.clock import DAY, HOUR, MINUTE
from logkeep.errors import Invalid
from logkeep.logs.fragment import Fragment
from logkeep.logs.head import Head
from logkeep.logs.levels import GRAMMAR, LEVELS
from logkeep.logs.reader import LogReader
from logkeep.reading.rows import Gap, Guarded, entry_at, entry_where

type Step = Literal["minute", "hour", "day"]

SLOTS_MAX: Final = 10_000
_STEPS: Final = {"minute": MINUTE, "hour": HOUR, "day": DAY}  # ms
_NEVER: Final = -(1 << 62)


class Slot(BaseModel):
    """Text of the time [time, time + step), in UTC; of unknown times if `time` is null.

    `wide`: so many lines of it are of fragments that reach into later slots; they are counted here as a whole.
    """

    model_config = ConfigDict(frozen=True)

    time: int | None  # epoch ms
    lines: int = Field(description="Newlines.")
    bytes: int
    records: dict[str, int] = Field(description="By level.")
    wide: int


class Volume(BaseModel):
    """`complete`: no row is missing, and all were looked at in the time that a request has."""

    model_config = ConfigDict(frozen=True)

    step: Literal["minute", "hour", "day"]
    slots: list[Slot]
    complete: bool


class _Sums:
    def __init__(self) -> None:
        self.lines = self.bytes = self.wide = 0
        self.records = Counter[str]()

    def add(self, each: Fragment, *, is_wide: bool) -> None:
        self.lines += each.lines
        self.bytes += each.raw
        self.wide += each.lines if is_wide else 0
        self.records.update(each.levels)


def volume(
    reader: LogReader, head: Head, step: Step, since: int | None, until: int | None, is_late: Callable[[], bool]
) -> Volume:
    """The volume of fragments that hold text of [since, until), in order of time.

    Raises Invalid if these are too many slots.
    """
    width, sums = _STEPS[step], dict[int | None, _Sums]()
    entry = entry_at(reader, head, 0)
    if since is not None and head.newest_time is not None and head.least_time is not None:
        bounds = head.least_time, head.newest_time
        entry = entry_where(
            reader, head, lambda each: _NEVER if each.newest_time is None else each.newest_time, since, bounds
        )
    time = entry.time(reader, head)
    complete = True
    rows = Guarded(reader, head, entry)
    while (row := rows.peek()) is not None:
        rows.take()
        if isinstance(row, Gap):
            complete = False
            continue
        each = row.fragment
        # The time in force where it begins is that of few of its lines, or of none, if it has times of its own.
        times = [at for at in (each.least_time, each.greatest_time) if at is not None] or (
            [] if time is None else [time]
        )
        time = time if each.last_time is None else each.last_time
        first, last = (min(times), max(times)) if times and each.grammar == GRAMMAR else (None, None)
        if first is not None and last is not None:
            if (since is not None and last < since) or (until is not None and first >= until):
                continue
            slot = first // width * width
            sums.setdefault(slot, _Sums()).add(each, is_wide=last >= slot + width)
        else:
            sums.setdefault(None, _Sums()).add(each, is_wide=False)
        if len(sums) > SLOTS_MAX:
            raise Invalid("volume", f"makes more than {SLOTS_MAX} slots; ask for a wider step, or less time")
        if is_late():
            complete = False
            break
    ordered = sorted(sums, key=lambda slot: _NEVER if slot is None else slot)
    return Volume(step=step, slots=[_slot(slot, sums[slot]) for slot in ordered], complete=complete)


def _slot(time: int | None, sums: _Sums) -> Slot:
    records = {level: sums.records[level] for level in LEVELS if sums.records[level]}
    return Slot(time=time, lines=sums.lines, bytes=sums.bytes, records=records, wide=sums.wide)
