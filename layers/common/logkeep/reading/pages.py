"""Pages of a text that is several logs in a row, at a cost that does not depend on how long the logs are.

A position is one number: the place of a log in the row times PLACE, plus an offset in the log. So when a log grows, the
positions in other logs stay. A newline is added after a log that does not end with one; it has no position of its own.
"""

import codecs
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from logkeep.limits import ANSWER_MAX, PAGE_MAX
from logkeep.logs.head import Head, State, joined
from logkeep.logs.reader import LogReader
from logkeep.params import Decimal

PLACE: Final = 10**12  # bytes of each log that have a position
PLACES: Final = 10**6  # a position has at most 18 digits, as many as Decimal takes
LINES_MAX: Final = 1000
BYTES_MIN: Final = 4  # of a page: no UTF-8 character is longer, so every page gets further
_FAR: Final = PLACE * PLACES
_JSON_MAX: Final = ANSWER_MAX - 1024  # of a page's text with its escapes

type Position = Annotated[Decimal, Field(ge=0)]


class PlacedLog(NamedTuple):
    """A log that is not empty, at positions [start, end)."""

    start: int
    end: int
    joint: int  # the position after the newline that is added to the log; 0 if none is added
    head: Head


@dataclass(frozen=True, slots=True)
class Strip:
    """Logs in a row."""

    logs: tuple[PlacedLog, ...]
    stop: int  # the end of the first log that may still grow: a page after it could miss what is appended there

    @classmethod
    def of(cls, placed: Iterable[tuple[int, Head]]) -> "Strip":
        """Logs with their places, in order of place."""
        placed = list(placed)
        starts = [place * PLACE for place, head in placed if head.end]
        filled = zip(pairwise([*starts, 0]), joined(head for _, head in placed), strict=True)
        return cls(
            tuple(
                PlacedLog(start, start + min(head.end, PLACE - 1), following if has_joint else 0, head)
                for (start, following), (head, has_joint) in filled
            ),
            next((place * PLACE + head.end for place, head in placed if head.state is State.OPEN), _FAR),
        )

    @property
    def end(self) -> int:
        return self.logs[-1].end if self.logs else 0

    def grows_at(self, position: int) -> bool:
        """Whether text may be appended at the position, so that the character before it may be incomplete."""
        return bool(self.logs) and position == self.end and self.logs[-1].head.state is State.OPEN

    def has_text(self, start: int, end: int) -> bool:
        """Whether there is any text between two positions."""
        return any(
            max(start, log.start) < min(end, log.end) or start <= log.end < log.joint <= end for log in self.logs
        )


class Page(NamedTuple):
    """The text of [start, end), and whether there is or may be more in the direction of reading."""

    start: int
    end: int
    text: bytes
    has_more: bool


class PageQuery(BaseModel):
    """A page by lines: the first ones from start_offset on, or (DESC) the last ones before end_offset."""

    model_config = ConfigDict(frozen=True)

    start_offset: Position = 0
    end_offset: Position = 0  # 0: the end of the text
    sort: Literal["AES", "ASC", "DESC"] = "AES"  # the vendor's word for ascending
    size: Annotated[Decimal, Field(ge=0, le=LINES_MAX)] = LINES_MAX  # lines; 0: as many as a page holds

    def page(self, reader: LogReader, strip: Strip) -> Page:
        read, end = (backward, strip.end) if self.sort == "DESC" else (forward, _FAR)
        start, end, lines = self.start_offset, self.end_offset or end, self.size or LINES_MAX
        return _fitting(lambda room: read(reader, strip, start, end, room, lines), PAGE_MAX)


class StretchQuery(BaseModel):
    """A page by bytes."""

    model_config = ConfigDict(frozen=True)

    offset: Position = 0
    length: Annotated[Decimal, Field(ge=0)] = PAGE_MAX  # bytes; 0: as many as a page holds

    def page(self, reader: LogReader, strip: Strip) -> Page:
        room = max(BYTES_MIN, min(self.length or PAGE_MAX, PAGE_MAX))
        return _fitting(lambda room: forward(reader, strip, self.offset, _FAR, room), room)


