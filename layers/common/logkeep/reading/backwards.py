"""The log records of a log from its end, read in windows. Fragments that cannot hold a wanted one are not read.

A record belongs to the fragment in which its first line ends, because its level is counted there. The fragments after
that one, which may hold more of its text, are read earlier. So the text at the beginning of a fragment is carried to
the fragment before it, cut to twice TEXT_MAX. The keyword is looked for in all of it, before it is cut.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from logkeep.limits import FRAGMENT_MAX
from logkeep.logs.fragment import Fragment
from logkeep.logs.head import Head
from logkeep.logs.levels import GRAMMAR, LINE_PREFIX, Start, TimeBasis, starts
from logkeep.logs.reader import LogReader, Row
from logkeep.reading.rows import Rows

TEXT_MAX: Final = 128 * 1024  # bytes of a record that are kept; escaped as JSON they are still less than a page
_WINDOW_MAX: Final = 8 * FRAGMENT_MAX  # bytes
_PASS_COST: Final = 1024  # bytes of the budget for a fragment that is not read
NEVER: Final = -(1 << 62)  # before all times: stands for the time of a record without one


class Record(NamedTuple):
    """A log record."""

    start: int  # its first byte
    text: bytes  # without the newline at its end
    level: str | None
    time: int | None  # epoch ms; without a timestamp, the time of the record before

    @property
    def order(self) -> tuple[int, int]:
        """Records in order are from the oldest to the newest. One without a time is older than all with one."""
        return NEVER if self.time is None else self.time, self.start


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: of these levels, before a place in the order of records, with a keyword."""

    levels: frozenset[str] | None = None  # None: all records, also those without a level
    before: tuple[int, int] | None = None  # Record.order
    keyword: bytes = b""

    def level(self, level: str | None) -> bool:
        return self.levels is None or level in self.levels

    def passes(self, each: Fragment, earlier: Fragment | None) -> bool:
        """Whether a fragment holds no part of a wanted record. `earlier` is the fragment before it."""
        # Levels and times that another grammar found, in the fragment or up to it, are not relied on.
        if each.grammar != GRAMMAR or (earlier and earlier.grammar != GRAMMAR):
            return False
        if (
            self.levels is not None
            and each.before.level not in self.levels
            and not any(each.levels[level] for level in self.levels)
        ):
            return True
        if self.before is None or each.least_time is None:
            return False
        # The record in force where the fragment begins has the time at which the earlier one ends.
        begins_later = earlier is not None and earlier.last_time is not None and earlier.last_time > self.before[0]
        return begins_later and each.least_time > self.before[0]


class Backwards:
    """Iterates over the wanted records of [0, end), the last one first, until the budget is spent."""

    def __init__(
        self,
        reader: LogReader,
        head: Head,
        end: int,
        wanted: Wanted,
        budget: int,
        is_late: Callable[[], bool],
        *,
        has_keyword: bool = False,
    ) -> None:
        """`budget` is in bytes of text. It and `is_late` end the iteration only after some progress.

        `has_keyword`: the record in which the search ends has the keyword after `end`.
        """
        self.budget = budget
        self.not_before: int | None = None  # epoch ms: end where all that is left is older
        self.reached = end  # all wanted records that begin here or later have been yielded
        self.has_keyword = has_keyword  # in the record at `reached`, after it
        self.is_complete = end == 0
        self.is_settled = end == 0  # whether all that was not read is older than `not_before`
        self._reader = reader
        self._end = end
        self._wanted = wanted
        self._is_late = is_late
        self._head = head
        self._rows = Rows(reader.rows_back(head, end))
        self._position = end
        self._carried: _Carried = _Lines(has_keyword=has_keyword)

    def __iter__(self) -> Iterator[Record]:
        window = FRAGMENT_MAX // 16  # little for the last lines, then more
        while (row := self._rows.peek()) is not None:
            if self._is_settled_at(row.fragment):
                return
            if self._passes():
                self._pass(self._rows.take().fragment)
            else:
                yield from self._read(window)
                if self.is_settled:
                    return
                window = min(4 * window, _WINDOW_MAX)
            if self._rows.peek() is not None and (self.budget <= 0 or self._is_late()) and self._can_stop():
                return
        # The lines before the first record count as a record without level and time.
        if self._carried.text.strip() and self._wanted.level(None):
            first = self._carried.after(b"", self._wanted.keyword)
            yield from self._if_wanted(Record(0, first.text, None, None), has_keyword=first.has_keyword)
        self._reach(0)
        self.is_complete = self.is_settled = True

    def _reach(self, start: int) -> None:
        self.reached, self.has_keyword = start, False

    def _is_settled_at(self, each: Fragment) -> bool:
        """Whether a fragment, and all before it, are older than `not_before`."""
        if self.not_before is not None and each.grammar == GRAMMAR:
            newest = NEVER if each.newest_time is None else each.newest_time
            self.is_settled = self.is_settled or newest < self.not_before
        return self.is_settled

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
        self._reach(min(self.reached, each.offset - (len(open_line) if len(open_line) < LINE_PREFIX else 0)))

    def _can_stop(self) -> bool:
        """Whether this search has got anywhere, so that the next one, which ends at `reached`, does not repeat it."""
        if self.reached < self._end:
            return True
        if len(self._carried.text) < 2 * TEXT_MAX:
            return False
        # One record is longer than all that was read. Only its first TEXT_MAX bytes are ever yielded, so the text after
        # these, from the next line on, need not be read again: `has_keyword` says what was found in it.
        text = self._carried.text
        self.reached = self._position + (text.find(b"\n", TEXT_MAX) + 1 or len(text))
        self.has_keyword = self._carried.has_keyword
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
            if self._is_settled_at(row.fragment):
                return
            yield from self._records(row.fragment, text, time)

    def _records(self, each: Fragment, text: bytes, time: int | None) -> Iterator[Record]:
        """The wanted records whose first line ends in a fragment. `time` is in force where the fragment begins."""
        is_last = self._position == self._end
        text = text[: self._position - each.offset]
        self._position = each.offset
        if isinstance(self._carried, _FirstLine):
            line = text.rfind(b"\n") + 1
            carried = self._carried.after(text[line:], self._wanted.keyword)
            if not line and each.before.open_line:
                self._carried = carried
                return
            if carried.record:
                self._reach(each.offset + line)
                record = carried.record._replace(start=self.reached)
                yield from self._if_wanted(record, has_keyword=carried.has_keyword)
            self._carried, text = _Lines(), text[:line]
        basis = self._head.time_basis(each.received_at)
        stretch = _Stretch(each, text, self._carried, time, self._wanted, basis, is_last=is_last)
        for record in stretch.records():
            yield from self._if_wanted(record, has_keyword=True)
        if (first := stretch.first_start()) is not None:
            self._reach(first)
        self._carried = stretch.carried()

    def _if_wanted(self, record: Record, *, has_keyword: bool) -> Iterator[Record]:
        """A record of a wanted level, cut, if it is wanted in all."""
        if has_keyword and (self._wanted.before is None or record.order < self._wanted.before):
            text = record.text[:TEXT_MAX]
            yield record._replace(text=text.removesuffix(b"\n").removesuffix(b"\r"))


