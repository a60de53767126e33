"""Blocks: the lines that end in a fragment, and which of them a query wants."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from logkeep.logs.fragment import Fragment
from logkeep.logs.levels import GRAMMAR, LINE_PREFIX, Start, TimeBasis, starts
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
    def spans(self) -> list[Span]:
        """Its text, divided into records, with levels and times. A record without a time has that of the one before."""
        text = self.text
        level, time = self.row.before.level, self.time
        ends_line = text.endswith(b"\n")
        first = (text.find(b"\n") + 1 or len(text)) if self.inside else 0
        found: list[Start] = []
        if first < len(text):
            lines = b"\n" + text[first:] + (b"" if ends_line else b"\n")
            found = list(starts(lines, 0 if self.inside else self.row.before.partial, self.basis))
        spans: list[Span] = []
        begin, begun = 0, False
        for start in found:
            place = first + start.place
            if place > begin:
                spans.append(Span(begin, place, level, self._shown(time), begun))
            begin, level, begun = place, start.level, True
            time = start.time if start.time is not None else time
        if begin < len(text):
            spans.append(Span(begin, len(text), level, self._shown(time), begun))
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
        found: list[tuple[int, int]] = []
        for span in block.spans:
            first, after = max(begin, span.begin), min(end, span.end)
            if first < after and self._in_time(span.time):
                if found and found[-1][1] == first:
                    found[-1] = (found[-1][0], after)
                else:
                    found.append((first, after))
        return found

    def _wants(self, span: Span) -> bool:
        return (self.query.levels is None or span.level in self.query.levels) and self._in_time(span.time)

    def _joined(self, block: Block, begin: int, end: int) -> Iterator[Run]:
        """The wanted records between two places, neighbours joined."""
        counts_records = self.query.counts_records
        run: Run | None = None
        for span in block.spans:
            first, after = max(begin, span.begin), min(end, span.end)
            if first >= after or not self._wants(span):
                continue
            count = int(span.starts and span.begin >= begin) if counts_records else block.lines(first, after)
            if run and run.end == first:
                run = Run(run.begin, after, run.units + count)
                continue
            if run:
                yield run
            run = Run(first, after, count)
        if run:
            yield run

    def _within(self, found: list[tuple[int, int]], block: Block) -> Iterator[Run]:
        """The lines that are in wanted records."""
        spans = iter(block.spans)
        span = next(spans)
        for first, after in found:
            while span.end <= first:
                span = next(spans)
            if self._wants(span):
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
