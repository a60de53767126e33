"""Following a log that grows: its text from a byte on, then each new fragment soon after it was committed."""

import base64
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from logkeep import ndjson
from logkeep.clock import Clock
from logkeep.errors import Invalid
from logkeep.logid import LogId
from logkeep.logs.head import Head, State

BUSY_PAUSE: Final = 0.5  # seconds between two looks at a log that grows
IDLE_PAUSE: Final = 5.0  # and at one that has not grown for IDLE_AFTER
IDLE_AFTER: Final = 10.0
TICK: Final = 0.25  # who consumes a stream hears of it at least so often, and may end it
MESSAGE_RAW: Final = 64 * 1024  # bytes of text in one record
_LAST_MAX: Final = 256  # bytes of the record that ends a stream
_CURSOR: Final = re.compile(r"([0-9a-f]{1,13})-([0-9a-f]{8})")


class Source(Protocol):
    """Where followed text comes from."""

    def head(self, log_id: LogId) -> Head: ...
    def texts(self, head: Head, start: int = 0) -> Iterator[bytes]: ...


class Follower:
    """One reader of one log, or of one and those that continue it.

    `head` is that of the log as it was last looked at, `position` the byte behind the last that was handed out.
    """

    def __init__(
        self,
        source: Source,
        head: Head,
        seconds: float,
        clock: Clock,
        *,
        position: int = 0,
        line: Callable[[LogId], list[Head]] | None = None,
        seen: Callable[[Head], None] = lambda _: None,
    ) -> None:
        """Follow for at most so many seconds.

        `line` reads a log's head and those of the logs that continue it, in order. `seen` is told every head.
        """
        self.head = head
        self.position = position
        self._source = source
        self._line = line
        self._seen = seen
        self._clock = clock
        self._until = clock.now() + seconds
        self._grown = self._searched = clock.now()
        # The logs that continue this one; None where the last look did not ask.
        self._later: list[Head] | None = []

    @property
    def has_all(self) -> bool:
        """Whether everything was handed out and its producer said that nothing will follow."""
        return self.position >= self.head.end and self.head.state is not State.OPEN

    def texts(self) -> Iterator[bytes]:
        """The text until the last log is sealed, or time is up; b"" at least every TICK, and when there is no more.

        What a truncated log lacks may still arrive: it is waited for until the log is idle.
        """
        self._seen(self.head)
        while not self._is_late():
            looked = self._clock.now()
            yield from self._rest()
            if self._is_late():
                return
            if self._is_over() and self._later is None:
                self._look(far=True)
                continue
            begun = next((head for head in self._later or () if head.end or head.state is not State.OPEN), None)
            is_over = self._is_over()
            # Who ships a container's last lines may be slower than who ships the first of the next.
            if begun and (is_over or self._is_idle()):
                yield from self._turn_to(begun)
                continue
            if is_over and not self._later:
                return
            pause = IDLE_PAUSE if is_over or self._is_idle() else BUSY_PAUSE
            yield from self._wait(looked + pause)
            if not self._is_late():
                self._look(far=self._clock.now() - self._searched >= IDLE_PAUSE)

    def _look(self, *, far: bool) -> None:
        """Read the head anew; looking far, in the same request those of the logs that continue it."""
        if self._line is None:
            self.head = self._source.head(self.head.log_id)
        elif far:
            self.head, *self._later = self._line(self.head.log_id)
            self._searched = self._clock.now()
        else:
            self.head, self._later = self._source.head(self.head.log_id), None
        self._seen(self.head)

    def _rest(self) -> Iterator[bytes]:
        """What the head knows of and was not handed out, unless time is up before."""
        if self.position >= self.head.end:
            return
        for text in self._source.texts(self.head, self.position):
            self.position += len(text)
            yield text
            if self._is_late():
                break
        self._grown = self._clock.now()

    def _turn_to(self, successor: Head) -> Iterator[bytes]:
        """What the log holds now that its successor has begun, ended by a newline; then the successor is followed."""
        self.head = self._source.head(self.head.log_id)
        yield from self._rest()
        if self.position < self.head.end:
            return
        if self.head.cursor.open_line:
            yield b"\n"
        self.head, self.position, self._later = successor, 0, None
        self._grown = self._clock.now()
        self._seen(successor)

    def _is_late(self) -> bool:
        return self._clock.now() >= self._until

    def _is_idle(self) -> bool:
        return self._clock.now() - self._grown >= IDLE_AFTER

    def _is_over(self) -> bool:
        return self.has_all and (self.head.state is State.SEALED or self._is_idle())

    def _wait(self, until: float) -> Iterator[bytes]:
        yield b""
        while (left := min(until, self._until) - self._clock.now()) > 0:
            self._clock.sleep(min(left, TICK))
            yield b""


