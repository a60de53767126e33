"""Blocks: the lines that end in a fragment, and which of them a query wants."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from logkeep.logs.fragment import Fragment
from logkeep.logs.levels import GRAMMAR, LEVELS, LINE_PREFIX, TimeBasis
from logkeep.logs.scanner import Before, Scanner, Time
from logkeep.logs.times import latest_local
from logkeep.reading.query import Query

LINE_MAX: Final = 4 << 20  # bytes of a line that are searched together; the rest of a longer one counts as a line more
_NEVER: Final = -(1 << 62)  # before all times: of a record without one


class Span(NamedTuple):
    """Text of a block from a record's first byte to the next record, with what it has of its record."""

    begin: int
    end: int
    level: str | None
    time: int | None
    starts: bool  # whether the record starts here


class Run(NamedTuple):
    """Lines of a block in a row that a query wants, and how many lines or log records it counts in them."""

    begin: int
    end: int
    units: int


@dataclass(frozen=True, slots=False)
class Block:
    """Whole lines of a log, or a piece of a very long one."""

    text: bytes
    offset: int  # of its first byte
    line: int  # newlines before it
    row: Fragment  # in which its lines end
    time: int | None  # in force where it begins, epoch ms
    basis: TimeBasis
    arrived: int | None = None  # the time of all its lines, if the log has no times
    inside: bool = False  # it begins within a line, whose beginning was not read

    @property
    def end(self) -> int:
        return self.offset + len(self.text)

    @cached_property
    def records(self) -> list[tuple[int, int, int, int]]:
        """The records that begin in it, as Scanner.plain_records() has them."""
        text = self.text
        first = (text.find(b"\n") + 1 or len(text)) if self.inside else 0
        if first == len(text):
            return []
        lines = text if text.endswith(b"\n") else text + b"\n"
        scanner = Scanner(latest_local(self.basis.arrival, self.basis.zone), Before(partial=self.row.before.partial))
        return list(scanner.plain_records(lines, first, len(lines)))

    @cached_property
    def spans(self) -> list[Span]:
        """Its text, divided into records, with levels and times. A record without a time has that of the one before."""
        level, time = self.row.before.level, self.time
        spans: list[Span] = []
        begin, begun = 0, False
        for place, ms, number, zone in self.records:
            if place > begin:
                spans.append(Span(begin, place, level, self._shown(time), begun))
            begin, level, begun = place, LEVELS[number - 1] if number else None, True
            own = self.basis.epoch_ms(Time(ms, zone))
            time = time if own is None else own
        if begin < len(self.text):
            spans.append(Span(begin, len(self.text), level, self._shown(time), begun))
        return spans

    def _shown(self, time: int | None) -> int | None:
        return time if self.arrived is None else self.arrived

    def newlines(self, begin: int, end: int) -> int:
        return self.text.count(b"\n", begin, end)

    def lines(self, begin: int, end: int) -> int:
        """The lines of a stretch, with a last one without a newline."""
        return self.newlines(begin, end) + (begin < end and not self.text.endswith(b"\n", begin, end))


