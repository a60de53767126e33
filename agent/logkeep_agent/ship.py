"""Ships a file as it grows: the log holds its bytes, and those of the files that follow it, once and in order."""

import random
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from logkeep_agent import Refused
from logkeep_agent.files import First, Source
from logkeep_agent.rotation import Rotation
from logkeep_agent.service import Certificate, Gap, Later, Service
from logkeep_agent.state import Mark, State

PIECE: Final = 4_000_000  # bytes; gzip makes what it cannot compress a little longer, and 4 MiB may be sent
TICK: Final = 0.25  # seconds between two looks at the files
ONCE_PATIENCE: Final = 300.0  # seconds without an answer after which an agent that is to end gives up
STOP_PATIENCE: Final = 10.0
_INTERVAL: Final = (3.0, 30.0)  # seconds between two requests, at least and at most
_BACK_OFF_MAX: Final = 30.0
_WAIT_MAX: Final = 300.0  # whatever the service asks for
_TOLD_AGAIN: Final = 60.0  # seconds after which a service that stays away is told of again
_OTHERS: Final = "someone else writes to this log"


class Clock:
    """The machine's time."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> int:
        """Epoch nanoseconds, as files have them."""
        return time.time_ns()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True)
class Options:
    once: bool = False  # end when all that is there has been sent
    seal: bool = False  # and seal the log at the end
    append: bool = False  # begin behind what the log holds already
    interval: float | None = None  # seconds between two requests; None: as the service says
    settle: float = 5.0  # seconds without a byte after which a rotated file is complete


@dataclass
class _Reading:
    """The file that is being shipped, and how far."""

    source: Source
    state: State
    position: int = 0
    first: First = field(default_factory=First)


class Shipper:
    """Ships one path. `stopping` may be set at any time: what is there is sent, then it ends."""

    def __init__(
        self,
        service: Service,
        path: Path,
        state: Path,
        options: Options,
        tell: Callable[[str], None],
        clock: Clock | None = None,
    ) -> None:
        self._service, self._path, self._state_path, self._options, self._tell = service, path, state, options, tell
        self._clock = clock or Clock()
        self._rotation = Rotation(path, tell)
        self.stopping = False
        self._end = Mark()  # of the log
        self._reading: _Reading | None = None
        self._found: Source | None = None  # the first file, until the service has told where the log ends
        self._left: tuple[Source, int] | None = None  # the file before, and how much of it was sent
        self._due = 0.0
        self._failures = 0
        self._told_at = 0.0
        self._waits_for_file = False

    def run(self) -> bool:
        """Ship until there is nothing left to do; whether all is sent. Raises Refused."""
        answered = self._clock.monotonic()
        was_stopping = False
        while True:
            now = self._clock.monotonic()
            if not self._failures:
                answered = now
            if self.stopping and not was_stopping:
                answered = self._due = now
                was_stopping = True
            ending = self._options.once or self.stopping
            self._look()
            if now >= self._due or (not self._failures and (ending or self._is_behind())):
                try:
                    if self._advance():
                        continue
                    if ending and not self._must_wait():
                        self._finish()
                        return True
                except Later as later:
                    self._put_off(later)
            patience = STOP_PATIENCE if self.stopping else ONCE_PATIENCE
            if ending and self._failures and now >= answered + patience:
                return False
            self._clock.sleep(TICK)

    def close(self) -> None:
        self._rotation.close()
        for source in (self._reading and self._reading.source, self._found, self._left and self._left[0]):
            if source:
                source.close()
        self._reading = self._found = self._left = None

    # Sending

    def _advance(self) -> bool:
        """Send a piece, or go on with the next file; False if there is nothing to do yet. Raises Later."""
        if not self._reading:
            self._reading = self._resume()
            return self._reading is not None
        reading = self._reading
        piece = reading.source.read(reading.position, PIECE)
        if not reading.first.is_of(reading.source, reading.position):
            self._reading = self._truncated(reading)
        elif piece:
            reading.first = reading.first.grown(reading.position, piece)
            self._send(reading, piece)
        elif self._rotation.waiting and self._is_settled(reading.source):
            following = self._rotation.waiting.pop(0)
            if following.is_packed and self._is_same(reading, following):
                following.close()
            else:
                self._leave(reading)
                self._reading = self._begin(following)
        else:
            return False
        return True

    def _send(self, reading: _Reading, piece: bytes) -> None:
        after = Mark(self._end.bytes + len(piece), zlib.crc32(piece, self._end.crc32))
        reading.state = replace(reading.state, before=self._end, after=after)
        reading.state.save(self._state_path)
        try:
            told = self._service.append(self._end.bytes, piece)
        except Gap as gap:
            self.close()  # and find the place anew
            raise Later(f"{gap}; it holds less than it vouched for") from gap
        self._answered()
        if (told.bytes, told.crc32) != (after.bytes, after.crc32):
            raise Refused(f"{self._service.log_id} holds {told.bytes} bytes where {after.bytes} were sent: {_OTHERS}")
        self._end = after
        reading.position += len(piece)
        self._due = self._clock.monotonic() + self._interval(told)

    def _interval(self, told: Certificate) -> float:
        least, most = _INTERVAL
        if self._options.interval is not None:
            return self._options.interval
        return most if told.interval is None else max(least, min(most, told.interval))

    def _is_behind(self) -> bool:
        """Whether more waits than one request carries."""
        if not self._reading:
            return False
        source, position = self._reading.source, self._reading.position
        return source.is_packed or len(self._rotation.waiting) > 1 or source.size - position >= PIECE

    def _put_off(self, later: Later) -> None:
        self._failures += 1
        most = min(_BACK_OFF_MAX, 0.5 * 2 ** min(self._failures, 10))
        now = self._clock.monotonic()
        self._due = now + max(min(later.wait, _WAIT_MAX), random.uniform(most / 2, most))  # noqa: S311 - jitter, no secret
        if self._failures == 1 or now >= self._told_at + _TOLD_AGAIN:
            self._told_at = now
            self._tell(f"{later}; tries again")

    def _answered(self) -> None:
        if self._failures:
            self._tell(f"the service answers again, after {self._failures} tries")
        self._failures = 0

    def _finish(self) -> None:
        """All is sent. Raises Later."""
        if not self._reading:
            if self._options.once:
                raise Refused(f"{self._path}: no such file")
            return
        if self._options.seal:
            self._service.seal(self._end.bytes, self._end.crc32)
        sealed = "is sealed" if self._options.seal else "has all that is there"
        self._tell(f"{self._service.log_id} {sealed}: {self._end.bytes} bytes, crc32 {self._end.crc32:08x}")

    # Finding the place

    def _resume(self) -> _Reading | None:
        """The file and the place in it that the log's end is; None while there is no file. Raises Later."""
        state = State.load(self._state_path)
        if not state and not self._find():
            return None
        told = self._service.certificate()
        self._answered()
        self._end = Mark(told.bytes, told.crc32)
        if not state:
            return self._start()
        if (state.project, state.log_id) != (self._service.project, self._service.log_id):
            raise Refused(f"{self._state_path} is about {state.log_id}; name another state file with --state")
        if self._end.bytes < state.base.bytes:
            raise Refused(
                f"{state.log_id} holds {self._end.bytes} bytes, and the file that is shipped began at byte "
                f"{state.base.bytes}: it lost what was sent before. Without {self._state_path} the file is shipped anew"
            )
        source = self._rotation.holder(state, self._end, First())
        if source:
            return self._go_on(source, state)
        if self._end not in (state.base, state.before, state.after):
            raise Refused(f"no file holds the end of {state.log_id}: {_OTHERS}, or the file was changed")
        if not self._rotation.since(state.begun):
            self._due = self._clock.monotonic() + self._interval(told)
            return None
        self._lost("the file that was shipped is gone or was written anew, and there is no copy of it")
        return self._begin(self._rotation.waiting.pop(0))

    def _find(self) -> bool:
        """Whether the first file is there. It is held open until the service has told where the log ends."""
        try:
            self._found = self._found or Source(self._path)
        except FileNotFoundError:
            if not self._waits_for_file and not self._options.once:
                self._tell(f"{self._path} is not there yet; waits for it")
            self._waits_for_file = True
        return self._found is not None

    def _start(self) -> _Reading | None:
        """Begin without a state: where the log is empty, or holds the beginning of this file."""
        source = self._found
        if not source:
            return None
        if self._options.append or not self._end.bytes:
            reading = self._begin(source)
        elif source.crc32(self._end.bytes) == self._end.crc32:
            reading = self._go_on(source, self._state_of(source, Mark()))
        else:
            raise Refused(
                f"{self._service.log_id} holds {self._end.bytes} bytes, and {self._path} does not begin with them. "
                "To ship the file behind them, say --append"
            )
        self._found = None
        return reading

    def _go_on(self, source: Source, state: State) -> _Reading:
        device, inode = source.identity
        state = replace(state, device=device, inode=inode, before=self._end, after=self._end)
        state.save(self._state_path)
        position = self._end.bytes - state.base.bytes
        self._tell(f"goes on with byte {position} of {source.path}, byte {self._end.bytes} of {state.log_id}")
        return _Reading(source, state, position, First.of(source, position))

    def _begin(self, source: Source) -> _Reading:
        """Ship a file from its first byte on; its place is on disk before any of it is sent."""
        state = self._state_of(source, self._end)
        state.save(self._state_path)
        self._tell(f"begins with {source.path} at byte {self._end.bytes} of {state.log_id}")
        return _Reading(source, state)

    def _state_of(self, source: Source, base: Mark) -> State:
        device, inode = source.identity
        return State(
            project=self._service.project,
            log_id=self._service.log_id,
            device=device,
            inode=inode,
            begun=self._clock.wall(),
            written=source.modified,
            base=base,
            before=self._end,
            after=self._end,
        )

    # Rotation and truncation

    def _look(self) -> None:
        if self._left and self._left[0].size > self._left[1]:
            left, known = self._left
            self._tell(f"LOST: {left.path} grew by {left.size - known} bytes after the next file was begun")
            self._left = (left, left.size)
        source = self._reading.source if self._reading else self._found
        if source:
            self._rotation.look(source)

    def _is_settled(self, source: Source) -> bool:
        """Whether nothing more is to come of a file that was rotated."""
        waiting = self._rotation.waiting
        if len(waiting) > 1 or source.is_packed:
            return True
        # Its writer may not have noticed yet: it goes on with the old file, and the new one is empty.
        return waiting[0].size > 0 and self._clock.wall() - source.modified >= self._options.settle * 1e9

    def _is_same(self, reading: _Reading, packed: Source) -> bool:
        """Whether a file is what compression made of the one that was just read; not all programs keep its time."""
        sent = reading.position
        return sent > 0 and packed.crc32(sent, reading.state.base.crc32) == self._end.crc32

    def _must_wait(self) -> bool:
        """Whether an agent that is to end stays: the next file has text, and this one may still grow."""
        wanted = self._options.once or self._options.seal
        return wanted and any(source.size for source in self._rotation.waiting)

    def _leave(self, reading: _Reading) -> None:
        if self._left:
            self._left[0].close()
        self._left = None if reading.source.is_packed else (reading.source, reading.position)
        if reading.source.is_packed:
            reading.source.close()

    def _truncated(self, reading: _Reading) -> _Reading:
        """The file was emptied. A copy of it may hold what was not sent."""
        copy = self._rotation.holder(reading.state, self._end, reading.first)
        if copy:
            reading.source.close()
            return self._go_on(copy, reading.state)
        self._lost(f"{self._path} was truncated, and there is no copy of it")
        return self._begin(reading.source)

    def _lost(self, what: str) -> None:
        self._tell(f"LOST: {what}; if it held more than byte {self._end.bytes} of the log, that is not in it")
