"""Log records in text: where one begins, its level and its time (docs/records.md).

A record is a line and the lines that plainly continue it: indented or blank ones, and those of a stack trace. Any
other line begins a record, without a level if none is seen. The first LINE_PREFIX bytes of a line decide, so a line may
be cut anywhere and can still be classified from its remembered beginning.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import NamedTuple

from logkeep.logs.scanner import GRAMMAR, LEVELS, LINE_PREFIX, Before, Scanner, Time
from logkeep.logs.times import LOCAL_MIN, epoch_ms, latest_local

__all__ = [
    "GRAMMAR",
    "LEVELS",
    "LINE_PREFIX",
    "DebugFilter",
    "Scan",
    "ScanState",
    "Start",
    "TimeBasis",
    "scan",
    "starts",
]


class TimeBasis(NamedTuple):
    """What times that do not say all are read by: the zone, and when the text arrived (epoch milliseconds)."""

    zone: tzinfo = UTC
    arrival: int | None = None  # None: times without a year are unknown

    def epoch_ms(self, time: Time) -> int | None:
        return epoch_ms(time.ms, time.zone, self.zone)


@dataclass(frozen=True, slots=True)
class ScanState:
    """What must be remembered of the text before a byte to count lines and levels from there."""

    level: str | None = None  # of the record in force; None before the first and after one without a level
    open_line: bytes = b""  # the first LINE_PREFIX bytes of the unfinished line
    partial: int = 0  # the stream of a last line that is an unfinished one of CRI (scanner.Before)


@dataclass(frozen=True, slots=True)
class Scan:
    """The counts of a stretch of text. A record counts in the stretch where its first line ends. Times in epoch ms."""

    lines: int  # newlines
    levels: Counter[str]
    first_time: int | None
    last_time: int | None
    least_time: int | None
    greatest_time: int | None
    after: ScanState


class Start(NamedTuple):
    """Where a record begins: the index of the newline before it, and its level."""

    place: int
    level: str | None
    found: Time
    zone: tzinfo

    @property
    def time(self) -> int | None:
        """Epoch milliseconds of the record's own timestamp."""
        return epoch_ms(self.found.ms, self.found.zone, self.zone)


def scan(text: bytes, before: ScanState, basis: TimeBasis = TimeBasis()) -> Scan:  # noqa: B008 - immutable
    """Count a stretch of text that follows `before`. The sums over all stretches do not depend on the cuts."""
    scanner = Scanner(latest_local(basis.arrival, basis.zone), Before(before.level, before.partial))
    first, end = text.find(b"\n") + 1, text.rfind(b"\n") + 1
    open_line = (text[end:] if end else before.open_line + text)[:LINE_PREFIX]
    if before.open_line and first:
        line = (before.open_line + text[: min(first - 1, LINE_PREFIX)])[:LINE_PREFIX] + b"\n"
        scanner.read(line, 0, len(line))
    scanner.read(text, first if before.open_line else 0, end)
    sums, after = scanner.sums(), scanner.after()
    times = [time for each in sums.extremes if (time := basis.epoch_ms(each)) is not None]
    return Scan(
        lines=sums.lines,
        levels=Counter(sums.levels),
        first_time=basis.epoch_ms(sums.first),
        last_time=basis.epoch_ms(sums.last),
        least_time=min(times, default=None),
        greatest_time=max(times, default=None),
        after=ScanState(after.level, open_line, after.partial),
    )


def starts(lines: bytes, partial: int = 0, basis: TimeBasis = TimeBasis()) -> Iterator[Start]:  # noqa: B008 - immutable
    """The records that begin after a newline of `lines`, which begin with one.

    The text after the last newline is no line yet and is ignored.
    """
    scanner = Scanner(latest_local(basis.arrival, basis.zone), Before(partial=partial))
    for place, level, time in scanner.records(lines, 1, lines.rfind(b"\n") + 1):
        yield Start(place - 1, level, time, basis.zone)


class DebugFilter:
    """Drops DEBUG records, with the lines that plainly continue them, from text that arrives in stretches.

    Any other line is kept, even if its format is unknown: a line too many is better than a hidden error.
    """

    def __init__(self) -> None:
        self._scanner = Scanner(LOCAL_MIN, Before())
        self._dropping = False
        self._inside = False  # in the middle of a line that has been classified
        self._undecided = b""  # the beginning of a line, shorter than LINE_PREFIX

    @property
    def is_idle(self) -> bool:
        """Whether the next byte begins a line, and would be kept if that line continues the last record."""
        return not (self._dropping or self._inside or self._undecided)

    def resume(self, before: ScanState) -> None:
        """Continue after text that was kept unseen. Only an idle filter can."""
        self._scanner = Scanner(LOCAL_MIN, Before(before.level, before.partial))

    def feed(self, text: bytes) -> bytes:
        """The kept part of this stretch and of the text that was undecided before it."""
        kept = b""
        if self._inside:
            end = text.find(b"\n") + 1
            kept = b"" if self._dropping else text[: end or len(text)]
            if not end:
                return kept
            self._inside, text = False, text[end:]
        data = self._undecided + text
        end = data.rfind(b"\n") + 1
        kept += self._keep(data[:end])
        self._undecided = data[end:]
        if len(self._undecided) >= LINE_PREFIX:
            self._keep(self._undecided[:LINE_PREFIX] + b"\n")
            kept += b"" if self._dropping else self._undecided
            self._inside, self._undecided = True, b""
        return kept

    def flush(self) -> bytes:
        """The kept part of a last line without a newline. Call it once, at the end of the text."""
        rest, self._undecided = self._undecided, b""
        return self._keep(rest + b"\n")[: len(rest)] if rest else b""

    def _keep(self, lines: bytes) -> bytes:
        kept, start = [], 0
        for record in self._scanner.records(lines, 0, len(lines), only_turns=True):
            if not self._dropping:
                kept.append(lines[start : record.place])
            self._dropping, start = not self._dropping, record.place
        if not self._dropping:
            kept.append(lines[start:] if start else lines)
        return b"".join(kept)
