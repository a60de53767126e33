"""A log that is written to at set times, and followed in a time of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from logkeep.apis.kuscia.query import from_restart, restarts_of
from logkeep.clock import Clock
from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.reading.follow import Follower
from tests.memory import MemoryLogs

LOG = "task/t/0/main/0"
ROUND = 1e-6  # of seconds


@dataclass
class World:
    """Logs that are written to at set times, and what a follower reads of them when."""

    writes: list[tuple[float, str, bytes | None]]  # when, which log, what; None seals it
    now: float = 0.0
    logs: MemoryLogs = field(default_factory=MemoryLogs)
    looks: list[float] = field(default_factory=list)
    searches: list[float] = field(default_factory=list)
    done: int = 0

    def __post_init__(self) -> None:
        self.writes.sort(key=lambda each: each[0])
        self.logs.append(LOG)
        self.pass_time(0)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        while self.done < len(self.writes) and self.writes[self.done][0] <= self.now:
            _, log, text = self.writes[self.done]
            self.logs.seal(log) if text is None else self.logs.append(log, text)
            self.done += 1

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.pass_time)

    def head(self, log_id: LogId) -> Head:
        self.looks.append(self.now)
        return self.logs.head(log_id)

    def texts(self, head: Head, start: int = 0) -> Iterator[bytes]:
        return self.logs.texts(head, start)

    def line(self, log_id: LogId) -> list[Head]:
        self.searches.append(self.now)
        return from_restart(log_id, self.logs.heads(log_id.owner, restarts_of(log_id)))

    def follower(self, seconds: float, log: str = LOG, **options: Any) -> Follower:
        return Follower(self, self.logs.head(LogId.parse(log)), seconds, self.clock, **options)

    def text_of(self, log: str = LOG, until: float = float("inf")) -> bytes:
        return b"".join(text or b"" for at, each, text in self.writes if each == log and at <= until)

    def taken(self, chunks: Iterator[bytes], delay: Callable[[], float] = lambda: 0) -> list[tuple[float, bytes]]:
        """What a client takes, and when; it may be slow."""
        taken = []
        for chunk in chunks:
            taken.append((self.now, chunk))
            self.pass_time(delay())
        return taken


def at(seconds: float, text: bytes | None, log: str = LOG) -> tuple[float, str, bytes | None]:
    return seconds, log, text


def restart(number: int) -> str:
    return f"task/t/0/main/{number}"
