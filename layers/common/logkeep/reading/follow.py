"""Following a log: its text from a byte on, then each new fragment soon after it is committed."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from logkeep import ndjson
from logkeep.clock import Clock
from logkeep.errors import Corrupt, LogNotFound
from logkeep.logid import LogId
from logkeep.logs.head import Head, State
from logkeep.reading.cursors import cursor_at

# Seconds.
BUSY_PAUSE: Final = 0.5  # between two looks at a log that grows
IDLE_PAUSE: Final = 5.0  # between two looks at a log that has not grown for IDLE_AFTER
IDLE_AFTER: Final = 10.0
TICK: Final = 0.25  # a stream yields at least this often, so that its consumer can end it

# Bytes.
MESSAGE_RAW: Final = 64 * 1024  # of text in one JSON line
_LAST_MAX: Final = 256  # of the JSON line that ends a stream


class Source(Protocol):
    """Reads the followed logs."""

    def head(self, log_id: LogId) -> Head: ...
    def texts(self, head: Head, start: int = 0) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class _Successors:
    """The logs that continue the followed one, in order."""

    heads: tuple[Head, ...] = ()
    is_known: bool = True  # False if the followed log was read again without them

    @property
    def first_started(self) -> Head | None:
        return next((head for head in self.heads if head.end or head.state is not State.OPEN), None)


class Follower:
    """One reader of one log, or of a log and then the logs that continue it.

    `head` is the head of the log in its last look, and `position` the offset of the next byte to yield. `is_deleted`
    says that the log is gone, also if another one with the same id has begun since.
    """

    def __init__(
        self,
        source: Source,
        head: Head,
        seconds: float,
        clock: Clock,
        *,
        position: int = 0,
        with_successors: Callable[[LogId], list[Head]] | None = None,
        seen: Callable[[Head], None] = lambda _: None,
    ) -> None:
        """Follow for at most `seconds`, from byte `position` of the log on.

        `with_successors` reads a log's head and the heads of the logs that continue it, in order. Without it, one log
        is followed. `seen` is called with every head that is read.
        """
        self.head = head
        self.position = position
        self.is_deleted = False
        self._source = source
        self._with_successors = with_successors
        self._seen = seen
        self._clock = clock
        self._until = clock.now() + seconds
        self._grown = self._searched = clock.now()
        self._successors = _Successors()  # the caller has just chosen this log

    @property
    def has_all(self) -> bool:
        """Whether all text has been yielded and the log's producer has sealed it."""
        return self.position >= self.head.end and self.head.state is not State.OPEN

    def texts(self) -> Iterator[bytes]:
        """The text until the last log is sealed or time is up; b"" at least every TICK while there is none.

        The missing part of a truncated log may still arrive, so that is waited for until the log is idle.
        """
        self._seen(self.head)
        while not self._is_late() and not self.is_deleted:
            looked = self._clock.now()
            yield from self._rest()
            if self._is_late() or self.is_deleted:
                return
            is_over = self._is_over()
            successor = self._successors.first_started
            if is_over and not self._successors.is_known:
                self._look(for_successors=True)
            elif successor and (is_over or self._is_idle()):
                # Not before the log is idle: its last lines may be shipped later than the successor's first.
                yield from self._turn_to(successor)
            elif is_over and not self._successors.heads:
                return
            else:
                pause = IDLE_PAUSE if is_over or self._is_idle() else BUSY_PAUSE
                yield from self._wait(looked + pause)
                if not self._is_late():
                    self._look(for_successors=self._clock.now() - self._searched >= IDLE_PAUSE)

    def _look(self, *, for_successors: bool) -> None:
        """Read the head again; for successors, in the same request as theirs."""
        log_id = self.head.log_id
        if self._with_successors and for_successors:
            heads = self._with_successors(log_id)
            self._take(next((head for head in heads if head.log_id == log_id), None))
            self._successors = _Successors(tuple(head for head in heads if head.log_id != log_id))
            self._searched = self._clock.now()
        else:
            self._take(self._found())
            if self._with_successors:
                self._successors = _Successors(is_known=False)
        if not self.is_deleted:
            self._seen(self.head)

    def _found(self) -> Head | None:
        try:
            return self._source.head(self.head.log_id)
        except LogNotFound:
            return None

    def _take(self, head: Head | None) -> None:
        """Take what the log's id has now for its head, unless that is another log or none."""
        self.is_deleted = head is None or head.birth != self.head.birth
        if head and not self.is_deleted:
            self.head = head

    def _rest(self) -> Iterator[bytes]:
        """The text up to the head's end that has not been yielded, unless time is up."""
        if self.position >= self.head.end:
            return
        try:
            for text in self._source.texts(self.head, self.position):
                self.position += len(text)
                yield text
                if self._is_late():
                    break
        except Corrupt:
            self._take(self._found())
            if not self.is_deleted:
                raise
        self._grown = self._clock.now()

    def _turn_to(self, successor: Head) -> Iterator[bytes]:
        """Yield the rest of the log, ended by a newline, and follow the successor from now on."""
        self._take(self._found())
        yield from self._rest()
        if self.is_deleted or self.position < self.head.end:
            return
        if self.head.scan_state.open_line:
            yield b"\n"
        self.head, self.position, self._successors = successor, 0, _Successors(is_known=False)
        self._grown = self._clock.now()
        self._seen(successor)

    def _is_late(self) -> bool:
        return self._clock.now() >= self._until

    def _is_idle(self) -> bool:
        return self._clock.now() - self._grown >= IDLE_AFTER

    def _is_over(self) -> bool:
        """Whether no more text is expected of this log."""
        return self.has_all and (self.head.state is State.SEALED or self._is_idle())

    def _wait(self, until: float) -> Iterator[bytes]:
        yield b""
        while (left := min(until, self._until) - self._clock.now()) > 0:
            self._clock.sleep(min(left, TICK))
            yield b""


