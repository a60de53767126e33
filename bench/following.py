"""Following a log that grows, compared with reading the whole object again and again: latency and cost."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import httpx

from admin.counts import FOLLOWED_READ_UNITS
from admin.prices import LAMBDA_GB_SECOND
from bench import PROJECT, prices
from bench.measure import confirm, show, times
from bench.meter import Meter
from bench.texts import lines_of, log_text
from local import ROOT
from local.emulator import free_port
from logkeep.aws.objects import Bucket
from logkeep.clock import Clock
from logkeep.logid import LogId
from logkeep.logs.head import Head, Totals
from logkeep.logs.store import LogStore, log_store
from logkeep.reading.follow import Follower
from logkeep.settings import settings

FOLLOWERS: Final = 50
APPENDS: Final = 30  # whose latency is measured
BURST_LINES: Final = 2500
_WARM: Final = b"warm\n"
_MEMORY_GB: Final = 0.5
_SMALL, _LARGE = 100_000, 10_000_000  # bytes of the followed log


def following(emulator: Any) -> None:
    _latency()
    _costs(emulator)


# Over HTTP


def _latency() -> None:
    rows: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory(prefix="logkeep-bench-") as directory, _service(Path(directory)) as demo:
        path = f"/v1/{demo['project_id']}/logs/build/bench-follow/one"
        with _client(demo["endpoint"], demo) as writer:

            def append(body: bytes) -> None:
                writer.patch(path, content=body).raise_for_status()

            append(_WARM)
            one = _Reader(_streamed(_client(demo["streams"], demo), f"{path}?follow=true"))
            rows.append(_row("one follower, over HTTP", *_followed([one], append, lambda: writer.put(path), 40)))
        rows.append(_row("one reader that gets the whole log every second, over HTTP", _polled(demo), None))
    store, log_id = log_store(PROJECT), LogId.parse("build/bench-follow/fifty")

    def append_directly(body: bytes) -> None:
        store.append(log_id, lambda: iter((body,)), None)

    append_directly(_WARM)
    fifty = [_Reader(Follower(store, store.head(log_id), 120, Clock()).texts()) for _ in range(FOLLOWERS)]
    followed = _followed(fifty, append_directly, lambda: store.seal(log_id, Totals()), 8)
    rows.append(_row(f"{FOLLOWERS} followers, in one process, directly from the stores", *followed))
    show(
        f"Time from the start of an append until a reader has the line, {APPENDS} appends, on this machine",
        ("", "p50, seconds", "p95", "slowest", "lines read per second"),
        rows,
    )


def _row(name: str, delays: list[float], rate: float | None) -> tuple[object, ...]:
    cut = quantiles(delays, n=20)
    return name, cut[9], cut[18], max(delays), "" if rate is None else rate


@contextmanager
def _service(directory: Path) -> Iterator[dict[str, Any]]:
    """Run the local service, with limits that allow all requests. Gives the content of its demo.json."""
    port = free_port()
    environment = os.environ | {
        "PORT": str(port),
        "EMULATOR_PORT": str(free_port()),
        "LOGKEEP_DATA": str(directory),
        "LOGKEEP_PARAMETERS": "ProjectRate=10000 ProjectBurst=40000 FollowSeconds=120",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "local"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        if not any(line == "Ready\n" for line in process.stdout or ()):
            raise RuntimeError("the local service did not start")
        yield json.loads((directory / "demo.json").read_text())
    finally:
        process.terminate()
        process.communicate(timeout=60)


class _Reader(threading.Thread):
    """Reads the texts of a log until it is sealed, and remembers when each line arrived."""

    def __init__(self, texts: Iterator[bytes]) -> None:
        super().__init__(daemon=True)
        self._texts = texts
        self.arrived: dict[bytes, float] = {}
        self.lines = 0

    def run(self) -> None:
        for text in self._texts:
            self.lines += text.count(b"\n")
            if len(text) < 1000:
                self.arrived |= dict.fromkeys(text.splitlines(), time.monotonic())


def _streamed(client: httpx.Client, path: str) -> Iterator[bytes]:
    with client, client.stream("GET", path) as answer:
        for record in filter(str.strip, answer.iter_lines()):
            yield json.loads(record).get("text", "").encode()


def _followed(
    readers: Sequence[_Reader], append: Callable[[bytes], None], seal: Callable[[], object], appends: int
) -> tuple[list[float], float]:
    """The delays of single lines in seconds, and the lines per second that all readers get of large appends."""
    burst = list(lines_of(log_text(24 << 20), BURST_LINES))[:appends]
    for reader in readers:
        reader.start()
    _until(lambda: all(reader.lines for reader in readers))
    sent = {}
    for number in range(APPENDS):
        line = b"line %d" % number
        sent[line] = time.monotonic()
        append(line + b"\n")
        time.sleep(_gap(number))
    _until(lambda: all(reader.arrived.keys() >= sent.keys() for reader in readers))
    before = sum(reader.lines for reader in readers)
    started = time.monotonic()
    for body in burst:
        append(body)
    seal()
    for reader in readers:
        reader.join()
    seconds = time.monotonic() - started
    lines = sum(reader.lines for reader in readers) - before
    if lines != len(readers) * sum(body.count(b"\n") for body in burst):
        raise RuntimeError(f"{lines} lines were read")
    return [reader.arrived[line] - at for reader in readers for line, at in sent.items()], lines / seconds


def _polled(demo: dict[str, Any]) -> list[float]:
    """The delays in seconds of a reader that gets the whole log again and again."""
    url = f"/v1/{demo['project_id']}/logs/build/bench-follow/polled"
    sent, arrived = dict[str, float](), dict[str, float]()
    with _client(demo["endpoint"], demo) as writer, _client(demo["endpoint"], demo) as reader:

        def poll() -> None:
            while len(arrived) < APPENDS:
                text = reader.get(url, headers={"Accept-Encoding": "identity"}).text
                now = time.monotonic()
                for line in text.split("\n"):
                    if line.startswith("line"):
                        arrived.setdefault(line, now)
                time.sleep(1)

        writer.patch(url, content=_WARM).raise_for_status()
        polling = threading.Thread(target=poll, daemon=True)
        polling.start()
        for line in (f"line {n}" for n in range(APPENDS)):
            sent[line] = time.monotonic()
            writer.patch(url, content=f"{line}\n".encode()).raise_for_status()
            time.sleep(_gap(len(sent)))
        polling.join()
    return [arrived[line] - at for line, at in sent.items()]


def _gap(number: int) -> float:
    """Seconds to the next line. They do not match a reader's interval, and are too few for the log to become idle."""
    return 0.05 + 0.55 * (number * 0.618 % 1)


