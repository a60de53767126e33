"""Cuts and the archives made of them: up to which byte a backup takes each log, and where the backup before it ended.

A cut is made once and stored. The archive is a pure function of it, so every worker that continues a backup makes the
same bytes.
"""

import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Self

from isal import isal_zlib
from pydantic import BaseModel, ConfigDict, Field

from logkeep.backups.event_files import EventFile
from logkeep.downloads.archive import MANIFEST, Entry, ZipLayout, entry_names
from logkeep.errors import Corrupt
from logkeep.extents import Extent, Facts
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
    generation: int
    state: State
    lines: int  # of the log up to `mark`
    begin: Mark
    mark: Mark
    last_time: int | None
    expected: dict[str, int] | None = None  # totals of its seal

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
        head = Head(log_id=LogId.parse(self.log_id), end=self.mark.end)
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

    @property
    def archive(self) -> "Archive":
        return Archive(self)


def _slice(head: Head, held: Slice | None) -> Slice:
    mark = Mark.of(head)
    # If a log was packed again, no fragment may begin where the base ends, so the whole log is taken.
    begin = held.mark if held and held.generation == head.generation and _grows(held.mark, mark) else START
    return Slice(
        log_id=str(head.log_id),
        generation=head.generation,
        state=head.state,
        lines=Certificate.of(head).lines,
        begin=begin,
        mark=mark,
        last_time=head.last_time,
        expected=head.expected.stored() if head.expected else None,
    )


def _grows(before: Mark, after: Mark) -> bool:
    """Whether a log can have grown from one mark to the other.

    The generation does not say so: it is the same after a log was lost and written again.
    """
    return before == after or (before.end < after.end and before.packed < after.packed)


class Archive:
    """The ZIP of a cut: manifest.json, then a file per slice, joined from the log's fragments, then one per service.

    Files are named `{instance}/{log type}/{first byte}-{end}.log` and `events/{service}/{created_at}.ndjson`. So files
    of a full backup and of the incremental ones after it, unzipped into one folder, sort in order.
    """

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        self.slices = cut.parts
        files = [f"events/{each.service}/{cut.created_at:013d}.ndjson" for each in cut.events]
        names = entry_names([*map(_file_name, self.slices), *files])
        self.names, self.event_names = names[: len(self.slices)], names[len(self.slices) :]
        self._manifest = self._manifest_of(dict(zip((each.log_id for each in self.slices), self.names, strict=True)))
        self._parts: list[Slice | EventFile] = [*self.slices, *cut.events]
        entries = [each.entry(name) for each, name in zip(self._parts, names, strict=True)]
        self.layout = ZipLayout([Entry.stored(MANIFEST, self._manifest), *entries])

    @property
    def facts(self) -> Facts:
        return Facts(self.layout.size, self.layout.size, self.layout.crc32)

    @property
    def raw_size(self) -> int:
        return sum(each.raw for each in self._parts)

    @property
    def sources(self) -> list[str]:
        """The sources of the entries after the manifest, in words."""
        return [*(each.log_id for each in self.slices), *(f"the events of {each.service}" for each in self.cut.events)]

    def make(self, logs: LogReader) -> Generator[Extent, None, Facts]:
        def packed(index: int) -> Iterator[Extent]:
            if index == 0:
                yield self._manifest
                return
            part = self._parts[index - 1]
            if isinstance(part, EventFile):
                yield from part.extents()
            else:
                yield from (row.extent for row in part.rows(logs))
            yield END

        yield from self.layout.extents(packed)
        return self.facts

    def content_of(self, index: int) -> tuple[int, int]:
        """First byte and size of the packed bytes of a slice. Indexes after the slices are those of event files."""
        return self.layout.content_start(index + 1), self.layout.entries[index + 1].packed

    def _manifest_of(self, names: Mapping[str, str]) -> bytes:
        rows = [
            {
                "id": each.log_id,
                "entry": names.get(each.log_id),  # null if nothing is new
                "state": each.state,
                "from": each.begin.end,
                "bytes": each.mark.end,
                "lines": each.lines,
                "crc32": f"{each.mark.crc32:08x}",
            }
            for each in self.cut.logs
        ]
        fields: dict[str, Any] = {
            "record": self.cut.record_id,
            "cluster": self.cut.cluster_id,
            "created_at": self.cut.created_at,
        }
        fields |= {"continues": self.cut.base, "logs": rows}
        if self.cut.events:
            named = zip(self.cut.events, self.event_names, strict=True)
            fields["services"] = [file.shown(name) for file, name in named]
        return json.dumps(fields, indent=1).encode() + b"\n"


def _crc32_of_rest(first: int, both: int, second_size: int) -> int:
    """The CRC-32 of the second of two stretches, from the CRC-32s of the first and of both joined."""
    # CRC-32 is linear: the CRC of both is that of the first, shifted by the second's size, XOR that of the second.
    return combine_crc32(first, 0, second_size) ^ both if second_size else 0


def _file_name(part: Slice) -> str:
    _, _, instance, log_type = part.log_id.split("/")
    return f"{instance}/{log_type}/{part.begin.end:016d}-{part.mark.end:016d}.log"
