"""The files that are made out of logs: pure functions of the logs' heads and rows, so equal logs give equal bytes."""

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import isal
from isal import isal_zlib

from logkeep import fragment
from logkeep.archive import MANIFEST, Entry, ZipLayout, entry_names, manifest
from logkeep.fragment import END, GZIP_HEADER, GZIP_OVERHEAD, Fragment, gzip_trailer
from logkeep.levels import DebugFilter
from logkeep.log import Certificate, Head
from logkeep.parts import Extent

_FORMAT: Final = "1"  # changes when the same heads give other bytes


class Row(NamedTuple):
    """A fragment and where its packed bytes are."""

    fragment: Fragment
    extent: Extent


class LogReader(Protocol):
    def rows(self, head: Head, start: int = 0) -> Iterator[Row]:
        """The rows of a log from the one that holds byte `start` to the head's end, without gaps."""
        ...

    def texts(self, head: Head) -> Iterator[bytes]:
        """The text of a log to the head's end, a fragment at a time."""
        ...

    def text(self, row: Row) -> bytes:
        """The text of one fragment."""
        ...


class Facts(NamedTuple):
    """A file's size as sent, and size and CRC-32 of what a client has that undoes its Content-Encoding."""

    size: int
    raw_size: int
    crc32: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """A file that can be made: who it is, what it will be, and how to make it."""

    identity: str  # equal for equal bytes; the render's key and the ETag
    filename: str
    content_type: str
    content_encoding: str | None
    expected: Facts | None  # None where only making it tells
    estimate: int  # of the size as sent
    make: Callable[[], Generator[Extent, None, Facts]]


def log_file(
    reader: LogReader,
    head: Head,
    filename: str,
    content_type: str,
    *,
    gzip: bool,
    as_file: bool = False,
    without_debug: bool = False,
) -> Rendition:
    """One log: as text, as text sent with Content-Encoding gzip, or (as_file) as a .gz file."""
    gzip = gzip or as_file
    drop = without_debug and "DEBUG" in Certificate.of(head).levels
    expected = None
    if not drop:
        size = head.packed + GZIP_OVERHEAD if gzip else head.end
        trailer = gzip_trailer(head.crc32, head.end)
        whole = isal_zlib.crc32(GZIP_HEADER)
        whole = fragment.combine_crc32(whole, head.packed_crc32, head.packed)
        expected = Facts(size, size, isal_zlib.crc32(trailer, whole)) if as_file else Facts(size, head.end, head.crc32)

    def make() -> Generator[Extent, None, Facts]:
        if drop:
            return (yield from _filtered(reader, head, gzip=gzip, as_file=as_file))
        if gzip:
            yield GZIP_HEADER
            yield from (row.extent for row in reader.rows(head))
            yield gzip_trailer(head.crc32, head.end)
        else:
            yield from reader.texts(head)
        assert expected is not None  # for the type checker: drop is false
        return expected

    return Rendition(
        identity=_identity("gzip" if gzip else "text", "info" if drop else "all", str(as_file), [head]),
        filename=filename,
        content_type=content_type,
        content_encoding="gzip" if gzip and not as_file else None,
        expected=expected,
        estimate=head.packed + GZIP_OVERHEAD if gzip else head.end,
        make=make,
    )


def _filtered(reader: LogReader, head: Head, *, gzip: bool, as_file: bool) -> Generator[Extent, None, Facts]:
    """A log without its DEBUG records; fragments that hold none are spliced as they are."""
    size = raw_size = crc = whole = 0
    debug = DebugFilter()

    def pieces() -> Iterator[tuple[Extent, int, int, int, int]]:
        """Extents with their packed and raw sizes and CRC-32s."""
        for row in reader.rows(head):
            each = row.fragment
            if gzip and debug.is_idle and each.ends_line and not each.levels["DEBUG"]:
                yield row.extent, each.packed, each.packed_crc32, each.raw, each.crc32
            else:
                yield from packed(debug.feed(reader.text(row)))
        yield from packed(debug.flush())

    def packed(text: bytes) -> Iterator[tuple[Extent, int, int, int, int]]:
        if text:
            data = fragment.deflate(text) if gzip else text
            yield data, len(data), isal_zlib.crc32(data), len(text), isal_zlib.crc32(text)

    if gzip:
        yield GZIP_HEADER
        size, whole = len(GZIP_HEADER), isal_zlib.crc32(GZIP_HEADER)
    for extent, packed_size, packed_crc, text_size, text_crc in pieces():
        yield extent
        whole = fragment.combine_crc32(whole, packed_crc, packed_size)
        crc = fragment.combine_crc32(crc, text_crc, text_size)
        size += packed_size
        raw_size += text_size
    if gzip:
        trailer = gzip_trailer(crc, raw_size)
        yield trailer
        size += len(trailer)
        whole = isal_zlib.crc32(trailer, whole)
    return Facts(size, size, whole) if as_file else Facts(size, raw_size, crc)


def zip_file(reader: LogReader, heads: Sequence[Head], wanted: Iterable[str], filename: str) -> Rendition:
    """Several logs as one ZIP, under the wanted names made safe, behind a manifest."""
    names = entry_names(wanted)
    content = manifest(zip(names, heads, strict=True))
    logs = [Entry.of_log(name, head) for name, head in zip(names, heads, strict=True)]
    layout = ZipLayout([Entry.stored(MANIFEST, content), *logs])
    facts = Facts(layout.size, layout.size, layout.crc32)

    def packed(index: int) -> Iterator[Extent]:
        if index == 0:
            yield content
            return
        yield from (row.extent for row in reader.rows(heads[index - 1]))
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
    """A hash that is equal only where the bytes are: of the format, the compressor and the heads."""
    digest = hashlib.sha256(f"{_FORMAT} isal {isal.__version__}".encode())
    for part in parts:
        if isinstance(part, str):
            digest.update(f"\n{part}".encode())
            continue
        for head in part:
            fields = (head.log_id, head.generation, head.state, head.end, head.crc32, head.packed, head.packed_crc32)
            digest.update(("\n" + " ".join(map(str, fields))).encode())
    return digest.hexdigest()[:40]
