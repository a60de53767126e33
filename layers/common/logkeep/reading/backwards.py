"""The log records of a log from its end, read in windows. Fragments that cannot hold a wanted one are not read.

A record belongs to the fragment in which its first line ends, because its level is counted there. The fragments after
that one, which may hold more of its text, are read earlier. So the text at the beginning of a fragment is carried to
the fragment before it, cut to twice TEXT_MAX.
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
_WINDOW_MAX: Final = 8 * FRAGMENT_MAX  # bytes
_PASS_COST: Final = 1024  # bytes of the budget for a fragment that is not read
_PEEK_MAX: Final = 256  # rows that are searched for the time of a record without one


class Record(NamedTuple):
    """A log record."""

    start: int  # its first byte
    text: bytes  # without the newline at its end
    level: str | None
    time: int | None  # epoch ms; without a timestamp, the time of the record before


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: of these levels, from before a time, with a keyword."""

    levels: frozenset[str] | None = None  # None: all records, also those without a level
    before: int | None = None  # epoch ms
    keyword: bytes = b""

    def level(self, level: str | None) -> bool:
        return self.levels is None or level in self.levels

    def time(self, time: int | None) -> bool:
        """A record without a time is older than the first one with a time."""
        return self.before is None or time is None or time < self.before

    def passes(self, each: Fragment, earlier: Fragment | None) -> bool:
        """Whether a fragment holds no part of a wanted record. `earlier` is the fragment before it."""
        if (
            self.levels is not None
            and each.before.level not in self.levels
            and not any(each.levels[level] for level in self.levels)
        ):
            return True
        if self.before is None or each.first_time is None or each.last_time is None:
            return False
        # The record in force where the fragment begins has the time at which the earlier one ends.
        begins_later = earlier is not None and earlier.last_time is not None and earlier.last_time >= self.before
        return begins_later and min(each.first_time, each.last_time) - DISORDER >= self.before