def _client(endpoint: str, demo: dict[str, Any]) -> httpx.Client:
    headers = {"X-Auth-Token": demo["token"], "Content-Type": "application/octet-stream"}
    return httpx.Client(base_url=endpoint, headers=headers, trust_env=False, follow_redirects=True, timeout=60)


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError("a line did not arrive")
        time.sleep(0.05)


# The cost of a minute, with a clock that does not wait


def _costs(emulator: Any) -> None:
    rows = []
    for name, size, gaps in (
        ("a line every second", _SMALL, [1.0]),
        ("the same, in a log of 10 MB", _LARGE, [1.0]),
        ("a line every 10 seconds", _SMALL, [10.0]),
        ("no lines", _SMALL, []),
    ):
        meter, polls = _minute(emulator, size, gaps)
        naive = polls * prices.S3_GET
        if gaps == [1.0]:
            confirm(f"{name}, as read units", meter.dollars / prices.READ_UNIT, FOLLOWED_READ_UNITS, within=0.05)
        rows.append(
            (
                name,
                meter.per(1),
                meter.dollars * 1e6,
                f"{polls} GetObject, {polls * size / 1e6:,.0f} MB",
                naive * 1e6,
                times(naive / meter.dollars),
            )
        )
    show(
        "One follower for a minute: requests and list price, with its notes to the producer. Polling looks as often.",
        ("", "Logkeep", "$ per million", "polling the whole object", "$ per million", "its price"),
        rows,
    )
    print(
        f"  Both also need a function of {_MEMORY_GB:g} GB that runs for the minute: "
        f"${60 * _MEMORY_GB * LAMBDA_GB_SECOND * 1e6:,.0f} per million"
    )


def _minute(emulator: Any, size: int, gaps: Sequence[float]) -> tuple[Meter, int]:
    """The requests of a follower in a minute, and how often it looked.

    The log has `size` bytes, and a line is appended every `gaps[0]` seconds, or never.
    """
    log_id = LogId.parse(f"build/bench-minute/{size}-{len(gaps)}-{sum(gaps):g}")
    env = settings()
    # The writer has clients of its own, so that its requests are not counted.
    writer = LogStore(emulator.client("dynamodb"), Bucket(emulator.client("s3"), env.bucket), env.logs_table, PROJECT)
    writer.append(log_id, lambda: iter((log_text(size),)), 0)
    now, due, looks = 0.0, gaps[0] if gaps else 1e9, 0

    def sleep(seconds: float) -> None:
        nonlocal now, due
        now += seconds
        while now >= due:
            writer.append(log_id, lambda: iter((b"2026-11-22 08:00:00 INFO one line\n",)), None)
            due += gaps[0]

    store = log_store(PROJECT)
    noted = -1e9

    def seen(head: Head) -> None:
        nonlocal looks, noted
        looks += 1
        if now - noted >= 20:
            noted = now
            store.note_follower(head.log_id, int(now * 1000) + 45_000)

    head = writer.head(log_id)
    clock = Clock(lambda: now, sleep)
    with Meter(emulator.client("dynamodb")).counting() as meter:
        for _ in Follower(store, head, 60, clock, position=head.end, seen=seen).texts():
            pass
    return meter, looks
