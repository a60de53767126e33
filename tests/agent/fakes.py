"""A log in memory, a time that passes when it is slept through, and an agent that is driven step by step."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logkeep_agent import Refused
from logkeep_agent.clock import TICK, Clock
from logkeep_agent.service import Certificate, Gap, Later, Service
from logkeep_agent.ship import Options, Shipper


class FakeLog(Service):
    """Keeps a log as Logkeep does; what it is told to, it refuses."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", "project", "build/a/stage1", lambda: "token")
        self.text = bytearray()
        self.sealed: tuple[int, int] | None = None
        self.interval: float | None = None
        self.deleted = False
        self.requests: list[tuple[float, int, int]] = []  # when, offset, bytes
        self.fails: Callable[[], str | None] = lambda: None  # "before" or "after" it was written
        self.now: Callable[[], float] = lambda: 0.0
        self.others: dict[str, FakeLog] = {}

    def at(self, log_id: str) -> "FakeLog":
        if log_id == self.log_id:
            return self
        if log_id not in self.others:
            other = self.others[log_id] = FakeLog()
            other.log_id, other.others, other.fails, other.now = log_id, self.others, self.fails, self.now
        return self.others[log_id]

    def certificate(self, held: int = 0) -> Certificate:
        if self.fails():
            raise Later("away")
        if self.deleted and held:
            raise Refused("the log was deleted")
        return self._certificate()

    def append(self, offset: int, piece: bytes) -> Certificate:
        kind = self.fails()
        if kind == "before":
            raise Later("away")
        self.requests.append((self.now(), offset, len(piece)))
        if self.deleted and offset:
            raise Refused("the log was deleted")
        if offset > len(self.text):
            raise Gap("gap")
        held = bytes(self.text[offset : offset + len(piece)])
        if held != piece[: len(held)]:
            raise Refused("409")
        if self.sealed and len(held) < len(piece):
            raise Refused("sealed")
        self.text += piece[len(held) :]
        if kind == "after":
            raise Later("the answer was lost")
        return self._certificate()

    def seal(self, size: int, crc32: int) -> Certificate:
        assert (size, crc32) == (len(self.text), zlib.crc32(self.text))
        self.sealed = (size, crc32)
        return self._certificate()

    def _certificate(self) -> Certificate:
        return Certificate(len(self.text), zlib.crc32(self.text), self.interval)


class FakeClock(Clock):
    """Sleeping lets the plan happen, a step at a time, and time pass at once."""

    def __init__(self, directory: Path, plan: Callable[[float], None]) -> None:
        self.seconds = 0.0
        self._probe = directory / ".clock"
        self._plan = plan

    def monotonic(self) -> float:
        return self.seconds

    def wall(self) -> int:
        # The clock that dates the files of this directory, which need not be the one of the process.
        self._probe.write_bytes(b"x")
        return self._probe.stat().st_mtime_ns + int(self.seconds * 1e9)

    def during(self, call: Callable[[], Certificate], meanwhile: Callable[[], None]) -> Certificate:
        return call()

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self._plan(self.seconds)


class Bench:
    """A file in a directory, a log, and agents that come and go."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "app.log"
        self.log = FakeLog()
        self.told: list[str] = []
        self.seconds = 0.0

    def write(self, text: bytes, name: str = "") -> None:
        with (self.path.with_name(name) if name else self.path).open("ab") as file:
            file.write(text)

    def rotate(self, keep: int = 9) -> None:
        """As logrotate does it, without compression."""
        for number in range(keep, 0, -1):
            old = self.path.with_name(f"app.log.{number}")
            if old.exists():
                old.rename(self.path.with_name(f"app.log.{number + 1}"))
        self.path.rename(self.path.with_name("app.log.1"))
        self.path.touch()

    def ship(self, *steps: Callable[[], None], every: float = 40.0, path: Path | None = None, **options: Any) -> bool:
        """Run an agent: each step happens so many seconds after the one before, the last is followed by a stop."""
        waiting = list(steps)
        clock = FakeClock(self.path.parent, lambda now: turn(now))
        state = self.path.with_name(".app.log.logkeep")
        shipper = Shipper(self.log, path or self.path, state, Options(**options), self.told.append, clock)
        due = every

        def turn(now: float) -> None:
            nonlocal due
            self.seconds = now
            if now < due:
                return
            due = now + every
            if waiting:
                waiting.pop(0)()
            else:
                shipper.stopping = True

        self.log.now = clock.monotonic
        try:
            return shipper.run()
        finally:
            shipper.close()

    def killed(self, work: Callable[[], object], is_written: bool) -> None:
        """Do some work until its first piece of text, and be killed before or after that is written."""
        append = FakeLog.append

        def be_killed(log: FakeLog, offset: int, piece: bytes) -> Certificate:
            if is_written:
                append(log, offset, piece)
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FakeLog, "append", be_killed)
            with pytest.raises(KeyboardInterrupt):
                work()

    @property
    def lost(self) -> list[str]:
        return [line for line in self.told if line.startswith("LOST")]


__all__ = ["TICK", "Bench", "FakeClock", "FakeLog"]
