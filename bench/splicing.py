"""Making a ZIP or .gz of a stored log: splicing its fragments, compared with inflating and recompressing it."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from isal import isal_zlib

from bench.measure import ROUNDS, cpu_seconds, show, times
from bench.texts import log_text
from logkeep.downloads.archive import Entry, ZipLayout
from logkeep.downloads.rendition import Rendition, log_file, zip_file
from logkeep.logs.fragment import COMPRESSION_LEVEL
from tests.memory import MemoryLogs, content, made

SIZE: Final = 64 << 20
APPEND: Final = 1 << 20
NAME: Final = "stage1.log"
_NAMES: Final = {
    "splice": "fragments spliced",
    "zlib -6": "gzip objects recompressed by zlib -6",
    "isal": f"gzip objects recompressed by isal -{COMPRESSION_LEVEL}",
}


def splicing() -> None:
    text = log_text(SIZE)
    bodies = [text[start : start + APPEND] for start in range(0, SIZE, APPEND)]
    logs = MemoryLogs()
    head = logs.append("build/record/stage1", *bodies)
    objects = [gzip.compress(each, 6) for each in bodies]

    zipped = zip_file(logs, [head], [NAME], "logs.zip")
    gzipped = log_file(logs, [head], f"{NAME}.gz", "application/gzip", gzip=True, as_file=True)
    files: list[tuple[str, dict[str, Callable[[], bytes]], Callable[[bytes], bytes]]] = [
        (
            "ZIP",
            {
                "splice": lambda: _spliced(zipped),
                "zlib -6": lambda: _zip_by_zlib(objects),
                "isal": lambda: _zip_by_isal(objects),
            },
            lambda file: zipfile.ZipFile(io.BytesIO(file)).read(NAME),
        ),
        (
            ".gz",
            {
                "splice": lambda: _spliced(gzipped),
                "zlib -6": lambda: b"".join(
                    _recompressed(objects, gzip.decompress, zlib.compressobj(6, zlib.DEFLATED, 31))
                ),
                "isal": lambda: b"".join(
                    _recompressed(objects, _inflated, isal_zlib.compressobj(COMPRESSION_LEVEL, isal_zlib.DEFLATED, 31))
                ),
            },
            gzip.decompress,
        ),
    ]
    rows = []
    for kind, ways, opened in files:
        for name, make in ways.items():
            if opened(make()) != text:
                raise AssertionError(f"the {kind} made by {name} does not hold the text")
        taken = cpu_seconds(ways)
        rows += [
            (f"{kind}, {_NAMES[name]}", seconds * 1000, SIZE / 1e6 / seconds, times(seconds / taken["splice"]))
            for name, seconds in taken.items()
        ]
    show(
        f"Making a file of a log of {SIZE >> 20} MiB that is stored in appends of {APPEND >> 20} MiB "
        f"(CPU time, medians of {ROUNDS} rounds)",
        ("", "ms", "MB/s of text", "compared with splicing"),
        rows,
    )


def _spliced(rendition: Rendition) -> bytes:
    return content(made(rendition)[0])


def _zip_by_zlib(objects: list[bytes]) -> bytes:
    target = io.BytesIO()
    with (
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
        archive.open(NAME, "w") as entry,
    ):
        for each in objects:
            entry.write(gzip.decompress(each))
    return target.getvalue()


def _zip_by_isal(objects: list[bytes]) -> bytes:
    texts = [_inflated(each) for each in objects]
    crc32 = 0
    compressor = isal_zlib.compressobj(COMPRESSION_LEVEL, isal_zlib.DEFLATED, -15)
    pieces = []
    for text in texts:
        crc32 = isal_zlib.crc32(text, crc32)
        pieces.append(compressor.compress(text))
    packed = b"".join((*pieces, compressor.flush()))
    size, packed_crc32 = sum(map(len, texts)), isal_zlib.crc32(packed)
    entry = Entry(name=NAME, raw=size, crc32=crc32, packed=len(packed), packed_crc32=packed_crc32)
    return content(ZipLayout([entry]).extents(lambda _: [packed]))


def _recompressed(
    objects: list[bytes], inflate: Callable[[bytes], bytes], compressor: "zlib._Compress | isal_zlib.Compress"
) -> Iterator[bytes]:
    for each in objects:
        yield compressor.compress(inflate(each))
    yield compressor.flush()


def _inflated(member: bytes) -> bytes:
    return isal_zlib.decompress(member, 31)
