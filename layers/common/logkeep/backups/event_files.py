"""Event files of a backup: the events of a service as NDJSON, packed in pieces."""

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol, Self

from isal import isal_zlib
from pydantic import BaseModel, ConfigDict

from logkeep.downloads.archive import Entry
from logkeep.events.segments import EVERY_TYPE, EventType, PackedSegment, unpack_segment
from logkeep.extents import Extent, ObjectRange
from logkeep.limits import FRAGMENT_MAX
from logkeep.logs.fragment import END, combine_crc32, deflate

# ms by which backups overlap. A writer takes received_at from its own clock, up to half a minute before its commit.
OVERLAP: Final = 600_000
PIECE_SIZE: Final = 8 << 20  # packed bytes at which a piece is stored, because it is held in memory
PIECES_MAX: Final = 10_000  # of one cut, because it is held in memory


class SegmentReader(Protocol):
    """The segments of one service."""

    def segments_after(self, kind: EventType, at: str) -> Iterator[PackedSegment]:
        """The segments after a place, in order of `at`."""
        ...


class Packed(NamedTuple):
    """A stretch of NDJSON, packed in fragments. Sizes are in bytes, times in epoch milliseconds."""

    data: bytes
    raw: int
    crc32: int
    events: int
    first_received: int
    last_received: int


class Piece(BaseModel):
    """The object that holds a packed stretch of NDJSON."""

    model_config = ConfigDict(frozen=True)

    key: str
    raw: int
    packed: int
    crc32: int
    packed_crc32: int
    events: int
    first_received: int
    last_received: int

    @classmethod
    def of(cls, key: str, stretch: Packed) -> Self:
        data, *others = stretch
        sums = dict(zip(Packed._fields[1:], others, strict=True))
        return cls(key=key, packed=len(data), packed_crc32=isal_zlib.crc32(data), **sums)


class EventFile(BaseModel):
    """The events of a service that a backup holds, one JSON object per line."""

    service: str
    since: int | None  # epoch ms; events received before are in the backups that this one continues
    pieces: list[Piece] = []

    @property
    def raw(self) -> int:
        return sum(each.raw for each in self.pieces)

    def entry(self, name: str) -> Entry:
        crc32 = packed_crc32 = 0
        for each in self.pieces:
            crc32 = combine_crc32(crc32, each.crc32, each.raw)
            packed_crc32 = combine_crc32(packed_crc32, each.packed_crc32, each.packed)
        return Entry(
            name=name,
            raw=self.raw,
            crc32=crc32,
            packed=sum(each.packed for each in self.pieces) + len(END),
            packed_crc32=isal_zlib.crc32(END, packed_crc32),
            modified=max((each.last_received for each in self.pieces), default=None),
        )

    def extents(self) -> Iterator[Extent]:
        for each in self.pieces:
            yield ObjectRange(each.key, 0, each.packed)

    def shown(self, entry: str) -> Mapping[str, Any]:
        """Its row in the manifest, for the name of its entry."""
        return {
            "id": self.service,
            "entry": entry,
            "since": self.since,
            "events": sum(each.events for each in self.pieces),
            "first_received_at": min((each.first_received for each in self.pieces), default=None),
            "last_received_at": max((each.last_received for each in self.pieces), default=None),
        }


def in_order(reader: SegmentReader, start: str) -> Iterator[PackedSegment]:
    """The segments of every type after a place, by minute and id."""
    return heapq.merge(*(reader.segments_after(kind, start) for kind in EVERY_TYPE), key=attrgetter("at"))


def pack_lines(segments: Iterable[PackedSegment], since: int | None) -> Iterator[Packed]:
    """The events received at `since` (epoch ms) or later, as NDJSON. One piece and one fragment are held in memory."""
    fragments: list[bytes] = []
    raw = crc32 = size = events = first = last = 0

    def piece() -> Packed:
        return Packed(b"".join(fragments), raw, crc32, events, first, last)

    for text, count, earliest, latest in _texts(segments, since):
        fragments.append(deflate(text))
        size += len(fragments[-1])
        raw, crc32 = raw + len(text), isal_zlib.crc32(text, crc32)
        first, last = min(first, earliest) if events else earliest, max(last, latest)
        events += count
        if size >= PIECE_SIZE:
            yield piece()
            fragments = []
            raw = crc32 = size = events = first = last = 0
    if fragments:
        yield piece()


def _texts(segments: Iterable[PackedSegment], since: int | None) -> Iterator[tuple[bytes, int, int, int]]:
    """About FRAGMENT_MAX bytes of whole lines at a time, with their number and their first and last received_at."""
    lines: list[bytes] = []
    size = earliest = latest = 0
    for segment in segments:
        if since is not None and segment.received_at < since:
            continue
        new = list(_lines(segment))
        earliest = min(earliest, segment.received_at) if lines else segment.received_at
        latest = max(latest, segment.received_at)
        lines += new
        size += sum(map(len, new))
        if size >= FRAGMENT_MAX:
            yield b"".join(lines), len(lines), earliest, latest
            lines, size, latest = [], 0, 0
    if lines:
        yield b"".join(lines), len(lines), earliest, latest


def _lines(segment: PackedSegment) -> Iterator[bytes]:
    name = segment.at.partition("/")[2]
    for place, (occur_time, info) in enumerate(unpack_segment(segment.packed)):
        fields = {
            "id": f"{name}-{place}",
            "occur_time": occur_time,
            "event_type": segment.type,
            "event_info": info,
            "received_at": segment.received_at,
        }
        yield json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
