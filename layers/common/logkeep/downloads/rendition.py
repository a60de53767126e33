"""Files made of logs: pure functions of the logs' heads and rows, so that equal logs give equal bytes."""

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import isal
from isal import isal_zlib

from logkeep.downloads.archive import MANIFEST, Entry, ZipLayout, entry_names, manifest
from logkeep.errors import LogChanged
from logkeep.extents import Extent, Facts
from logkeep.logs import fragment
from logkeep.logs.fragment import END, GZIP_HEADER, GZIP_OVERHEAD, gzip_trailer
from logkeep.logs.head import Certificate, Head, joined
from logkeep.logs.levels import GRAMMAR, DebugFilter
from logkeep.logs.reader import LogReader
from logkeep.logs.sums import Sums

_FORMAT: Final = "3"  # change it when the same heads give other bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """A file that can be made: its identity, its facts, and how to make it."""

    identity: str  # equal for equal bytes; the render's key and the ETag
    filename: str
    content_type: str
    content_encoding: str | None
    expected: Facts | None  # None if they are only known once it is made
    estimate: int  # of the size as sent, in bytes
    make: Callable[[], Generator[Extent, None, Facts]]


class _Piece(NamedTuple):
    """An extent with its sizes in bytes and CRC-32s."""

    extent: Extent
    packed: int
    packed_crc32: int
    raw: int
    crc32: int

    @classmethod
    def of(cls, text: bytes, *, gzip: bool) -> "_Piece":
        """A text, packed if the file is gzip."""
        data = fragment.deflate(text) if gzip else text
        return cls(data, len(data), isal_zlib.crc32(data), len(text), isal_zlib.crc32(text))


@dataclass(slots=True)
class _Sums:
    """The sizes in bytes and CRC-32s of pieces joined."""

    packed: int = 0
    packed_crc32: int = 0
    raw: int = 0
    crc32: int = 0

    def add(self, packed: int, packed_crc32: int, raw: int, crc32: int) -> None:
        self.packed_crc32 = fragment.combine_crc32(self.packed_crc32, packed_crc32, packed)
        self.crc32 = fragment.combine_crc32(self.crc32, crc32, raw)
        self.packed += packed
        self.raw += raw

    @property
    def trailer(self) -> bytes:
        return gzip_trailer(self.crc32, self.raw)

    def facts(self, *, gzip: bool, as_file: bool) -> Facts:
        if not gzip:
            return Facts(self.raw, self.raw, self.crc32)
        size = self.packed + GZIP_OVERHEAD
        if not as_file:
            return Facts(size, self.raw, self.crc32)
        whole = fragment.combine_crc32(isal_zlib.crc32(GZIP_HEADER), self.packed_crc32, self.packed)
        return Facts(size, size, isal_zlib.crc32(self.trailer, whole))


def log_file(
    reader: LogReader,
    heads: Sequence[Head],
    filename: str,
    content_type: str,
    *,
    gzip: bool,
    as_file: bool = False,
    without_debug: bool = False,
) -> Rendition:
    """Logs in a row, each beginning on a new line.

    The file is text, text with Content-Encoding gzip (`gzip`), or a .gz file (`as_file`).
    """
    gzip = gzip or as_file
    # What another grammar counted may hold DEBUG records that it did not see.
    drop = without_debug and any(head.grammar != GRAMMAR or "DEBUG" in Certificate.of(head).levels for head in heads)
    newline = _Piece.of(b"\n", gzip=gzip)
    sums = _Sums()
    for head, needs_newline in joined(heads):
        sums.add(head.packed, head.packed_crc32, head.end, head.crc32)
        if needs_newline:
            sums.add(*newline[1:])
    expected = sums.facts(gzip=gzip, as_file=as_file)

    def make() -> Generator[Extent, None, Facts]:
        if drop:
            return (yield from _filtered(reader, heads, gzip=gzip, as_file=as_file))
        if gzip:
            yield GZIP_HEADER
        for head, needs_newline in joined(heads):
            yield from _spliced(reader, head) if gzip else reader.texts(head)
            if needs_newline:
                yield newline.extent
        if gzip:
            yield sums.trailer
        return expected

    return Rendition(
        identity=_identity("gzip" if gzip else "text", f"info {GRAMMAR}" if drop else "all", str(as_file), heads),
        filename=filename,
        content_type=content_type,
        content_encoding="gzip" if gzip and not as_file else None,
        expected=None if drop else expected,
        estimate=sums.packed + GZIP_OVERHEAD if gzip else sums.raw,
        make=make,
    )