class Backwards:
    """Iterates over the wanted records of [0, end), the last one first, until the budget is spent."""

    def __init__(
        self, reader: LogReader, head: Head, end: int, wanted: Wanted, budget: int, is_late: Callable[[], bool]
    ) -> None:
        """`budget` is in bytes of text. It and `is_late` end the iteration only after some progress."""
        self.budget = budget
        self.not_before: int | None = None  # epoch ms: end at a fragment in which all is older
        self.reached = end  # all wanted records that begin here or later have been yielded
        self.is_complete = end == 0
        self._reader = reader
        self._end = end
        self._wanted = wanted
        self._is_late = is_late
        self._rows = _Rows(reader.rows_back(head, end))
        self._position = end
        self._carried: _Carried = _Lines()

    def __iter__(self) -> Iterator[Record]:
        window = FRAGMENT_MAX // 16  # little for the last lines, then more
        while (row := self._rows.peek()) is not None:
            if self._passes():
                self._pass(self._rows.take().fragment)
            elif self._is_too_old(row.fragment):
                return
            else:
                yield from self._read(window)
                window = min(4 * window, _WINDOW_MAX)
            if self._rows.peek() is not None and (self.budget <= 0 or self._is_late()) and self._can_stop():
                return
        # The lines before the first record count as a record without level and time.
        if self._carried.text.strip() and self._wanted.level(None):
            yield from self._if_wanted(Record(0, self._carried.text, None, None))
        self.reached, self.is_complete = 0, True

    def _passes(self) -> bool:
        """Whether the next row need not be read."""
        row, earlier = self._rows.peek(), self._rows.peek(1)
        if row is None or (isinstance(self._carried, _FirstLine) and self._carried.record):
            return False
        # A last line without a newline counts here, but its row does not count it.
        if row.fragment.end >= self._end and not (row.fragment.end == self._end and row.fragment.ends_line):
            return False
        return self._wanted.passes(row.fragment, earlier.fragment if earlier else None)

    def _pass(self, each: Fragment) -> None:
        self.budget -= _PASS_COST
        self._carried = _Lines()
        self._position = each.offset
        # The line that is open where the fragment begins is not wanted either, so `reached` is its start if that is
        # known. If not, the next search ends within the line, whose first LINE_PREFIX bytes show again what it is.
        open_line = each.before.open_line
        self.reached = min(self.reached, each.offset - (len(open_line) if len(open_line) < LINE_PREFIX else 0))

    def _is_too_old(self, each: Fragment) -> bool:
        if self.not_before is None or each.first_time is None or each.last_time is None:
            return False
        return max(each.first_time, each.last_time) < self.not_before

    def _can_stop(self) -> bool:
        """Whether this search has got anywhere, so that the next one, which ends at `reached`, does not repeat it."""
        if self.reached < self._end:
            return True
        if len(self._carried.text) < 2 * TEXT_MAX:
            return False
        # One record is longer than all that was read. Only its first TEXT_MAX bytes are ever yielded, so the text after
        # these, from the next line on, need not be read again.
        text = self._carried.text
        self.reached = self._position + (text.find(b"\n", TEXT_MAX) + 1 or len(text))
        return self.reached < self._end

    def _read(self, window: int) -> Iterator[Record]:
        """The wanted records of the next rows, at least one row and about `window` bytes."""
        rows: list[Row] = []
        times: list[int | None] = []  # in force where each row begins
        size = 0
        while not rows or (size < window and self._rows.peek() is not None and not self._passes()):
            row = self._rows.take()
            rows.append(row)
            times.append(self._rows.time())
            size += row.fragment.raw
        self.budget -= size
        texts = list(self._reader.texts_of(reversed(rows)))
        for row, time, text in zip(rows, times, reversed(texts), strict=True):
            yield from self._records(row.fragment, text, time)

    def _records(self, each: Fragment, text: bytes, time: int | None) -> Iterator[Record]:
        """The wanted records whose first line ends in a fragment. `time` is in force where the fragment begins."""
        is_last = self._position == self._end
        text = text[: self._position - each.offset]
        self._position = each.offset
        if isinstance(self._carried, _FirstLine):
            line = text.rfind(b"\n") + 1
            record = self._carried.extended(text[line:])
            if not line and each.before.open_line:
                self._carried = _FirstLine(record)
                return
            if record:
                self.reached = each.offset + line
                yield from self._if_wanted(record._replace(start=self.reached))
            self._carried, text = _Lines(), text[:line]
        stretch = _Stretch(each, text, self._carried.text, time, self._wanted, is_last=is_last)
        for record in stretch.records():
            yield from self._if_wanted(record)
        self.reached = stretch.first_start(self.reached)
        self._carried = stretch.carried()

    def _if_wanted(self, record: Record) -> Iterator[Record]:
        """A record of a wanted level, cut, if it is wanted in all."""
        text = record.text[:TEXT_MAX]
        if self._wanted.time(record.time) and self._wanted.keyword in text:
            yield record._replace(text=text.removesuffix(b"\n").removesuffix(b"\r"))


