"""Packing extents into the parts of an S3 multipart upload. The same extents give the same parts, so builds can resume.

S3's rules: every part but the last has at least 5 MiB, a part at most 5 GiB, an upload at most 10,000 parts.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from logkeep.extents import Extent, ObjectRange, merged, size_of

PART_MIN: Final = 5 << 20
PART_MAX: Final = 5 << 30
PARTS_MAX: Final = 10_000
PART_SIZE: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """A part whose bytes we send."""

    extents: tuple[Extent, ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """A part that S3 copies from an object, without the bytes passing through us."""

    source: ObjectRange


def part_size_for(size: int) -> int:
    """The smallest doubling of PART_SIZE, in bytes, with which plan() packs `size` bytes into at most PARTS_MAX parts.

    Any two consecutive parts of plan() have at least PART_MIN + part_size bytes together.
    """
    part_size = PART_SIZE
    while 2 * (size // (PART_MIN + part_size) + 1) > PARTS_MAX:
        part_size *= 2
    return part_size


def plan(extents: Iterable[Extent], part_size: int = PART_SIZE) -> Iterator[Upload | Copy]:
    """The parts of the file that `extents` describe, in order.

    A range of at least `part_size` bytes is copied by S3. If less than PART_MIN is buffered before it, the first bytes
    of the range fill the buffer up, since S3 refuses smaller parts.
    """
    buffer: list[Extent] = []
    buffered = 0
    for extent in merged(extents, PART_MAX):
        rest: Extent = extent
        if isinstance(extent, ObjectRange):
            head = max(0, PART_MIN - buffered) if buffered else 0
            if extent.size - head >= part_size:
                filler, source = _split_range(extent, head)
                if buffered:
                    yield Upload(tuple(merged((*buffer, filler), PART_MAX)))
                    buffer, buffered = [], 0
                yield from _copies(source)
                continue
        while buffered + size_of(rest) >= part_size:
            front, rest = _split(rest, part_size - buffered)
            yield Upload(tuple(merged((*buffer, front), PART_MAX)))
            buffer, buffered = [], 0
        if size_of(rest):
            buffer.append(rest)
            buffered += size_of(rest)
    if buffer:
        yield Upload(tuple(buffer))


def _split(extent: Extent, size: int) -> tuple[Extent, Extent]:
    return (extent[:size], extent[size:]) if isinstance(extent, bytes) else _split_range(extent, size)


def _split_range(source: ObjectRange, size: int) -> tuple[ObjectRange, ObjectRange]:
    return (
        ObjectRange(source.key, source.start, size),
        ObjectRange(source.key, source.start + size, source.size - size),
    )


def _copies(source: ObjectRange) -> Iterator[Copy]:
    count = -(-source.size // PART_MAX)
    for index in range(count):
        start, end = source.size * index // count, source.size * (index + 1) // count
        yield Copy(ObjectRange(source.key, source.start + start, end - start))
