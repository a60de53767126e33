"""Logs kept in memory, packed as the store packs them."""

from collections.abc import Iterable, Iterator

from logkeep.downloads.rendition import Rendition
from logkeep.errors import Corrupt, LogNotFound
from logkeep.extents import Extent, Facts
from logkeep.logid import LogId
from logkeep.logs.fragment import inflate
from logkeep.logs.head import Head, Totals
from logkeep.logs.reader import Row


class MemoryLogs:
    """A LogSource whose rows hold their packed bytes."""

    def __init__(self, *, time_zone: str = "UTC", arrival: int = 1785225600000) -> None:
        """`arrival` is the epoch milliseconds of all appends: 28 July 2026."""
        self.arrival = arrival
        self._time_zone = time_zone
        self._heads: dict[LogId, Head] = {}
        self._deleted = 0
        self._rows: dict[LogId, list[Row]] = {}

    def append(self, log_id: str, *bodies: bytes) -> Head:
        """Each body as one request appends it; without one, the log as a seal of nothing makes it."""
        name = LogId.parse(log_id)
        head = self._heads.get(name) or Head(log_id=name, birth=self._birth, time_zone=self._time_zone)
        rows = self._rows.setdefault(name, [])
        for body in bodies:
            head, packed = head.extended([body], self.arrival)
            rows += [Row(each, data) for each, data in packed]
        self._heads[name] = head
        return head

    @property
    def _birth(self) -> str:
        """Of all logs alike, so that equal appends make equal heads, until one is deleted."""
        return f"{self._deleted:012x}"

    def delete(self, log_id: str) -> None:
        name = LogId.parse(log_id)
        del self._heads[name], self._rows[name]
        self._deleted += 1

    def seal(self, log_id: str, totals: Totals | None = None) -> Head:
        name = LogId.parse(log_id)
        self._heads[name] = self._heads[name].seal(totals or Totals())
        return self._heads[name]

    def head(self, log_id: LogId) -> Head:
        if log_id not in self._heads:
            raise LogNotFound(f"no log {log_id}")
        return self._heads[log_id]

    def heads(self, owner: str, rest: str = "") -> Iterator[Head]:
        return (self._heads[name] for name in sorted(self._heads) if name.owner == owner and name.rest.startswith(rest))

    def rows(self, head: Head, start: int = 0) -> Iterator[Row]:
        return (row for row in self._rows_of(head) if start < row.fragment.end <= head.end)

    def rows_back(self, head: Head, end: int) -> Iterator[Row]:
        return (row for row in reversed(self._rows_of(head)) if row.fragment.offset < end)

    def _rows_of(self, head: Head) -> list[Row]:
        found = self._heads.get(head.log_id)
        if found is None or found.birth != head.birth:
            raise Corrupt(f"{head.log_id}: no row holds byte 0")
        return self._rows[head.log_id]

    def texts_of(self, rows: Iterable[Row]) -> Iterator[bytes]:
        return map(self.text, rows)

    def texts(self, head: Head, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        stop = head.end if end is None else end
        for row in self.rows(head):
            each = row.fragment
            if start < each.end and each.offset < stop:
                yield self.text(row)[max(0, start - each.offset) : stop - each.offset]

    def text(self, row: Row) -> bytes:
        return inflate(content([row.extent]), row.fragment)


def content(extents: Iterable[Extent]) -> bytes:
    pieces = []
    for extent in extents:
        assert isinstance(extent, bytes)
        pieces.append(extent)
    return b"".join(pieces)


def made(rendition: Rendition) -> tuple[list[Extent], Facts]:
    """The extents of a file, and what making it told."""
    making, extents = rendition.make(), []
    while True:
        try:
            extents.append(next(making))
        except StopIteration as end:
            return extents, end.value
