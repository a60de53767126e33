"""Packing text into fragments as an append does, compared with gzip -6."""

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from isal import isal_zlib

from bench.measure import ROUNDS, cpu_seconds, show, times
from bench.texts import lines_of, log_text
from local import ROOT
from logkeep.extents import Extent
from logkeep.logid import LogId
from logkeep.logs.fragment import COMPRESSION_LEVEL, deflate, inflate, recut
from logkeep.logs.head import Head
from logkeep.logs.levels import ScanState, scan
from logkeep.logs.packs import about, header_of, new_pack, table_of
from logkeep.logs.reader import Row

SIZE: Final = 16 << 20
APPEND: Final = 1 << 20
SAMPLE: Final = 4 << 20  # bytes of text for the ratios of small appends
SMALL: Final = 6000  # bytes of an append every 30 seconds of a service with some megabytes a day
CORPORA: Final = ROOT.parent / "shared" / "data" / "loghub"


def packing() -> None:
    text = log_text(SIZE)
    bodies = [text[start : start + APPEND] for start in range(0, SIZE, APPEND)]
    taken = cpu_seconds(
        {
            "pack": lambda: _packed(bodies),
            "scan": lambda: _scanned(bodies),
            "deflate": lambda: sum(len(deflate(raw)) for raw in recut(bodies)),
            "gzip": lambda: _gzipped([text]),
        }
    )
    sizes = {"pack": _packed(bodies), "gzip": _gzipped([text])}
    names = {
        "pack": f"pack: scan, isal -{COMPRESSION_LEVEL} and checksums",
        "scan": "  the scan of lines, levels and times alone",
        "deflate": f"  isal -{COMPRESSION_LEVEL} alone",
        "gzip": "gzip -6 of the whole text",
    }
    show(
        f"Packing {SIZE >> 20} MiB in appends of {APPEND >> 20} MiB (CPU time, medians of {ROUNDS} rounds)",
        ("", "MB/s", "compared with pack", "compression"),
        [
            (
                names[name],
                SIZE / 1e6 / seconds,
                f"{seconds / taken['pack']:.0%}" if name != "gzip" else times(seconds / taken["pack"]),
                f"{SIZE / sizes[name]:.2f}" if name in sizes else "",
            )
            for name, seconds in taken.items()
        ],
    )

    sample = text[:SAMPLE]
    rows = []
    for number in (5, 50, 500, 5000):
        appends = list(lines_of(sample, number))
        packed, zipped = _packed(appends), sum(_gzipped([each]) for each in appends)
        rows.append((f"{number} lines", SAMPLE // len(appends), SAMPLE / packed, SAMPLE / zipped))
    show(
        "Compression ratio by lines per append, before compaction",
        ("", "bytes per append", "fragments", "a gzip -6 object per append"),
        rows,
    )
    show(
        f"Compression ratio of texts in appends of {SMALL / 1000:g} kB",
        ("", "bytes", "appended", "packed, with headers", "isal over the whole", "gzip -6 over the whole"),
        [(name, len(text), *_ratios(text)) for name, text in _corpora().items()],
    )


def _corpora() -> dict[str, bytes]:
    """Our own text, and public ones where they lie beside the project; each repeated to a megabyte if it is smaller."""
    public = {path.stem: path.read_bytes() for path in sorted(CORPORA.glob("*.log"))}
    texts = {"bench/texts.py": log_text(SAMPLE), **public}
    return {name: text * max(1, (1 << 20) // len(text)) for name, text in texts.items() if text}


def _ratios(text: bytes) -> Iterator[float]:
    head, rows = Head.born(LogId.parse("app/bench")), list[Row]()
    for start in range(0, len(text), SMALL):
        head, fragments = head.extended([text[start : start + SMALL]], 0)
        rows += (Row(each, data) for each, data in fragments)
    yield len(text) / head.packed
    size = 0
    while new := new_pack(rows, _bytes_of, _texts_of, lambda: False):
        size += len(header_of(table_of(new.fragments), about("p", head, new, head.scan_state))) + new.sums.packed
        rows = rows[new.replaced.fragments :]
    yield len(text) / size
    yield len(text) / len(isal_zlib.compress(text, COMPRESSION_LEVEL))
    yield len(text) / _gzipped([text])


def _texts_of(rows: Iterable[Row]) -> Iterator[bytes]:
    return (inflate(row.extent, row.fragment) for row in rows if isinstance(row.extent, bytes))


def _bytes_of(extents: Iterable[Extent]) -> Iterator[bytes]:
    return (each for each in extents if isinstance(each, bytes))


def _packed(appends: Iterable[bytes]) -> int:
    head = Head.born(LogId.parse("build/bench/log"))
    for body in appends:
        head, _ = head.extended([body], 0)
    return head.packed


def _scanned(appends: Iterable[bytes]) -> int:
    lines, state = 0, ScanState()
    for body in appends:
        for raw in recut([body]):
            found = scan(raw, state)
            lines, state = lines + found.lines, found.after
    return lines


def _gzipped(bodies: Iterable[bytes]) -> int:
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    return sum(len(compressor.compress(body)) for body in bodies) + len(compressor.flush())
