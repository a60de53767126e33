"""The records of a log from its end, read in windows, past the fragments that cannot hold a wanted one.

A record is looked at with the fragment in which its first line ends, as its level is counted there. Its text goes on in
the fragments behind, which are read before: what they begin with is carried along, cut to twice TEXT_MAX.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from logkeep.limits import FRAGMENT_MAX
from logkeep.logs.fragment import Fragment
from logkeep.logs.head import Head
from logkeep.logs.levels import LINE_PREFIX, Start, starts
from logkeep.logs.reader import LogReader, Row

TEXT_MAX: Final = 128 * 1024  # bytes of a record that are kept; escaped as JSON they are still less than a page
DISORDER: Final = 10_000  # ms by which a record may be older than those before it and still be found by its time
_WINDOW_MAX: Final = 8 * FRAGMENT_MAX
_PASSED: Final = 1024  # bytes of the budget that a fragment costs which is not read
_PEEK_MAX: Final = 256  # rows in which the time of a record without one is looked for


class Record(NamedTuple):
    start: int  # its first byte
    text: bytes  # without the newline at its end
    level: str | None
    time: int | None  # epoch ms; without a timestamp, that of the record before


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: of these levels (None: all, also those without one), from before a time, with a keyword."""

    levels: frozenset[str] | None = None
    before: int | None = None  # epoch ms
    keyword: bytes = b""

    def level(self, level: str | None) -> bool:
        return self.levels is None or level in self.levels

    def time(self, time: int | None) -> bool:
        """What has no time is from before the first that has one."""
        return self.before is None or time is None or time < self.before

    def passes(self, each: Fragment, earlier: Fragment | None) -> bool:
        """Whether nothing wanted lies in a fragment nor goes on in it; of the time, the fragment before it tells."""
        if (
            self.levels is not None
            and each.before.level not in self.levels
            and not any(each.levels[level] for level in self.levels)
        ):
            return True
        if self.before is None or each.first_time is None or each.last_time is None:
            return False
        begins_later = earlier is not None and earlier.last_time is not None and earlier.last_time >= self.before
        return begins_later and min(each.first_time, each.last_time) - DISORDER >= self.before


