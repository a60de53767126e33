"""Finding the rows of a log that a reader needs, in few requests."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Final, NamedTuple

from logkeep.errors import Corrupt
from logkeep.logs.fragment import Fragment
from logkeep.logs.head import Head
from logkeep.logs.reader import LogReader, Row

_PEEK_MAX: Final = 256  # rows that are searched for the time of a record without one
_GUESSES: Final = 4  # then intervals are halved


class Rows:
    """Rows, of which some are looked at before they are taken."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._ahead: deque[Row] = deque()
        self._lost: Corrupt | None = None
        self.at: int | None = None  # where the row begins that was taken last

    def peek(self, index: int = 0) -> Row | None:
        """The row that is taken after `index` others."""
        while len(self._ahead) <= index:
            if self._lost:
                raise self._lost
            try:
                row = next(self._rows, None)
            except Corrupt as error:
                self._lost = error
                raise
            if row is None:
                return None
            self._ahead.append(row)
        return self._ahead[index]

    def before(self) -> Fragment | None:
        """Of rows from the last one on: the fragment before the next one, if it is known."""
        try:
            row = self.peek(1)
        except Corrupt:
            return None
        return row.fragment if row else None

    def take(self) -> Row:
        row = self._ahead.popleft()
        self.at = row.fragment.offset
        return row

    def time(self) -> int | None:
        """Of rows from the last one on: the last time in the next rows, which is in force where the next one ends."""
        with suppress(Corrupt):
            for index in range(_PEEK_MAX):
                row = self.peek(index)
                if row is None:
                    break
                if row.fragment.last_time is not None:
                    return row.fragment.last_time
        return None


class Guarded:
    """Rows in order, with what is lost between them."""

    def __init__(self, reader: LogReader, head: Head, entry: "Entry") -> None:
        self._reader = reader
        self._head = head
        self._rows = entry.rows
        self._position = entry.offset
        self._next: Row | Gap | None = None

    def peek(self) -> "Row | Gap | None":
        if self._next is None:
            self._next = self._following()
        return self._next

    def take(self) -> None:
        self._next = None

    def _following(self) -> "Row | Gap | None":
        position = self._position
        try:
            row = next(self._rows, None)
        except Corrupt:
            self._position = self._reader.row_after(self._head, position)
            self._rows = self._reader.rows(self._head, self._position)
            return Gap(position, self._position - position)
        if row is not None:
            self._position = row.fragment.end
        return row


class Gap(NamedTuple):
    """Text that is lost: it is missing, or does not match its checksum."""

    offset: int
    size: int


class Entry(NamedTuple):
    """Where reading begins: the rows from there on, and the rows before them that are known already."""

    offset: int  # of the first row
    rows: Iterator[Row]
    earlier: list[Row]

    def time(self, reader: LogReader, head: Head) -> int | None:
        """The time in force where the rows begin."""
        for row in reversed(self.earlier):
            if row.fragment.last_time is not None:
                return row.fragment.last_time
        if not self.earlier or self.earlier[0].fragment.offset == 0:
            return None
        return Rows(reader.rows_back(head, self.earlier[0].fragment.offset)).time()


def entry_at(reader: LogReader, head: Head, offset: int) -> Entry:
    """The rows from the one that holds a byte, or ends before the log's end at it."""
    if offset >= head.end:
        return Entry(head.end, iter(()), [])
    if offset == 0:
        return Entry(0, reader.rows(head), [])
    try:
        page = reader.rows_near(head, offset)
    except Corrupt:
        return Entry(offset, reader.rows(head, offset), [])
    index = next((place for place, row in enumerate(page) if row.fragment.end > offset), len(page))
    return _entry(reader, head, page, index)


def entry_where(
    reader: LogReader,
    head: Head,
    value: Callable[[Fragment], int],
    wanted: int,
    bounds: tuple[int, int],
    *,
    from_end: bool = False,
) -> Entry:
    """The rows from the first at whose end a value is at least the wanted one. It never falls from row to row.

    `bounds`: the value at the beginning and at the end of the log. `from_end`: it is likely to be one of the last.
    """
    low, high = 0, head.end  # all rows that end by `low` are below, all that begin at `high` or later are not
    least, greatest = bounds
    best: list[Row] = []
    guesses = 0
    try:
        while low < high:
            if from_end and not guesses:
                probe = high - 1
            elif guesses < _GUESSES and least < greatest:
                share = (min(max(wanted, least), greatest) - least) / (greatest - least)
                probe = low + int((high - low - 1) * share)
            else:
                probe = (low + high) // 2
            guesses += 1
            page = reader.rows_near(head, probe)
            index = next((place for place, row in enumerate(page) if value(row.fragment) >= wanted), None)
            first, last = page[0].fragment, page[-1].fragment
            if index is None:
                low, least = last.end, value(last)
            elif index or first.offset <= low:
                return _entry(reader, head, page, index)
            else:
                best, high, greatest = page, first.offset, value(first)
    except Corrupt:  # whoever reads all rows sees what is lost
        return Entry(0, reader.rows(head), [])
    return _entry(reader, head, best, 0) if best else Entry(head.end, iter(()), [])


def _entry(reader: LogReader, head: Head, page: list[Row], index: int) -> Entry:
    def later() -> Iterator[Row]:
        if (end := page[-1].fragment.end) < head.end:
            yield from reader.rows(head, end)

    begin = page[index].fragment.offset if index < len(page) else page[-1].fragment.end
    return Entry(begin, chain(page[index:], later()), page[:index])
