"""Fragments: stretches of text as raw DEFLATE blocks that can be joined into .gz and ZIP without recompression.

A fragment ends with Z_FULL_FLUSH, so on a byte boundary, and has no final block. Any number of fragments followed by
END are one DEFLATE stream (RFC 1951).
"""

import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from isal import isal_zlib

from logkeep.errors import Corrupt, Invalid, TooLarge
from logkeep.limits import FRAGMENT_MAX
from logkeep.logs.levels import GRAMMAR, ScanState, TimeBasis, scan

END: Final = b"\x03\x00"  # an empty final block with fixed codes
# RFC 1952: deflate, no flags, no time (so that equal logs give equal bytes), unknown extra flags, unknown system
GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
GZIP_OVERHEAD: Final = len(GZIP_HEADER) + len(END) + 8
COMPRESSION_LEVEL: Final = 2  # of isal's 0 to 3
_RAW_DEFLATE: Final = -15  # window bits: 32 KiB, without a zlib or gzip header
_GZIP: Final = 31  # window bits: 32 KiB, with a gzip header
# Bytes of a gzip body that isal gets at once. It copies whatever follows the end of a member, so not the whole body.
_INPUT_SIZE: Final = 1 << 16

# Of the greatest time of a log, if earlier text was read with another grammar.
UNKNOWN: Final = 1 << 62

NotDeflate: Final[type[Exception]] = isal_zlib.error  # type: ignore[assignment]  # the stubs call it an instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """The facts of one fragment, without its bytes. Sizes are in bytes, times in epoch milliseconds."""

    offset: int
    raw: int
    packed: int
    crc32: int
    packed_crc32: int
    line: int  # newlines before it
    lines: int  # newlines
    levels: Counter[str]
    before: ScanState  # the scan state at its first byte
    ends_line: bool
    first_time: int | None  # of its first record that has one
    last_time: int | None
    least_time: int | None
    greatest_time: int | None
    newest_time: int | None  # the greatest of the log up to its end, or UNKNOWN
    grammar: int  # with which levels and times were found
    received_at: int  # when it arrived

    @property
    def end(self) -> int:
        return self.offset + self.raw


def deflate(raw: bytes) -> bytes:
    """The text of one fragment, packed."""
    compressor = isal_zlib.compressobj(COMPRESSION_LEVEL, isal_zlib.DEFLATED, _RAW_DEFLATE)
    return compressor.compress(raw) + compressor.flush(isal_zlib.Z_FULL_FLUSH)


def inflate(packed: bytes, fragment: Fragment) -> bytes:
    """The raw bytes of a fragment. Raises Corrupt if their size or CRC-32 is not the one recorded."""
    try:
        raw = isal_zlib.decompress(packed + END, _RAW_DEFLATE, fragment.raw + 1)
    except NotDeflate as error:
        raise Corrupt(f"fragment at {fragment.offset}: {error}") from error
    if len(raw) != fragment.raw or isal_zlib.crc32(raw) != fragment.crc32:
        raise Corrupt(f"fragment at {fragment.offset}: the checksum does not match")
    return raw


class Packed(NamedTuple):
    """A fragment with its packed bytes, and the scan state after it."""

    fragment: Fragment
    data: bytes
    after: ScanState


def pack(
    pieces: Iterable[bytes],
    basis: TimeBasis,
    received_at: int,
    *,
    offset: int = 0,
    line: int = 0,
    before: ScanState = ScanState(),  # noqa: B008 - immutable
    newest: int | None = None,
) -> Iterator[Packed]:
    """Pack text. `before` is the scan state where it begins, and `newest` the greatest time of the log before it."""
    for raw in recut(pieces):
        found = scan(raw, before, basis)
        if found.greatest_time is not None:
            newest = found.greatest_time if newest is None else max(newest, found.greatest_time)
        packed = deflate(raw)
        fragment = Fragment(
            offset=offset,
            raw=len(raw),
            packed=len(packed),
            crc32=isal_zlib.crc32(raw),
            packed_crc32=isal_zlib.crc32(packed),
            line=line,
            lines=found.lines,
            levels=found.levels,
            before=before,
            ends_line=not found.after.open_line,
            first_time=found.first_time,
            last_time=found.last_time,
            least_time=found.least_time,
            greatest_time=found.greatest_time,
            newest_time=newest,
            grammar=GRAMMAR,
            received_at=received_at,
        )
        yield Packed(fragment, packed, found.after)
        offset, line, before = fragment.end, line + found.lines, found.after