def json_lines(follower: Follower, room: int) -> Iterator[bytes]:
    """A followed log as JSON lines of at most `room` bytes in all. The client joins each `text` or decoded `data`.

    Each line is `{"cursor", "offset", "text"}`, or has `data` (base64) instead of `text` if the bytes are not UTF-8.
    The last line is `{"cursor", "offset", "end": true, "more", "state"}`. If there is more, the cursor says where. The
    state of a log that was deleted meanwhile is `deleted`. No character is cut: an incomplete one waits for the rest of
    its bytes, or for the seal.
    """
    held = b""
    offset = follower.position  # of held
    left = room - _LAST_MAX
    is_full = False
    for text in follower.texts():
        held += text
        sent = 0
        while not is_full and (piece := held[sent : sent + MESSAGE_RAW]):
            line, size = _json_line(follower.head, offset + sent, piece, is_last=False)
            is_full = len(line) > left
            if is_full or not size:
                break
            yield line
            left, sent = left - len(line), sent + size
        held, offset = held[sent:], offset + sent
        if is_full:
            break
        if not text:
            yield b""
    has_all = follower.has_all and not is_full
    if held and has_all:
        yield _json_line(follower.head, offset, held, is_last=True)[0]
        offset += len(held)
    yield ndjson.line(
        cursor=cursor_at(follower.head, offset),
        offset=offset,
        end=True,
        more=not has_all and not follower.is_deleted,
        state="deleted" if follower.is_deleted else follower.head.state.value,
    )


def start_of_last(source: Source, head: Head, size: int) -> int:
    """Where the first line begins that begins in the last `size` bytes; if none does, where these bytes begin."""
    start = max(0, head.end - size)
    if start in {0, head.end}:
        return start
    newline = next(source.texts(head, start - 1)).find(b"\n")
    return start + newline if newline >= 0 else start


def _json_line(head: Head, offset: int, piece: bytes, *, is_last: bool) -> tuple[bytes, int]:
    """The JSON line of a piece of text, and how many bytes of it are in the line.

    Unless the piece is the last, bytes at its end that may be an incomplete character are left out.
    """
    member, size = "text", len(piece)
    try:
        content = piece.decode()
    except UnicodeDecodeError as error:
        if not is_last and error.reason == "unexpected end of data":
            size = error.start
            content = piece[:size].decode()
        else:
            # Cut after a newline if there is one, so that the next piece begins with a character.
            size = (not is_last and piece.rfind(b"\n") + 1) or size
            member, content = "data", base64.b64encode(piece[:size]).decode()
    cursor = cursor_at(head, offset + size)
    return ndjson.line(cursor=cursor, offset=offset, **{member: content}), size