def forward(reader: LogReader, strip: Strip, start: int, end: int, room: int, lines: int | None = None) -> Page:
    """The first text of [start, end), at most `room` bytes (BYTES_MIN or more).

    It continues with the next log only if the one before cannot grow. With `lines`, it is at most that many whole
    lines; a line longer than a page is continued in the next one. A character is never cut.
    """
    text, position, left = bytearray(), start, lines
    settled = min(end, strip.stop)
    for after, piece in _ahead(reader, strip, start, settled, room):
        taken = piece[: room - len(text)]
        if left is not None:
            taken = _first_lines(taken, left)
            left -= taken.count(b"\n")
        if not taken:
            break
        text += taken
        position = after - (len(piece) - len(taken))
    has_more = strip.has_text(position, settled)
    kept = len(text)
    if has_more or position == strip.stop:
        kept = (has_more and lines and text.rfind(b"\n") + 1) or _whole(text)
    position -= len(text) - kept
    return Page(start, position, bytes(text[:kept]), has_more or strip.stop < end)


def backward(reader: LogReader, strip: Strip, start: int, end: int, room: int, lines: int) -> Page:
    """The last lines of [start, end), in reading order: at most `lines`, in at most `room` bytes.

    A line longer than a page is continued in the next one, which ends where this one starts. A character is never cut.
    """
    text, position = b"", min(end, strip.end)
    last = position
    for log in reversed(strip.logs):
        floor, high = max(start, log.start), min(position, log.end)
        added = b"\n" if log.end < log.joint <= position else b""
        if log.start >= position:
            continue
        if high < floor or len(text) >= room:
            break
        low = max(floor, high - (room - len(text) - len(added)))
        piece = b"".join(reader.texts(log.head, low - log.start, high - log.start))
        if strip.grows_at(high):
            last = low + _whole(piece)
            piece = piece[: last - low]
        piece += added
        begin = _last_lines(piece, lines)
        if low > floor and not begin:  # the window begins within a line
            begin = piece.find(b"\n", 0, len(piece) - 1) + 1
            if not begin and text:
                break
            begin = begin or _character(piece)
        taken = piece[begin:]
        lines -= taken.count(b"\n") + (bool(taken) and not taken.endswith(b"\n"))
        text, position = taken + text, low + begin
        if not lines or position > floor:
            break
    return Page(position, last, text, strip.has_text(start, position))


def shown(text: bytes) -> str:
    """A text for JSON: bytes that are not UTF-8 become U+FFFD."""
    return text.decode("utf-8", "replace")


def _fitting(read: Callable[[int], Page], room: int) -> Page:
    """A page of at most `room` bytes that fits in an answer: JSON needs six bytes for a control character."""
    page = read(room)
    while len(json.dumps(shown(page.text), ensure_ascii=False).encode()) > _JSON_MAX:
        room //= 2
        page = read(room)
    return page


def _ahead(reader: LogReader, strip: Strip, start: int, end: int, room: int) -> Iterator[tuple[int, bytes]]:
    """The text of [start, end) in pieces, each with the position after it. At most `room` bytes of a log are read."""
    for log in strip.logs:
        if log.end < start or log.start >= end:
            continue
        position = max(start, log.start)
        stop = min(log.end, end, position + room)
        for piece in reader.texts(log.head, position - log.start, stop - log.start):
            position += len(piece)
            yield position, piece
        if position < log.end:
            return
        if log.end < log.joint <= end:
            yield log.joint, b"\n"


def _first_lines(text: bytes, lines: int) -> bytes:
    """The first `lines` lines of a text."""
    end = 0
    for _ in range(lines):
        end = text.find(b"\n", end) + 1
        if not end:
            return text
    return text[:end]


def _whole(text: bytes | bytearray) -> int:
    """The length of a text without an incomplete character at its end."""
    last = bytes(text[-3:])
    return len(text) - len(last) + codecs.utf_8_decode(last, "replace")[1]


def _last_lines(text: bytes, lines: int) -> int:
    """Where the last `lines` lines of a text begin."""
    newline = len(text) - text.endswith(b"\n")
    for _ in range(lines):
        newline = text.rfind(b"\n", 0, newline)
        if newline < 0:
            return 0
    return newline + 1


def _character(text: bytes) -> int:
    """Where the first character begins in a text that may begin within one."""
    return next((index for index, byte in enumerate(text[:3]) if byte & 0xC0 != 0x80), len(text[:3]))
