"""Cuts: up to which byte a backup takes each log, and where the backup before it ended.

A cut is made once and stored. The archive is a pure function of it, so every worker that continues a backup makes the
same bytes.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Self

from isal import isal_zlib
from pydantic import BaseModel, ConfigDict, Field

from logkeep.backups.event_files import EventFile
from logkeep.downloads.archive import Entry
from logkeep.errors import Corrupt, LogChanged
from logkeep.extents import Extent, ObjectRange
from logkeep.logid import LogId
from logkeep.logs.fragment import END, crc32_of_rest, deflate
from logkeep.logs.head import Certificate, Head, State, Totals
from logkeep.logs.reader import LogReader
from logkeep.logs.sums import Sums

LOGS_MAX: Final = 100_000  # logs of one cluster, because a cut is held in memory


class Mark(BaseModel):
    """The size in bytes and the CRC-32 of a log's text from its first byte to `end`."""

    model_config = ConfigDict(frozen=True)

    end: int = 0
    crc32: int = 0


START: Final = Mark()


class Staged(BaseModel):
    """An object that holds the rest of a fragment in which the backup before ended, packed anew. Sizes in bytes."""

    model_config = ConfigDict(frozen=True)

    key: str
    raw: int
    packed: int


class Rest(NamedTuple):
    """The packed text of a log after a mark. Sizes in bytes."""

    packed: int
    packed_crc32: int
    staged: Staged | None = None  # the first of it


# Finds the packed text of a log after a mark; None if up to there it is not the text that had this mark.
type RestOf = Callable[[Head, Mark], Rest | None]


class Slice(BaseModel):
    """A log between two marks. The bytes before `begin` are in the backups that this one continues."""

    model_config = ConfigDict(frozen=True)

    log_id: str
    birth: str
    state: State
    lines: int  # of the log up to `mark`
    begin: Mark
    mark: Mark
    packed: int  # bytes
    packed_crc32: int
    staged: Staged | None = Field(default=None, exclude_if=lambda staged: staged is None)
    # Of the log up to `mark`: where its packs ended, and the sums of its packed bytes.
    packed_to: int
    log_packed: int
    log_packed_crc32: int
    last_time: int | None
    time_zone: str | None = None
    received_at: int | None = None  # epoch ms
    expected: dict[str, int] | None = None  # totals of its seal
    labels: dict[str, str] = Field(default={}, exclude_if=lambda labels: not labels)

    @classmethod
    def of(cls, head: Head, held: "Slice | None", rest_of: RestOf) -> Self:
        """What a backup takes of a log, if those that it continues have the slice `held`."""
        begin, rest = _continued(head, held, rest_of) or (START, Rest(head.packed, head.packed_crc32))
        return cls(
            log_id=str(head.log_id),
            birth=head.birth,
            state=head.state,
            lines=Certificate.of(head).lines,
            begin=begin,
            mark=Mark(end=head.end, crc32=head.crc32),
            **rest._asdict(),
            packed_to=head.mark.raw,
            log_packed=head.packed,
            log_packed_crc32=head.packed_crc32,
            last_time=head.last_time,
            time_zone=head.time_zone,
            received_at=head.received_at,
            expected=head.expected.stored() if head.expected else None,
            labels=dict(head.labels),
        )

    @property
    def totals(self) -> Totals | None:
        return None if self.expected is None else Totals.of_stored(self.expected)

    @property
    def raw(self) -> int:
        return self.mark.end - self.begin.end

    @property
    def crc32(self) -> int:
        return crc32_of_rest(self.begin.crc32, self.mark.crc32, self.raw)

    def entry(self, name: str) -> Entry:
        return Entry(
            name=name,
            raw=self.raw,
            crc32=self.crc32,
            packed=self.packed + len(END),
            packed_crc32=isal_zlib.crc32(END, self.packed_crc32),
            modified=self.last_time,
        )

    def extents(self, logs: LogReader) -> Iterator[Extent]:
        """Its packed bytes. Raises Corrupt if they are not those from which the cut was made."""
        if not self.raw:
            return
        start, size = self.begin.end, self.packed
        if self.staged:
            yield ObjectRange(self.staged.key, 0, self.staged.packed)
            start, size = start + self.staged.raw, size - self.staged.packed
        head = Head(log_id=LogId.parse(self.log_id), birth=self.birth, end=self.mark.end, mark=Sums(raw=self.packed_to))
        changed = f"{self.log_id} was packed or written again since its cut was taken; back up again"
        try:
            for each in logs.stretches(head, start):
                start, size = start + each.sums.raw, size - each.sums.packed
                if start > self.mark.end or size < 0:
                    raise Corrupt(changed)
                yield each.extent
        except LogChanged as error:
            raise Corrupt(changed) from error
        if start != self.mark.end or size:
            raise Corrupt(changed)


class Cut(BaseModel):
    """What one backup holds. `base` is the backup that it continues; None for a full backup."""

    model_config = ConfigDict(frozen=True)

    record_id: str
    cluster_id: str
    created_at: int  # epoch ms
    base: str | None
    logs: list[Slice]
    events: list[EventFile] = Field(default=[], exclude_if=lambda files: not files)

    @property
    def has_staged(self) -> bool:
        """Whether objects were made for it."""
        return bool(self.events or any(each.staged for each in self.logs))

    @property
    def parts(self) -> list[Slice]:
        """The slices that are in the archive: those with bytes, and empty logs."""
        return [each for each in self.logs if each.raw or not each.mark.end]


def _continued(head: Head, held: Slice | None, rest_of: RestOf) -> tuple[Mark, Rest] | None:
    """Where a slice begins that continues `held`, and its packed text; None if the log is another one up to there."""
    if held is None or held.birth != head.birth or held.mark.end > head.end:
        return None
    if held.mark.end == head.end:
        return (held.mark, Rest(0, 0)) if held.mark.crc32 == head.crc32 else None
    if held.packed_to == head.mark.raw:
        # No pack was made since, so that the sums of then and now are over the same fragments.
        size = head.packed - held.log_packed
        if size <= 0:
            return None
        return held.mark, Rest(size, crc32_of_rest(held.log_packed_crc32, head.packed_crc32, size))
    rest = rest_of(head, held.mark)
    return rest and (held.mark, rest)


def rest_after(logs: LogReader, head: Head, mark: Mark, stage: Callable[[bytes], str]) -> Rest | None:
    """The packed text of a log after a mark; None if up to there it is not the text that had this mark.

    If no fragment begins at the mark any more, the rest of the one there is packed anew. `stage` stores it, and returns
    the key of its object.
    """
    sums, row = logs.sums_to(head, mark.end)
    if row is None:
        rest = head.sums.rest(sums)
        return Rest(rest.packed, rest.packed_crc32) if sums.crc32 == mark.crc32 else None
    text, cut = logs.text(row), mark.end - row.fragment.offset
    if isal_zlib.crc32(text[:cut], sums.crc32) != mark.crc32:
        return None
    data = deflate(text[cut:])
    rest = Sums(packed=len(data), packed_crc32=isal_zlib.crc32(data)) + head.sums.rest(sums + Sums.of(row.fragment))
    return Rest(rest.packed, rest.packed_crc32, Staged(key=stage(data), raw=len(text) - cut, packed=len(data)))
