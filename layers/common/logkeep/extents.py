"""Extents: the pieces that the content of a file is described with before any of it is read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class ObjectRange:
    """Bytes [start, start + size) of an object."""

    key: str
    start: int
    size: int


type Extent = bytes | ObjectRange


class Facts(NamedTuple):
    """The size of a file as sent, and its size and CRC-32 after the Content-Encoding is undone. Sizes in bytes."""

    size: int
    raw_size: int
    crc32: int


def size_of(extent: Extent) -> int:
    """Bytes of an extent."""
    return extent.size if isinstance(extent, ObjectRange) else len(extent)


def merged(extents: Iterable[Extent], most: int) -> Iterator[Extent]:
    """The same bytes with adjacent ranges of an object joined, up to `most` bytes each, and without empty extents."""
    last: ObjectRange | None = None
    for extent in extents:
        if not size_of(extent):
            continue
        if isinstance(extent, ObjectRange) and last and _touch(last, extent) and last.size + extent.size <= most:
            last = ObjectRange(last.key, last.start, last.size + extent.size)
            continue
        if last:
            yield last
        last = extent if isinstance(extent, ObjectRange) else None
        if isinstance(extent, bytes):
            yield extent
    if last:
        yield last


def _touch(first: ObjectRange, second: ObjectRange) -> bool:
    return first.key == second.key and first.start + first.size == second.start