def recut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of at most FRAGMENT_MAX, cut after a newline if the last quarter has one."""
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
    """The text of a gzip body in pieces of at most FRAGMENT_MAX bytes.

    The body may have several members, as `cat a.gz b.gz` makes them. Raises Invalid if it is not gzip, and TooLarge if
    its text has more than `raw_max` bytes.
    """
    total, taken, rest = 0, 0, b""  # bytes of text, bytes of the body, input that is not inflated yet
    while rest or taken < len(body):
        member = isal_zlib.decompressobj(_GZIP)
        while not member.eof:
            if not rest:
                rest, taken = body[taken : taken + _INPUT_SIZE], taken + _INPUT_SIZE
            try:
                piece = member.decompress(rest, FRAGMENT_MAX)
            except NotDeflate as error:
                raise Invalid("body", f"not gzip: {error}") from error
            rest = member.unconsumed_tail
            if not piece and not rest and taken >= len(body) and not member.eof:
                raise Invalid("body", "the gzip stream ends early")
            total += len(piece)
            if total > raw_max:
                raise TooLarge(f"the body has more than {raw_max} bytes after inflating; send it in smaller appends")
            if piece:
                yield piece
        rest = member.unused_data


def inflated(packed: Iterable[bytes]) -> Iterator[bytes]:
    """The text of joined fragments in pieces of at most FRAGMENT_MAX bytes. Raises NotDeflate if they are damaged."""
    stream = isal_zlib.decompressobj(_RAW_DEFLATE)
    for chunk in packed:
        rest, text = chunk, b""
        while rest or len(text) == FRAGMENT_MAX:
            text = stream.decompress(rest, FRAGMENT_MAX)
            rest = stream.unconsumed_tail
            yield text


def joined(parts: Sequence[Fragment], packed: bytes) -> Fragment:
    """The fragment of the text of fragments in a row, which was packed again."""
    first, last = parts[0], parts[-1]
    crc32, levels = 0, Counter[str]()
    for each in parts:
        crc32 = combine_crc32(crc32, each.crc32, each.raw)
        levels.update(each.levels)
    times = [(each.first_time, each.last_time, each.least_time, each.greatest_time) for each in parts]
    firsts, lasts, leasts, greatests = (
        [time for time in kind if time is not None] for kind in zip(*times, strict=True)
    )
    grammars = {each.grammar for each in parts}
    return replace(
        last,
        offset=first.offset,
        raw=sum(each.raw for each in parts),
        packed=len(packed),
        crc32=crc32,
        packed_crc32=isal_zlib.crc32(packed),
        line=first.line,
        lines=sum(each.lines for each in parts),
        levels=levels,
        before=first.before,
        first_time=firsts[0] if firsts else None,
        last_time=lasts[-1] if lasts else None,
        least_time=min(leasts, default=None),
        greatest_time=max(greatests, default=None),
        grammar=last.grammar if len(grammars) == 1 else 0,
    )


def gzip_trailer(crc32: int, raw: int) -> bytes:
    """The end of a .gz file of fragments, with the CRC-32 and the size in bytes of its text."""
    return END + struct.pack("<II", crc32, raw & 0xFFFFFFFF)


def combine_crc32(first: int, second: int, second_size: int) -> int:
    """The CRC-32 of two stretches joined, from their CRC-32s and the size of the second in bytes."""
    return isal_zlib.crc32_combine(first, second, second_size) if second_size else first


def crc32_of_rest(first: int, both: int, second_size: int) -> int:
    """The CRC-32 of the second of two stretches, from the CRC-32s of the first and of both joined."""
    # CRC-32 is linear: the CRC of both is that of the first, shifted by the second's size, XOR that of the second.
    return combine_crc32(first, 0, second_size) ^ both if second_size else 0