def zip_file(reader: LogReader, heads: Sequence[Head], wanted: Iterable[str], filename: str) -> Rendition:
    """Several logs as one ZIP: the manifest, then each log under its wanted name, made safe."""
    names = entry_names(wanted)
    content = manifest(zip(names, heads, strict=True))
    logs = [Entry.of_log(name, head) for name, head in zip(names, heads, strict=True)]
    layout = ZipLayout([Entry.stored(MANIFEST, content), *logs])
    facts = Facts(layout.size, layout.size, layout.crc32)

    def packed(index: int) -> Iterator[Extent]:
        if index == 0:
            yield content
            return
        yield from _spliced(reader, heads[index - 1])
        yield END

    def make() -> Generator[Extent, None, Facts]:
        yield from layout.extents(packed)
        return facts

    return Rendition(
        identity=_identity("zip", *names, heads),
        filename=filename,
        content_type="application/zip",
        content_encoding=None,
        expected=facts,
        estimate=facts.size,
        make=make,
    )


def _identity(*parts: str | Iterable[Head]) -> str:
    """A hash that is equal only for equal bytes: of the format, the compressor, the parts and the heads."""
    digest = hashlib.sha256(f"{_FORMAT} isal {isal.__version__}".encode())
    for part in parts:
        if isinstance(part, str):
            digest.update(f"\n{part}".encode())
            continue
        for head in part:
            fields = (head.log_id, head.birth, head.state, head.end, head.crc32, head.packed, head.packed_crc32)
            digest.update(("\n" + " ".join(map(str, fields))).encode())
    return digest.hexdigest()[:40]


def _spliced(reader: LogReader, head: Head) -> Iterator[Extent]:
    """The packed bytes of a log. Raises LogChanged if they are not those whose sums its head has."""
    sums = Sums()
    for each in reader.stretches(head):
        sums += each.sums
        yield each.extent
    if sums[:4] != head.sums[:4]:
        raise LogChanged(f"{head.log_id} was packed while it was read", retry_after=1)


def _filtered(reader: LogReader, heads: Iterable[Head], *, gzip: bool, as_file: bool) -> Generator[Extent, None, Facts]:
    """Make logs without their DEBUG records."""
    sums = _Sums()
    open_line = False
    if gzip:
        yield GZIP_HEADER
    for head in heads:
        needs_newline = open_line
        for piece, ends_line in _kept(reader, head, gzip=gzip):
            for each in (_Piece.of(b"\n", gzip=gzip), piece) if needs_newline else (piece,):
                sums.add(*each[1:])
                yield each.extent
            needs_newline, open_line = False, not ends_line
    if gzip:
        yield sums.trailer
    return sums.facts(gzip=gzip, as_file=as_file)


def _kept(reader: LogReader, head: Head, *, gzip: bool) -> Iterator[tuple[_Piece, bool]]:
    """The pieces of a log without its DEBUG records, and whether each ends a line.

    Fragments without such records are taken as they are stored.
    """
    debug, unseen = DebugFilter(), False
    for row in reader.rows(head):
        each = row.fragment
        if gzip and debug.is_idle and each.ends_line and each.grammar == GRAMMAR and not each.levels["DEBUG"]:
            yield _Piece(row.extent, each.packed, each.packed_crc32, each.raw, each.crc32), True
            unseen = True
            continue
        if unseen:
            debug.resume(each.before)
            unseen = False
        if text := debug.feed(reader.text(row)):
            yield _Piece.of(text, gzip=gzip), text.endswith(b"\n")
    if text := debug.flush():
        yield _Piece.of(text, gzip=gzip), text.endswith(b"\n")
