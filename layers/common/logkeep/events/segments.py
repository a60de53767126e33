"""Events as they are received and stored: requests, and the segments and card slots into which they are packed.

A segment holds events of one type and minute (UTC). Two cards count it: the card of its hour has a slot per minute, the
card of its day a slot per hour.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, NamedTuple, Self

from isal import isal_zlib
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from logkeep.clock import MINUTE
from logkeep.params import Integer, NotSeconds

BATCH_MAX: Final = 1000  # events of one request
INFO_MAX: Final = 4096  # bytes of UTF-8
SEGMENT_RAW_MAX: Final = 200_000  # bytes before compression: an item stays below 256 KB even if nothing compresses
TIME_MAX: Final = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z


class EventType(StrEnum):
    NORMAL = "normal"
    ABNORMAL = "abnormal"


EVERY_TYPE: Final = tuple(sorted(EventType))


def _fits(info: str) -> str:
    try:
        size = len(info.encode())
    except UnicodeEncodeError as error:
        raise ValueError("holds half of a surrogate pair") from error
    if size > INFO_MAX:
        raise ValueError(f"longer than {INFO_MAX} bytes")
    return info


class Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    occur_time: Annotated[Integer, Field(ge=0, le=TIME_MAX), NotSeconds]
    event_type: EventType
    event_info: Annotated[str, AfterValidator(_fits)]


class EventBatch(BaseModel):
    """The body of a put. Without events it only registers the service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service_name: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_fits)] | None = None
    events: Annotated[list[Event], Field(max_length=BATCH_MAX)]

    @model_validator(mode="after")
    def _has_something(self) -> Self:
        if not self.events and self.service_name is None:
            raise ValueError("an empty list of events needs a service_name to register")
        return self


@dataclass(frozen=True, slots=True)
class Segment:
    """Events of one type and minute to be stored, in order of occur_time and compressed."""

    type: EventType
    minute: int  # since the epoch
    id: str
    count: int
    packed: bytes


class PackedSegment(NamedTuple):
    """A stored segment of events that is not unpacked."""

    at: str  # {yyyymmddhhmm}/{id}
    type: EventType
    received_at: int  # epoch ms
    packed: bytes


@dataclass(frozen=True, slots=True)
class Slot:
    """The place where a segment is counted."""

    card: str  # sort key without the shard
    type: EventType
    index: int


def minute_key(minute: int) -> str:
    """yyyymmddhhmm of a minute counted from the epoch."""
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%4Y%m%d%H%M")


def hour_key(hour: int) -> str:
    """yyyymmddhh of an hour counted from the epoch."""
    return minute_key(hour * 60)[:10]


def day_key(day: int) -> str:
    """yyyymmdd of a day counted from the epoch."""
    return minute_key(day * 1440)[:8]


def pack_segments(events: Sequence[Event], salt: str) -> list[Segment]:
    """The segments of one request, in order of time. Equal events and salt give equal segments."""
    groups: dict[tuple[int, EventType], list[Event]] = {}
    for event in sorted(events, key=lambda e: e.occur_time):
        groups.setdefault((event.occur_time // MINUTE, event.event_type), []).append(event)
    segments = []
    for (minute, kind), group in groups.items():
        for ordinal, rows in enumerate(_chunks(group)):
            raw = b"[" + b",".join(rows) + b"]"
            # Two equal chunks of one request differ in their ordinal.
            name = hashlib.sha256(f"{kind} {minute} {ordinal} {salt}\n".encode() + raw).hexdigest()[:32]
            segments.append(Segment(kind, minute, name, len(rows), isal_zlib.compress(raw, 2)))
    return segments


def unpack_segment(packed: bytes) -> list[tuple[int, str]]:
    """(occur_time, event_info) of each event of a segment."""
    return [(occur_time, info) for occur_time, info in json.loads(isal_zlib.decompress(packed))]


def slots_of(segment: Segment) -> tuple[Slot, Slot]:
    """The slots of a segment on the card of its hour and on the card of its day."""
    hour, minute = divmod(segment.minute, 60)
    day, hour_of_day = divmod(hour, 24)
    return (
        Slot(f"hour/{hour_key(hour)}", segment.type, minute),
        Slot(f"day/{day_key(day)}", segment.type, hour_of_day),
    )


def _chunks(events: Iterable[Event]) -> Iterator[list[bytes]]:
    """JSON rows of events, in lists of at most SEGMENT_RAW_MAX bytes."""
    chunk: list[bytes] = []
    size = 0
    for event in events:
        row = json.dumps([event.occur_time, event.event_info], ensure_ascii=False, separators=(",", ":")).encode()
        if size + len(row) > SEGMENT_RAW_MAX:
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += len(row) + 1
    yield chunk