def records(follower: Follower, room: int) -> Iterator[bytes]:
    """A followed log as JSON lines of at most `room` bytes in all, of which the client joins `text` or decodes `data`.

    Each is `{"cursor", "offset", "text"}`, or with `data` (base64) where the bytes are no UTF-8. The last one is
    `{"cursor", "offset", "end": true, "more", "state"}`: if there is more, it begins at the cursor. No character is
    cut: half of one waits for its rest, or for the seal.
    """
    log_id, held = follower.head.log_id, b""
    offset = follower.position  # of held
    left = room - _LAST_MAX
    is_full = False
    for text in follower.texts():
        held += text
        sent = 0
        while not is_full and (piece := held[sent : sent + MESSAGE_RAW]):
            record, size = _record(log_id, offset + sent, piece, is_whole=False)
            is_full = len(record) > left
            if is_full or not size:
                break
            yield record
            left, sent = left - len(record), sent + size
        held, offset = held[sent:], offset + sent
        if is_full:
            break
        if not text:
            yield b""
    has_all = follower.has_all and not is_full
    if held and has_all:
        yield _record(log_id, offset, held, is_whole=True)[0]
        offset += len(held)
    yield ndjson.line(
        cursor=cursor_at(log_id, offset), offset=offset, end=True, more=not has_all, state=follower.head.state.value
    )


def _record(log_id: LogId, offset: int, piece: bytes, *, is_whole: bool) -> tuple[bytes, int]:
    """A record of a piece, and how much of it is in it; unless it is the whole, what may be half a character is not."""
    member, size = "text", len(piece)
    try:
        content = piece.decode()
    except UnicodeDecodeError as error:
        if not is_whole and error.reason == "unexpected end of data":
            size = error.start
            content = piece[:size].decode()
        else:
            # Behind a newline the next piece begins with a character.
            size = (not is_whole and piece.rfind(b"\n") + 1) or size
            member, content = "data", base64.b64encode(piece[:size]).decode()
    cursor = cursor_at(log_id, offset + size)
    return ndjson.line(cursor=cursor, offset=offset, **{member: content}), size


def cursor_at(log_id: LogId, offset: int) -> str:
    """Where a reader of a log goes on."""
    return f"{offset:x}-{_check(log_id, offset):08x}"


def offset_of(log_id: LogId, cursor: str) -> int:
    """Raise Invalid unless the cursor is one of this log."""
    found = _CURSOR.fullmatch(cursor)
    offset = int(found[1], 16) if found else 0
    if not found or cursor != cursor_at(log_id, offset):
        raise Invalid("cursor", "is none of this log")
    return offset


def _check(log_id: LogId, offset: int) -> int:
    return zlib.crc32(f"{log_id}@{offset}".encode())


def tail_at(source: Source, head: Head, size: int) -> int:
    """Where the last `size` bytes begin, or rather the first line in them, if one does."""
    start = max(0, head.end - size)
    if start in {0, head.end}:
        return start
    newline = next(source.texts(head, start - 1)).find(b"\n")
    return start + newline if newline >= 0 else start