class _Rows:
    """Rows with a view of the ones that follow."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._ahead: deque[Row] = deque()

    def peek(self, index: int = 0) -> Row | None:
        """The row that is taken after `index` others."""
        while len(self._ahead) <= index:
            row = next(self._rows, None)
            if row is None:
                return None
            self._ahead.append(row)
        return self._ahead[index]

    def take(self) -> Row:
        return self._ahead.popleft()

    def time(self) -> int | None:
        """The last time in the next rows, which is in force where the next one ends."""
        for index in range(_PEEK_MAX):
            row = self.peek(index)
            if row is None:
                break
            if row.fragment.last_time is not None:
                return row.fragment.last_time
        return None


class _Lines(NamedTuple):
    """Carried text: lines of a record whose first line is before the position. Its level is not known yet."""

    text: bytes = b""


class _FirstLine(NamedTuple):
    """Carried text: a record whose first line contains the position. Its level and time are known, its start is not."""

    record: Record | None  # with the text from the position on; None if it is not wanted, or has been yielded already

    @property
    def text(self) -> bytes:
        return self.record.text if self.record else b""

    def extended(self, text: bytes) -> Record | None:
        """The record, with the text before the position added."""
        return self.record and self.record._replace(text=_joined(text, self.record.text))


type _Carried = _Lines | _FirstLine


class _Stretch:
    """The text of a fragment, with the line that is open where it begins, divided into records."""

    def __init__(
        self, each: Fragment, text: bytes, carried: bytes, time: int | None, wanted: Wanted, *, is_last: bool
    ) -> None:
        """`carried` follows the text. In the last stretch, a line without a newline may begin a record, too."""
        self._offset = each.offset
        self._open_line = each.before.open_line
        self._lines = b"\n" + self._open_line + text
        self._carried = carried
        self._wanted = wanted
        # Without the keyword no record is wanted. Then only the first matters, if its start is in an earlier fragment.
        most = None if wanted.keyword in self._lines + carried else 2
        self._starts = starts(self._lines + b"\n" if is_last else self._lines, most)
        self._times = _Times(self._starts, time)
        # The first record begins in the open line, so before the fragment.
        self._first_is_open = bool(self._starts and self._starts[0].place == 0 and self._open_line)
        # Only LINE_PREFIX bytes are remembered of an open line: if there are as many, it may begin anywhere before.
        self._first_is_cut = self._first_is_open and len(self._open_line) == LINE_PREFIX
        self._first_known = 1 if self._first_is_cut else 0  # the first record whose start is known

    def records(self) -> Iterator[Record]:
        """The records of a wanted level with the keyword whose start is known, the last one first."""
        for index in reversed(range(self._first_known, len(self._starts))):
            start = self._starts[index]
            if self._wanted.level(start.level):
                text = self._text(index, start.place + 1)[:TEXT_MAX]
                if self._wanted.keyword in text:
                    yield Record(self._byte_at(start), text, start.level, self._times.at(index))

    def first_start(self, default: int) -> int:
        """Where the first of the records begins whose start is known, wanted or not."""
        known = self._starts[self._first_known :]
        return self._byte_at(known[0]) if known else default

    def carried(self) -> _Carried:
        """The text to carry to the fragment before."""
        if not self._first_is_open:
            return _Lines(self._text(-1, 1 + len(self._open_line)))
        first = self._starts[0]
        if not self._first_is_cut or not self._wanted.level(first.level):
            return _FirstLine(None)
        return _FirstLine(Record(self._offset, self._text(0, 1 + LINE_PREFIX), first.level, self._times.at(0)))

    def _byte_at(self, start: Start) -> int:
        return self._offset - len(self._open_line) + start.place

    def _text(self, index: int, begin: int) -> bytes:
        """The text of a record (-1: the one before the first) from a place in the lines on."""
        if index + 1 < len(self._starts):
            return _joined(self._lines[begin : self._starts[index + 1].place + 1], b"")
        return _joined(self._lines[begin:], self._carried)


class _Times:
    """The times in force at the records of a fragment. Ask for the last one first."""

    def __init__(self, found: list[Start], before: int | None) -> None:
        self._found = found
        self._before = before
        self._since = len(found)  # the record from which on `_time` is in force
        self._time: int | None = None

    def at(self, index: int) -> int | None:
        """A record's own time, or else the time of the last record before it that has one."""
        if index < self._since:
            self._time, self._since = self._before, 0
            for each in range(index, -1, -1):
                if (time := self._found[each].time) is not None:
                    self._time, self._since = time, each
                    break
        return self._time


def _joined(text: bytes, carried: bytes) -> bytes:
    return (text + carried)[: 2 * TEXT_MAX]
