"""Packing text into fragments as an append does, compared with gzip -6."""

import zlib
from collections.abc import Iterable
from typing import Final

from bench.measure import ROUNDS, cpu_seconds, show, times
from bench.texts import lines_of, log_text
from logkeep.logid import LogId
from logkeep.logs.fragment import COMPRESSION_LEVEL, deflate, recut
from logkeep.logs.head import Head
from logkeep.logs.levels import ScanState, scan

SIZE: Final = 16 << 20
APPEND: Final = 1 << 20
SAMPLE: Final = 4 << 20  # bytes of text for the ratios of small appends


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
