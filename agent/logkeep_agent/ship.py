"""Ships a file as it grows, and the files after it, so that the log holds each byte once and in order."""

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

PIECE: Final = 4_000_000  # bytes; a request may have 4 MiB, and gzip makes what it cannot compress a little longer
TICK: Final = 0.25  # seconds between two looks at the files
# Seconds without an answer after which the agent gives up, with --once, and after a signal.
ONCE_PATIENCE: Final = 300.0
STOP_PATIENCE: Final = 10.0
_INTERVAL: Final = (3.0, 30.0)  # seconds between two requests, at least and at most
_BACK_OFF_MAX: Final = 30.0  # seconds
_WAIT_MAX: Final = 300.0  # seconds, even if the service asks for more
_REPORT_AGAIN: Final = 60.0  # seconds after which it is reported again that the service does not answer
_OTHERS: Final = "someone else writes to this log"


class Clock:
    """The machine's time."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> int:
        """Epoch nanoseconds, like the times of files."""
        return time.time_ns()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True)
class Options:
    once: bool = False  # end when everything that is there was sent
    seal: bool = False  # seal the log at the end
    append: bool = False  # ship the file after what the log already holds
    interval: float | None = None  # seconds between two requests; None: as the service asks
    settle: float = 5.0  # seconds without a new byte after which a rotated file is complete


@dataclass
class _Reading:
    """The file that is being shipped, and how far."""

    source: Source
    state: State
    position: int = 0
    first: First = field(default_factory=First)


class Shipper:
    """Ships one path. `stopping` may be set at any time: then it sends what is there and ends."""

    def __init__(
        self,
        service: Service,
        path: Path,
        state: Path,
        options: Options,
        report: Callable[[str], None],
        clock: Clock | None = None,
    ) -> None:
        self._service, self._path, self._state_path, self._options = service, path, state, options
        self._report = report
        self._clock = clock or Clock()
        self._rotation = Rotation(path, report)
        self.stopping = False
        self._end = Mark()  # of the log
        self._reading: _Reading | None = None
        self._found: Source | None = None  # the first file, until the service has answered where the log ends
        self._left: tuple[Source, int] | None = None  # the previous file, and how many bytes of it were sent
        self._due = 0.0  # when to send the next request
        self._failures = 0  # since the last answer
        self._reported_at = 0.0
        self._waits_for_file = False

    def run(self) -> bool:
        """Ship until there is nothing left to do. Returns whether everything was sent. Raises Refused."""
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
        """Send a piece, or turn to the next file; False if there is nothing to do yet. Raises Later."""
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
            certificate = self._service.append(self._end.bytes, piece)
        except Gap as gap:
            self.close()  # and find the place again
            raise Later(f"{gap}; the log holds less than the service certified") from gap
        self._answered()
        if (certificate.bytes, certificate.crc32) != (after.bytes, after.crc32):
            raise Refused(
                f"{self._service.log_id} holds {certificate.bytes} bytes, but {after.bytes} were sent: {_OTHERS}"
            )
        self._end = after
        reading.position += len(piece)
        self._due = self._clock.monotonic() + self._interval(certificate)

    def _interval(self, certificate: Certificate) -> float:
        """Seconds until the next request."""
        least, most = _INTERVAL
        if self._options.interval is not None:
            return self._options.interval
        return most if certificate.interval is None else max(least, min(most, certificate.interval))

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
        if self._failures == 1 or now >= self._reported_at + _REPORT_AGAIN:
            self._reported_at = now
            self._report(f"{later}; will try again")

    def _answered(self) -> None:
        if self._failures:
            self._report(f"the service answers again, after {self._failures} tries")
        self._failures = 0

    def _finish(self) -> None:
        """Everything was sent: seal the log if that was asked for. Raises Later."""
        if not self._reading:
            if self._options.once:
                raise Refused(f"{self._path}: no such file")
            return
        if self._options.seal:
            self._service.seal(self._end.bytes, self._end.crc32)
        done = "is sealed" if self._options.seal else "is up to date"
        self._report(f"{self._service.log_id} {done}: {self._end.bytes} bytes, crc32 {self._end.crc32:08x}")

    # Finding the place

    def _resume(self) -> _Reading | None:
        """Find the file and the position in it with which the log ends; None while there is no file. Raises Later."""
        state = State.load(self._state_path)
        if not state and not self._find():
            return None
        certificate = self._service.certificate()
        self._answered()
        self._end = Mark(certificate.bytes, certificate.crc32)
        if not state:
            return self._start()
        if (state.project, state.log_id) != (self._service.project, self._service.log_id):
            raise Refused(f"{self._state_path} is for {state.log_id}; name another state file with --state")
        if self._end.bytes < state.base.bytes:
            raise Refused(
                f"{state.log_id} holds {self._end.bytes} bytes, but the file that is being shipped began at byte "
                f"{state.base.bytes}: the log lost what was sent before. "
                f"To ship the file anew, remove {self._state_path}"
            )
        source = self._rotation.holder(state, self._end, First())
        if source:
            return self._continue(source, state)
        if self._end not in (state.base, state.before, state.after):
            raise Refused(f"no file holds the end of {state.log_id}: {_OTHERS}, or the file was changed")
        if not self._rotation.since(state.begun):
            self._due = self._clock.monotonic() + self._interval(certificate)
            return None
        self._lost("the file that was being shipped is gone or was overwritten, and there is no copy of it")
        return self._begin(self._rotation.waiting.pop(0))

    def _find(self) -> bool:
        """Whether the first file exists. It is held open until the service has answered where the log ends."""
        try:
            self._found = self._found or Source(self._path)
        except FileNotFoundError:
            if not self._waits_for_file and not self._options.once:
                self._report(f"{self._path} does not exist yet; waiting for it")
            self._waits_for_file = True
        return self._found is not None

    def _start(self) -> _Reading | None:
        """Begin without a state, if the log is empty or holds the beginning of this file. Raises Refused if not."""
        source = self._found
        if not source:
            return None
        if self._options.append or not self._end.bytes:
            reading = self._begin(source)
        elif source.crc32(self._end.bytes) == self._end.crc32:
            reading = self._continue(source, self._state_of(source, Mark()))
        else:
            raise Refused(
                f"{self._service.log_id} holds {self._end.bytes} bytes, and {self._path} does not begin with them. "
                "To ship the file after them, use --append"
            )
        self._found = None
        return reading

    def _continue(self, source: Source, state: State) -> _Reading:
        """Continue with a file where the log ends."""
        device, inode = source.identity
        state = replace(state, device=device, inode=inode, before=self._end, after=self._end)
        state.save(self._state_path)
        position = self._end.bytes - state.base.bytes
        self._report(f"continues with byte {position} of {source.path} at byte {self._end.bytes} of {state.log_id}")
        return _Reading(source, state, position, First.of(source, position))

    def _begin(self, source: Source) -> _Reading:
        """Ship a file from its first byte on. Its place is saved to disk before any of it is sent."""
        state = self._state_of(source, self._end)
        state.save(self._state_path)
        self._report(f"begins with {source.path} at byte {self._end.bytes} of {state.log_id}")
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
            self._report(f"LOST: {left.path} grew by {left.size - known} bytes after the next file had been started")
            self._left = (left, left.size)
        source = self._reading.source if self._reading else self._found
        if source:
            self._rotation.look(source)

    def _is_settled(self, source: Source) -> bool:
        """Whether a rotated file is complete."""
        waiting = self._rotation.waiting
        if len(waiting) > 1 or source.is_packed:
            return True
        # While the writer has not noticed the rotation, it writes to the old file, and the new one is empty.
        return waiting[0].size > 0 and self._clock.wall() - source.modified >= self._options.settle * 1e9

    def _is_same(self, reading: _Reading, packed: Source) -> bool:
        """Whether a compressed file is the one just read. Its time is no proof, because not all programs keep it."""
        sent = reading.position
        return sent > 0 and packed.crc32(sent, reading.state.base.crc32) == self._end.crc32

    def _must_wait(self) -> bool:
        """Whether an agent that should end must stay, because the next file has text and this one may still grow."""
        wanted = self._options.once or self._options.seal
        return wanted and any(source.size for source in self._rotation.waiting)

    def _leave(self, reading: _Reading) -> None:
        if self._left:
            self._left[0].close()
        self._left = None if reading.source.is_packed else (reading.source, reading.position)
        if reading.source.is_packed:
            reading.source.close()

    def _truncated(self, reading: _Reading) -> _Reading:
        """The file was truncated. A copy of it may hold what was not sent."""
        copy = self._rotation.holder(reading.state, self._end, reading.first)
        if copy:
            reading.source.close()
            return self._continue(copy, reading.state)
        self._lost(f"{self._path} was truncated, and there is no copy of it")
        return self._begin(reading.source)

    def _lost(self, what: str) -> None:
        self._report(f"LOST: {what}; what it held beyond byte {self._end.bytes} of the log was not sent")