class _Lines(NamedTuple):
    """Carried text: lines of a record whose first line is before the position. Its level is not known yet."""

    text: bytes = b""  # cut
    has_keyword: bool = False  # in the text before it was cut

    def after(self, text: bytes, keyword: bytes) -> "_Lines":
        """The lines with the text before them added."""
        has_keyword = self.has_keyword or keyword in text + self.text[: len(keyword)]
        return _Lines((text + self.text)[: 2 * TEXT_MAX], has_keyword)


class _FirstLine(NamedTuple):
    """Carried text: a record whose first line contains the position. Its level and time are known, its start is not."""

    record: Record | None  # with the text from the position on; None if it is not wanted, or has been yielded already
    has_keyword: bool = False

    @property
    def text(self) -> bytes:
        return self.record.text if self.record else b""

    def after(self, text: bytes, keyword: bytes) -> "_FirstLine":
        """The record with the text before the position added."""
        if self.record is None:
            return self
        lines = _Lines(self.text, self.has_keyword).after(text, keyword)
        return _FirstLine(self.record._replace(text=lines.text), lines.has_keyword)


type _Carried = _Lines | _FirstLine


class _Stretch:
    """The text of a fragment, with the line that is open where it begins, divided into records."""

    def __init__(
        self,
        each: Fragment,
        text: bytes,
        carried: _Lines,
        time: int | None,
        wanted: Wanted,
        basis: TimeBasis,
        *,
        is_last: bool,
    ) -> None:
        """`carried` follows the text. In the last stretch, a line without a newline may begin a record, too."""
        self._offset = each.offset
        self._open_line = each.before.open_line
        self._lines = b"\n" + self._open_line + text
        self._carried = carried
        self._wanted = wanted
        # Without the keyword no record is wanted. Then only the first matters, if its start is in an earlier fragment.
        may_match = carried.after(self._lines, wanted.keyword).has_keyword
        found = starts(self._lines + b"\n" if is_last else self._lines, each.before.partial, basis)
        self._starts = list(found if may_match else islice(found, 2))
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
                lines = self._text(index, start.place + 1)
                if lines.has_keyword:
                    yield Record(self._byte_at(start), lines.text, start.level, self._times.at(index))

    def first_start(self) -> int | None:
        """Where the first of the records begins whose start is known, wanted or not."""
        known = self._starts[self._first_known :]
        return self._byte_at(known[0]) if known else None

    def carried(self) -> _Carried:
        """The text to carry to the fragment before."""
        if not self._first_is_open:
            return self._text(-1, 1 + len(self._open_line))
        first = self._starts[0]
        if not self._first_is_cut or not self._wanted.level(first.level):
            return _FirstLine(None)
        lines = self._text(0, 1 + LINE_PREFIX)
        return _FirstLine(Record(self._offset, lines.text, first.level, self._times.at(0)), lines.has_keyword)

    def _byte_at(self, start: Start) -> int:
        return self._offset - len(self._open_line) + start.place

    def _text(self, index: int, begin: int) -> _Lines:
        """The text of a record (-1: the one before the first) from a place in the lines on."""
        is_last = index + 1 == len(self._starts)
        end = len(self._lines) if is_last else self._starts[index + 1].place + 1
        return (self._carried if is_last else _Lines()).after(self._lines[begin:end], self._wanted.keyword)


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