class Backwards:
    """Iterates over the wanted records of [0, end), the last one first, until the budget is spent."""

    def __init__(
        self, reader: LogReader, head: Head, end: int, wanted: Wanted, budget: int, is_late: Callable[[], bool]
    ) -> None:
        """`budget` is in raw bytes; it and the clock end the iteration only where it has got on."""
        self.budget = budget
        self.not_before: int | None = None  # epoch ms: end where fragments are older
        self.begun = end  # all wanted records that begin here or later were told
        self.is_complete = end == 0
        self._reader = reader
        self._end = end
        self._wanted = wanted
        self._is_late = is_late
        self._rows = reader.rows_back(head, end)
        self._ahead: deque[Row] = deque()
        self._position = end
        self._tail = b""  # what follows the position and belongs to the record in force there
        self._open = False  # the line that is unfinished at the position begins a record that was looked at already
        self._pending: Record | None = None  # that record, where it may be wanted and its beginning is not read yet

    def __iter__(self) -> Iterator[Record]:
        window = FRAGMENT_MAX // 16  # little for the last lines, more for who goes on
        while (row := self._row(0)) is not None:
            if self._passes(0):
                self._pass(self._ahead.popleft().fragment)
            elif self._is_older(row.fragment):
                return
            else:
                rows, times = self._window(window)
                texts = list(self._reader.texts_of(reversed(rows)))
                for each, time, text in zip(rows, times, reversed(texts), strict=True):
                    yield from self._records(each.fragment, text, time)
                window = min(4 * window, _WINDOW_MAX)
            if self._row(0) is not None and (self.budget <= 0 or self._is_late()) and self._rest():
                return
        yield from self._first()
        self.begun, self.is_complete = 0, True

    def _row(self, index: int) -> Row | None:
        """The row that is read as the index-th from now."""
        while len(self._ahead) <= index:
            row = next(self._rows, None)
            if row is None:
                return None
            self._ahead.append(row)
        return self._ahead[index]

    def _passes(self, index: int) -> bool:
        row, earlier = self._row(index), self._row(index + 1)
        if row is None or self._pending:
            return False
        # The last line counts although nothing ends it, but no row counts it.
        if row.fragment.end >= self._end and not (row.fragment.end == self._end and row.fragment.ends_line):
            return False
        return self._wanted.passes(row.fragment, earlier.fragment if earlier else None)

    def _is_older(self, each: Fragment) -> bool:
        if self.not_before is None or each.first_time is None or each.last_time is None:
            return False
        return max(each.first_time, each.last_time) < self.not_before

    def _window(self, room: int) -> tuple[list[Row], list[int | None]]:
        """Rows to be read at once, and the time in force where each begins."""
        rows: list[Row] = []
        times: list[int | None] = []
        size = 0
        while not rows or (size < room and self._row(0) is not None and not self._passes(0)):
            row = self._ahead.popleft()
            rows.append(row)
            times.append(self._time_ahead())
            size += row.fragment.raw
        self.budget -= size
        return rows, times

    def _time_ahead(self) -> int | None:
        for index in range(_PEEK_MAX):
            row = self._row(index)
            if row is None:
                break
            if row.fragment.last_time is not None:
                return row.fragment.last_time
        return None

    def _pass(self, each: Fragment) -> None:
        self.budget -= _PASSED
        self._tail = b""
        self._open = False
        self._position = each.offset
        # A line that begins before the fragment is not wanted either; its first LINE_PREFIX bytes show that again.
        open_line = each.before.open_line
        self.begun = min(self.begun, each.offset - (len(open_line) if len(open_line) < LINE_PREFIX else 0))

    def _rest(self) -> bool:
        """Whether reading can go on here another time, with something done in between."""
        if self.begun < self._end:
            return True
        carried = self._pending.text if self._pending else self._tail
        if len(carried) < 2 * TEXT_MAX:
            return False
        # Only the first bytes of a record are told: what lies behind them, from some line on, need not be read again.
        self.begun = self._position + (carried.find(b"\n", TEXT_MAX) + 1 or len(carried))
        return self.begun < self._end

    def _records(self, each: Fragment, text: bytes, before: int | None) -> Iterator[Record]:
        """The wanted records whose first line ends in a fragment; the time `before` is in force where it begins."""
        text = text[: self._position - each.offset]
        at_end = self._position == self._end
        self._position = each.offset
        open_line = each.before.open_line
        if self._open:
            keep = text.rfind(b"\n") + 1
            if self._pending:
                longer = _carried(text[keep:], self._pending.text)
                self._pending = self._pending._replace(start=each.offset + keep, text=longer)
            if not keep and open_line:
                return
            if self._pending:
                self.begun = self._pending.start
                yield from self._told(self._pending)
            self._open, self._pending = False, None
            text = text[:keep]
        lines = b"\n" + open_line + text
        zero = each.offset - len(open_line)
        end, tail = len(lines), self._tail
        # Without the keyword it only matters where the first record begins, and how far one goes that is open.
        most = None if self._wanted.keyword in lines + tail else 2
        found = starts(lines + b"\n" if at_end else lines, most)
        times = _Times(found, before)
        for index in reversed(range(len(found))):
            start = found[index]
            wanted = self._wanted.level(start.level)
            self._open = start.place == 0 and open_line != b""
            if self._open and len(open_line) == LINE_PREFIX:  # or more, which only the fragments before tell
                if wanted:
                    rest = _carried(lines[1 + LINE_PREFIX : end], tail)
                    self._pending = Record(each.offset, rest, start.level, times.at(index))
            else:
                self.begun = zero + start.place
                body = _carried(lines[start.place + 1 : end], tail)[:TEXT_MAX] if wanted else b""
                if wanted and self._wanted.keyword in body:
                    yield from self._told(Record(self.begun, body, start.level, times.at(index)))
            end, tail = start.place + 1, b""
        # What stands before the first record is of one that began before.
        self._tail = b"" if self._open else _carried(lines[1 + len(open_line) : end], tail)

    def _told(self, record: Record) -> Iterator[Record]:
        text = record.text[:TEXT_MAX]
        if self._wanted.time(record.time) and self._wanted.keyword in text:
            yield record._replace(text=text.removesuffix(b"\n").removesuffix(b"\r"))

    def _first(self) -> Iterator[Record]:
        """The lines before the first record are one, without level and time."""
        if self._tail.strip() and self._wanted.level(None):
            yield from self._told(Record(0, self._tail, None, None))


def _carried(text: bytes, tail: bytes) -> bytes:
    return (text + tail)[: 2 * TEXT_MAX]


class _Times:
    """The times in force at the records of a fragment, asked for from the last one on."""

    def __init__(self, found: list[Start], before: int | None) -> None:
        self._found = found
        self._before = before
        self._since = len(found)  # the record whose time was found last
        self._time: int | None = None

    def at(self, index: int) -> int | None:
        """A record's own time, or the last before it."""
        if index < self._since:
            self._time, self._since = self._before, 0
            for each in range(index, -1, -1):
                if (time := self._found[each].time) is not None:
                    self._time, self._since = time, each
                    break
        return self._time