class Scope(NamedTuple):
    """How a query is applied to fragments: what of it decides, and whether the log has times."""

    query: Query
    has_times: bool
    has_levels: bool = True  # whether the level filters; it is not when lines are wanted for their context

    def _range(self, row: Fragment, time: int | None) -> tuple[int, int]:
        """The least and the greatest time in force in a fragment, at whose beginning `time` is in force."""
        if not self.has_times:
            return row.received_at, row.received_at
        before = _NEVER if time is None else time
        least = before if row.least_time is None else min(before, row.least_time)
        greatest = before if row.greatest_time is None else max(before, row.greatest_time)
        return least, greatest

    def holds_none(self, row: Fragment, time: int | None, *, is_known: bool) -> bool:
        """Whether no record that ends its first line in a fragment, or continues in it, is wanted.

        `is_known`: the row and the one before were read with this grammar, and a last line without a newline is not in
        it.
        """
        query = self.query
        if not is_known:
            return False
        levels = query.levels
        if levels and row.before.level not in levels and not any(row.levels[level] for level in levels):
            return True
        if not query.has_window:
            return False
        least, greatest = self._range(row, time)
        return (query.since is not None and greatest < query.since) or (
            query.until is not None and least >= query.until
        )

    def is_before(self, row: Fragment, time: int) -> bool:
        """Whether a fragment and all before it are older."""
        return self.has_times and (_NEVER if row.newest_time is None else row.newest_time) < time

    def holds_all(self, row: Fragment, time: int | None, *, is_known: bool) -> bool:
        """Whether the times of all records are wanted."""
        query = self.query
        if not query.has_window:
            return True
        if not self.has_times:
            return self._in_time(row.received_at)
        least, greatest = self._range(row, time)
        return is_known and self._in_time(least) and self._in_time(greatest)

    def _in_time(self, time: int | None) -> bool:
        query, known = self.query, _NEVER if time is None else time
        return (query.since is None or known >= query.since) and (query.until is None or known < query.until)

    def runs(self, block: Block, begin: int, end: int, *, is_known: bool) -> list[Run]:
        """The wanted lines of a block between two places."""
        query, pattern = self.query, self.query.pattern
        if begin >= end:
            return []
        whole = query.levels is None and self.holds_all(block.row, block.time, is_known=is_known)
        if pattern is None:
            if whole:
                return [Run(begin, end, block.lines(begin, end))]
            return list(self._joined(block, begin, end))
        if whole:
            found = pattern.runs(block.text, begin, end)
            return [Run(first, after, block.lines(first, after)) for first, after in found]
        if query.invert:
            return [
                Run(first, after, block.lines(first, after))
                for run in self._joined(block, begin, end)
                for first, after in pattern.runs(block.text, run.begin, run.end)
            ]
        found = pattern.runs(block.text, begin, end)
        return list(self._within(found, block)) if found else []

    def window(self, block: Block, begin: int, end: int, *, is_known: bool) -> list[tuple[int, int]]:
        """The lines of a block whose time is wanted: context is taken of these."""
        if begin >= end:
            return []
        if self.holds_all(block.row, block.time, is_known=is_known):
            return [(begin, end)]
        return [(run.begin, run.end) for run in self._joined(block, begin, end)]

    def _joined(self, block: Block, begin: int, end: int) -> Iterator[Run]:
        """The wanted records between two places, neighbours joined."""
        for first, after, starts in self._stretches(block):
            low, high = max(first, begin), min(after, end)
            if low >= high:
                continue
            if self.query.counts_records:
                yield Run(low, high, bisect_left(starts, high) - bisect_left(starts, low))
            else:
                yield Run(low, high, block.lines(low, high))

    def _stretches(self, block: Block) -> Iterator[tuple[int, int, list[int]]]:
        """Where wanted records follow each other, and where each of these begins."""
        levels = None if self.query.levels is None else {LEVELS.index(level) + 1 for level in self.query.levels}
        dates, epoch_ms = self.query.has_window and block.arrived is None, block.basis.epoch_ms
        time = block.time
        in_time = self._in_time(time if block.arrived is None else block.arrived)
        is_wanted = in_time and (levels is None or block.row.before.level in (self.query.levels or ()))
        at, starts = 0, list[int]()
        for place, ms, level, zone in block.records:
            if dates and zone and (own := epoch_ms(Time(ms, zone))) is not None and own != time:
                time, in_time = own, self._in_time(own)
            wants = in_time and (levels is None or level in levels)
            if wants != is_wanted:
                if is_wanted and at < place:
                    yield at, place, starts
                at, is_wanted, starts = place, wants, []
            if wants:
                starts.append(place)
        if is_wanted:
            yield at, len(block.text), starts

    def _within(self, found: list[tuple[int, int]], block: Block) -> Iterator[Run]:
        """The lines that are in wanted records."""
        stretches = self._stretches(block)
        stretch = next(stretches, None)
        for first, after in found:
            while stretch and stretch[1] <= first:
                stretch = next(stretches, None)
            if stretch is None:
                return
            if stretch[0] <= first:
                yield Run(first, after, block.lines(first, after))


def is_known(row: Fragment, earlier: Fragment | None, end: int) -> bool:
    """Whether the levels and times of a row can be relied on, in a log that is read up to `end`."""
    if row.grammar != GRAMMAR or (earlier is not None and earlier.grammar != GRAMMAR):
        return False
    # A last line without a newline counts, but its row does not count it.
    return row.end < end or (row.end == end and row.ends_line)


def beginning(row: Fragment) -> bytes | None:
    """The beginning of the line that is open where a row begins; None if the row does not know all of it."""
    line = row.before.open_line
    return line if len(line) < LINE_PREFIX else None
