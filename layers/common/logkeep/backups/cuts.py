"""Cuts: up to which byte a backup takes each log, and where the backup before it ended.

A cut is made once and stored. The archive is a pure function of it, so every worker that continues a backup makes the
same bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Self

from isal import isal_zlib
from pydantic import BaseModel, ConfigDict, Field

from logkeep.backups.event_files import EventFile
from logkeep.downloads.archive import Entry
from logkeep.errors import Corrupt
from logkeep.logid import LogId
from logkeep.logs.fragment import END, combine_crc32
from logkeep.logs.head import Certificate, Head, State, Totals
from logkeep.logs.reader import LogReader, Row

LOGS_MAX: Final = 100_000  # logs of one cluster, because a cut is held in memory


class Mark(BaseModel):
    """The sums of a log from its first byte to `end`. Sizes are in bytes."""

    model_config = ConfigDict(frozen=True)

    end: int = 0
    packed: int = 0
    crc32: int = 0
    packed_crc32: int = 0

    @classmethod
    def of(cls, head: Head) -> Self:
        return cls(end=head.end, packed=head.packed, crc32=head.crc32, packed_crc32=head.packed_crc32)


START: Final = Mark()


class Slice(BaseModel):
    """A log between two marks. The bytes before `begin` are in the backups that this one continues."""

    model_config = ConfigDict(frozen=True)

    log_id: str
    birth: str
    generation: int
    state: State
    lines: int  # of the log up to `mark`
    begin: Mark
    mark: Mark
    last_time: int | None
    time_zone: str | None = None
    received_at: int | None = None  # epoch ms
    expected: dict[str, int] | None = None  # totals of its seal
    labels: dict[str, str] = Field(default={}, exclude_if=lambda labels: not labels)

    @property
    def totals(self) -> Totals | None:
        return None if self.expected is None else Totals.of_stored(self.expected)

    @property
    def raw(self) -> int:
        return self.mark.end - self.begin.end

    @property
    def packed(self) -> int:
        return self.mark.packed - self.begin.packed

    @property
    def crc32(self) -> int:
        return _crc32_of_rest(self.begin.crc32, self.mark.crc32, self.raw)

    @property
    def packed_crc32(self) -> int:
        return _crc32_of_rest(self.begin.packed_crc32, self.mark.packed_crc32, self.packed)

    def entry(self, name: str) -> Entry:
        return Entry(
            name=name,
            raw=self.raw,
            crc32=self.crc32,
            packed=self.packed + len(END),
            packed_crc32=isal_zlib.crc32(END, self.packed_crc32),
            modified=self.last_time,
        )

    def rows(self, logs: LogReader) -> Iterator[Row]:
        """The rows of the slice. Raises Corrupt if they are not the rows from which the cut and its base were made."""
        changed = f"{self.log_id} was packed or written again since its last backup began; back up again"
        head = Head(log_id=LogId.parse(self.log_id), birth=self.birth, end=self.mark.end)
        packed = 0
        for row in logs.rows(head, self.begin.end):
            packed += row.fragment.packed
            if row.fragment.offset < self.begin.end or row.fragment.end > self.mark.end or packed > self.packed:
                raise Corrupt(changed)
            yield row
        if packed != self.packed:
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

    @classmethod
    def take(
        cls,
        record_id: str,
        cluster_id: str,
        now: int,
        heads: Iterable[Head],
        base: "Cut | None",
        events: Sequence[EventFile] = (),
    ) -> Self:
        """A cut of the logs with these heads: of each log the part that `base` does not hold. `now` in epoch ms."""
        held = {each.log_id: each for each in base.logs} if base else {}
        return cls(
            record_id=record_id,
            cluster_id=cluster_id,
            created_at=now,
            base=base.record_id if base else None,
            logs=[_slice(head, held.get(str(head.log_id))) for head in heads],
            events=list(events),
        )

    @property
    def parts(self) -> list[Slice]:
        """The slices that are in the archive: those with bytes, and empty logs."""
        return [each for each in self.logs if each.raw or not each.mark.end]


def _slice(head: Head, held: Slice | None) -> Slice:
    mark = Mark.of(head)
    # If a log was packed again, no fragment may begin where the base ends, so the whole log is taken.
    is_same = held is not None and (held.birth, held.generation) == (head.birth, head.generation)
    begin = held.mark if held and is_same and _grows(held.mark, mark) else START
    return Slice(
        log_id=str(head.log_id),
        birth=head.birth,
        generation=head.generation,
        state=head.state,
        lines=Certificate.of(head).lines,
        begin=begin,
        mark=mark,
        last_time=head.last_time,
        time_zone=head.time_zone,
        received_at=head.received_at,
        expected=head.expected.stored() if head.expected else None,
        labels=dict(head.labels),
    )


def _grows(before: Mark, after: Mark) -> bool:
    """Whether a log can have grown from one mark to the other: not if an older table was restored."""
    return before == after or (before.end < after.end and before.packed < after.packed)


def _crc32_of_rest(first: int, both: int, second_size: int) -> int:
    """The CRC-32 of the second of two stretches, from the CRC-32s of the first and of both joined."""
    # CRC-32 is linear: the CRC of both is that of the first, shifted by the second's size, XOR that of the second.
    return combine_crc32(first, 0, second_size) ^ both if second_size else 0
