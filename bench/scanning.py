"""Reading the records of many kinds of text, and packing it, beside gzip -6 of the same text."""

import zlib
from collections.abc import Callable
from typing import Final

from bench.measure import ROUNDS, cpu_seconds, show
from bench.texts import log_text
from logkeep.logid import LogId
from logkeep.logs.fragment import recut
from logkeep.logs.head import Head
from logkeep.logs.levels import DebugFilter, ScanState, TimeBasis, scan

SIZE: Final = 4_000_000
ARRIVAL: Final = 1_795_305_600_000
GZIP: Final = 15  # CPU seconds per GB that gzip -6 takes on a machine of today

# Lines of formats whose level stands early, late, or nowhere.
_LINES: Final[dict[str, str]] = {
    "logback": "2026-11-22 08:{m}:{s},123 [worker-{n}] INFO  com.example.Orders - order {n} of {n} is paid",
    "syslog": "Nov 22 08:{m}:{s} host{n} sshd[{n}]: Failed password for root from 10.0.{n}.7 port {n} ssh2",
    "klog": "I1122 08:{m}:{s}.385780       {n} trace.go:897] Trace[{n}]: List etcd3, resource: pods, {n} ms",
    "JSON, level first": '{{"level":"info","ts":17953056{s}.{m},"caller":"a.go:{n}","msg":"served","id":{n}}}',
    "JSON, level last": '{{"msg":"served {n}","path":"/v1/orders/{n}","user":{{"id":{n}}},"level":"info"}}',
    "JSON in CRI": '2026-11-22T08:{m}:{s}.123456789Z stdout F {{"msg":"served {n}","id":{n},"level":"info","ts":1.5}}',
    "access log": '10.0.{n}.7 - - [22/Nov/2026:08:{m}:{s} +0000] "GET /v1/orders/{n} HTTP/1.1" 200 {n}',
    "coloured": "\x1b[2m2026-11-22T08:{m}:{s}.1Z\x1b[0m \x1b[32m INFO\x1b[0m \x1b[2mapp::orders\x1b[0m: {n} is paid",
    "prose": "the quick brown fox number {n} jumps over {n} lazy dogs of the number {n}",
    "stack traces": "\tat com.example.orders.Handler{n}.handle(Handler{n}.java:{n})",
    "progress bar": "Downloading {n} MB\r 10%\r 50%\r100%",
    "INFO x": "INFO x",
    "blank lines": "",
}


def scanning() -> None:
    rows = []
    texts = {"a build's log (bench/texts.py)": log_text(SIZE)} | {name: _text(line) for name, line in _LINES.items()}
    for name, text in texts.items():
        work: dict[str, Callable[[], object]] = {
            "scan": lambda text=text: _scanned(text),  # type: ignore[misc]  # bound to this text
            "pack": lambda text=text: Head.born(LogId.parse("build/bench/log")).extended([text], ARRIVAL),  # type: ignore[misc]
            "filter": lambda text=text: DebugFilter().feed(text),  # type: ignore[misc]
            "gzip": lambda text=text: zlib.compress(text, 6),  # type: ignore[misc]
        }
        taken = cpu_seconds(work)
        unit = GZIP / taken["gzip"]
        rows.append(
            (
                name,
                *(round(taken[each] * unit, 2) for each in ("scan", "filter", "pack")),
                taken["scan"] * 1e9 / len(text),
            )
        )
    show(
        f"Records, levels and times of {SIZE / 1e6:.0f} MB, where gzip -6 of the same text takes {GZIP} "
        f"(CPU time, medians of {ROUNDS} rounds)",
        ("", "scan", "view without DEBUG", "pack: scan, deflate, checksums", "scan, ns per byte"),
        rows,
    )


def _text(line: str) -> bytes:
    lines, size, number = [], 0, 0
    while size < SIZE:
        number += 1
        n = number * 7919 % 99_991
        lines.append(line.format(m=f"{number // 60 % 60:02}", s=f"{number % 60:02}", n=n) + "\n")
        size += len(lines[-1])
    return "".join(lines).encode()[:SIZE]


def _scanned(text: bytes) -> ScanState:
    state, basis = ScanState(), TimeBasis(arrival=ARRIVAL)
    for raw in recut([text]):
        state = scan(raw, state, basis).after
    return state
