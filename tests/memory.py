"""Logs kept in memory, packed as the store packs them."""

from collections.abc import Iterable, Iterator

from logkeep.downloads.rendition import Rendition
from logkeep.errors import Corrupt, LogNotFound
from logkeep.extents import Extent, Facts, ObjectRange
from logkeep.logid import LogId
from logkeep.logs.fragment import inflate
from logkeep.logs.head import Head, Totals
from logkeep.logs.packs import new_pack
from logkeep.logs.reader import Row, Stretch
from logkeep.logs.sums import Sums


class MemoryLogs:
    """A LogSource whose rows hold their packed bytes."""

    def __init__(self, *, time_zone: str = "UTC", arrival: int = 1785225600000) -> None:
        """`arrival` is the epoch milliseconds of all appends: 28 July 2026."""
        self.arrival = arrival
        self._time_zone = time_zone
        self._heads: dict[LogId, Head] = {}
        self._deleted = 0
        self._rows: dict[LogId, list[Row]] = {}
        self._packed: dict[LogId, list[Row]] = {}
        self.staged: dict[str, bytes] = {}  # by key

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
        self._packed.pop(name, None)
        self._deleted += 1

    def pack(self, log_id: str) -> Head:
        """As the worker packs a log: into one pack, which takes the place of the rows after the head's mark."""
        head = self._heads[LogId.parse(log_id)]
        rows = [row for row in self._rows[head.log_id] if row.fragment.offset >= head.mark.raw]
        new = new_pack(rows, content_of, self.texts_of, lambda: False)
        assert new
        assert new.replaced.raw == head.end - head.mark.raw
        made = self._packed.setdefault(head.log_id, [])
        made += [Row(each, data) for each, data in zip(new.fragments, new.data, strict=True)]
        self._heads[head.log_id] = head.with_pack(new.sums, new.replaced)
        return self._heads[head.log_id]

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

    def rows_near(self, head: Head, offset: int) -> list[Row]:
        rows = [row for row in self._rows_of(head) if row.fragment.offset <= offset][-3:]
        if not rows or rows[-1].fragment.end <= offset:
            raise Corrupt(f"{head.log_id}: no row holds byte {offset}")
        return rows

    def row_after(self, head: Head, offset: int) -> int:
        return next((row.fragment.offset for row in self._rows_of(head) if row.fragment.offset > offset), head.end)

    def _rows_of(self, head: Head) -> list[Row]:
        found = self._heads.get(head.log_id)
        if found is None or found.birth != head.birth:
            raise Corrupt(f"{head.log_id}: no row holds byte 0")
        mark = head.mark.raw
        packed = [row for row in self._packed.get(head.log_id, []) if row.fragment.offset < mark]
        return packed + [row for row in self._rows[head.log_id] if row.fragment.offset >= mark]

    def stretches(self, head: Head, start: int = 0) -> Iterator[Stretch]:
        for row in self.rows(head, start):
            assert row.fragment.offset >= start
            yield Stretch(row.extent, Sums.of(row.fragment))

    def sums_to(self, head: Head, offset: int) -> tuple[Sums, Row | None]:
        sums = Sums()
        for row in self.rows(head):
            if row.fragment.end > offset:
                return sums, row if row.fragment.offset < offset else None
            sums += Sums.of(row.fragment)
        return sums, None

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

    def stage(self, data: bytes) -> str:
        key = f"staging/{len(self.staged)}"
        self.staged[key] = data
        return key


def content_of(extents: Iterable[Extent]) -> Iterator[bytes]:
    for extent in extents:
        assert isinstance(extent, bytes)
        yield extent


def content(extents: Iterable[Extent], logs: MemoryLogs | None = None) -> bytes:
    """The bytes of extents, also of those that were staged for a backup of the logs."""
    staged = logs.staged if logs else {}
    return b"".join(staged[each.key] if isinstance(each, ObjectRange) else each for each in extents)


def made(rendition: Rendition) -> tuple[list[Extent], Facts]:
    """The extents of a file, and what making it told."""
    making, extents = rendition.make(), []
    while True:
        try:
            extents.append(next(making))
        except StopIteration as end:
            return extents, end.value
