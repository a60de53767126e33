"""Fragments: raw DEFLATE blocks that end on a byte, so that a log is spliced into .gz and ZIP without recompression.

A fragment ends with Z_FULL_FLUSH and has no final block. Fragments concatenated, then END, are one DEFLATE stream
(RFC 1951).
"""

import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from isal import isal_zlib

from logkeep.errors import Corrupt, Invalid, TooLarge
from logkeep.limits import FRAGMENT_MAX
from logkeep.logs.levels import Cursor, scan

END: Final = b"\x03\x00"  # an empty final block with fixed codes
# RFC 1952: deflate, no flags, no time (equal logs give equal bytes), unknown extra flags, unknown system
GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
GZIP_OVERHEAD: Final = len(GZIP_HEADER) + len(END) + 8
LEVEL: Final = 2  # of isal's 0 to 3
_RAW_DEFLATE: Final = -15
_WINDOW: Final = 1 << 16  # bytes of a gzip body handed over at once: what follows a member is copied
NotDeflate: Final[type[Exception]] = isal_zlib.error  # type: ignore[assignment]  # the stubs call it an instance


def combine_crc32(first: int, second: int, second_size: int) -> int:
    """The CRC-32 of two stretches joined, from theirs and the second one's length in bytes."""
    return isal_zlib.crc32_combine(first, second, second_size) if second_size else first


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """What is known of one fragment without reading it; sizes in bytes, times in epoch milliseconds."""

    offset: int
    raw: int
    packed: int
    crc32: int
    packed_crc32: int
    lines: int  # newlines
    levels: Counter[str]
    before: Cursor  # the state in which its first byte is read
    ends_line: bool
    first_time: int | None
    last_time: int | None

    @property
    def end(self) -> int:
        return self.offset + self.raw


def deflate(raw: bytes) -> bytes:
    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, _RAW_DEFLATE)
    return compressor.compress(raw) + compressor.flush(isal_zlib.Z_FULL_FLUSH)


def inflate(packed: bytes, fragment: Fragment) -> bytes:
    """The raw bytes of a fragment; raise Corrupt unless they are what was stored."""
    try:
        raw = isal_zlib.decompress(packed + END, _RAW_DEFLATE, fragment.raw + 1)
    except NotDeflate as error:
        raise Corrupt(f"fragment at {fragment.offset}: {error}") from error
    if len(raw) != fragment.raw or isal_zlib.crc32(raw) != fragment.crc32:
        raise Corrupt(f"fragment at {fragment.offset}: the checksum does not match")
    return raw


def pack(pieces: Iterable[bytes], offset: int, before: Cursor) -> Iterator[tuple[Fragment, bytes, Cursor]]:
    """Fragments of the text that follows `before` at `offset`: each with its packed bytes and the state behind it."""
    for raw in recut(pieces):
        found = scan(raw, before)
        packed = deflate(raw)
        fragment = Fragment(
            offset=offset,
            raw=len(raw),
            packed=len(packed),
            crc32=isal_zlib.crc32(raw),
            packed_crc32=isal_zlib.crc32(packed),
            lines=found.lines,
            levels=found.levels,
            before=before,
            ends_line=not found.after.open_line,
            first_time=found.first_time,
            last_time=found.last_time,
        )
        yield fragment, packed, found.after
        offset, before = fragment.end, found.after


def recut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of at most FRAGMENT_MAX, cut behind a newline where the last quarter holds one."""
    rest = b""
    for piece in pieces:
        rest += piece
        start = 0
        while len(rest) - start >= FRAGMENT_MAX:
            newline = rest.rfind(b"\n", start + FRAGMENT_MAX * 3 // 4, start + FRAGMENT_MAX)
            end = newline + 1 if newline >= 0 else start + FRAGMENT_MAX
            yield rest[start:end]
            start = end
        rest = rest[start:]
    if rest:
        yield rest


def inflate_gzip(body: bytes, raw_max: int) -> Iterator[bytes]:
    """The text of a gzip body in pieces of at most FRAGMENT_MAX; raise Invalid for other bytes, TooLarge after raw_max.

    Several members may follow one another, as `cat a.gz b.gz` gives.
    """
    total, taken, rest = 0, 0, b""
    while rest or taken < len(body):
        member = isal_zlib.decompressobj(31)
        while not member.eof:
            if not rest:
                rest, taken = body[taken : taken + _WINDOW], taken + _WINDOW
            try:
                piece = member.decompress(rest, FRAGMENT_MAX)
            except NotDeflate as error:
                raise Invalid("body", f"not gzip: {error}") from error
            rest = member.unconsumed_tail
            if not piece and not rest and taken >= len(body) and not member.eof:
                raise Invalid("body", "the gzip stream ends early")
            total += len(piece)
            if total > raw_max:
                raise TooLarge(f"more than {raw_max} bytes after inflating; send smaller pieces")
            if piece:
                yield piece
        rest = member.unused_data


def inflated(packed: Iterable[bytes]) -> Iterator[bytes]:
    """The text of fragments in pieces of at most FRAGMENT_MAX. Raises NotDeflate where they are damaged."""
    stream = isal_zlib.decompressobj(_RAW_DEFLATE)
    for chunk in packed:
        rest, text = chunk, b""
        while rest or len(text) == FRAGMENT_MAX:
            text = stream.decompress(rest, FRAGMENT_MAX)
            rest = stream.unconsumed_tail
            yield text


def gzip_trailer(crc32: int, raw: int) -> bytes:
    return END + struct.pack("<II", crc32, raw & 0xFFFFFFFF)
