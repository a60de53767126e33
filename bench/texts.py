"""The text of a log like a build's: messages with varying ids, numbers and paths, and now and then a stack trace."""

import itertools
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

_MODULES: Final = ("core", "store", "gateway", "billing")
_PACKAGES: Final = [f"com.example.{module}.{layer}" for module in _MODULES for layer in ("api", "impl", "db")]
_CLASSES: Final = ["OrderService", "PaymentClient", "SessionCache", "QueryPlanner", "HttpTransport", "RetryPolicy"]
_LEVELS: Final = ["INFO "] * 11 + ["DEBUG"] * 7 + ["WARN ", "ERROR"]
_TRACE: Final = (
    "java.net.SocketTimeoutException: Read timed out\n"
    "\tat java.base/sun.nio.ch.NioSocketImpl.timedRead(NioSocketImpl.java:283)\n"
    "\tat java.base/java.net.Socket$SocketInputStream.read(Socket.java:966)\n"
    "\tat org.apache.http.impl.io.SessionInputBufferImpl.fillBuffer(SessionInputBufferImpl.java:153)\n"
)


def log_text(size: int) -> bytes:
    """The first `size` bytes of the log, which are always the same."""
    chance = random.Random(2026)  # noqa: S311 - the same text every time
    pieces, length = [], 0
    for piece in _records(chance):
        pieces.append(piece)
        length += len(piece)
        if length >= size:
            return "".join(pieces).encode()[:size]
    raise AssertionError("records never end")


def lines_of(text: bytes, number: int) -> Iterator[bytes]:
    """The text in pieces of `number` lines."""
    lines = text.splitlines(keepends=True)
    return (b"".join(batch) for batch in itertools.batched(lines, number, strict=False))


def _records(chance: random.Random) -> Iterator[str]:
    now = 1_795_305_600_000
    pick, upto = chance.choice, chance.randrange
    while True:
        second = datetime.fromtimestamp(now // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        for _ in range(40):
            place = f"{pick(_PACKAGES)}.{pick(_CLASSES)}"
            message = pick(
                (
                    f"request {chance.getrandbits(64):016x} answered 200 in {upto(900)} ms",
                    f"read {upto(4096)} rows from shard {upto(64)} of table orders",
                    f"GET /v1/accounts/{upto(10**7)}/orders?limit={upto(100)} from 10.0.{upto(256)}.{upto(256)}",
                    f"cache hit for session {chance.getrandbits(48):012x}, age {upto(3600)} s",
                    f"Downloaded {place.replace('.', '/')}-{upto(9)}.{upto(30)}.jar ({upto(4000)} kB)",
                    "heartbeat sent, queue is empty",
                )
            )
            yield f"{second},{upto(1000):03d} [worker-{upto(16)}] {pick(_LEVELS)} {place} - {message}\n"
        if upto(25) == 0:
            yield _TRACE
        now += upto(4000)
