"""Pages of a text that several logs make up, at a cost that does not depend on how long the logs are.

A position is one number: the place of a log times PLACE, and a byte of the log. So a log that grows moves no position
in another. Between two logs stands a newline where the first lacks one; it has no position of its own.
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

PLACE: Final = 10**12  # bytes of a log that have a position
PLACES: Final = 10**6  # a position has at most 18 digits, as many as Decimal takes
LINES_MAX: Final = 1000
BYTES_MIN: Final = 4  # no UTF-8 character is longer: every page but an empty one gets on
_FAR: Final = PLACE * PLACES
_JSON_MAX: Final = ANSWER_MAX - 1024  # of a page's text with its escapes

type Position = Annotated[Decimal, Field(ge=0)]


class Part(NamedTuple):
    """A log that is not empty, at [start, end); `joint` is the position behind a newline that follows it, or 0."""

    start: int
    end: int
    joint: int
    head: Head


@dataclass(frozen=True, slots=True)
class Strip:
    """Logs one behind the other."""

    parts: tuple[Part, ...]
    stop: int  # the end of the first log that may still grow: who reads on behind it would miss what comes there

    @classmethod
    def of(cls, placed: Iterable[tuple[int, Head]]) -> "Strip":
        """Logs with their places, in order of these."""
        placed = list(placed)
        starts = [place * PLACE for place, head in placed if head.end]
        logs = zip(pairwise([*starts, 0]), joined(head for _, head in placed), strict=True)
        return cls(
            tuple(
                Part(start, start + min(head.end, PLACE - 1), following if joint else 0, head)
                for (start, following), (head, joint) in logs
            ),
            next((place * PLACE + head.end for place, head in placed if head.state is State.OPEN), _FAR),
        )

    @property
    def end(self) -> int:
        return self.parts[-1].end if self.parts else 0

    def grows_at(self, position: int) -> bool:
        """Whether the text may go on at the position, so that only half a character may be there."""
        return bool(self.parts) and position == self.end and self.parts[-1].head.state is State.OPEN

    def has_text(self, start: int, end: int) -> bool:
        """Whether anything stands between two positions."""
        return any(
            max(start, part.start) < min(end, part.end) or start <= part.end < part.joint <= end for part in self.parts
        )


class Page(NamedTuple):
    """The text of [start, end), and whether there is, or may come, more in the direction of reading."""

    start: int
    end: int
    text: bytes
    has_more: bool


def forward(reader: LogReader, strip: Strip, start: int, end: int, room: int, lines: int | None = None) -> Page:
    """What stands from start on and before end, in at most `room` bytes (BYTES_MIN or more).

    It goes on to another log only once the one before is closed. With `lines`, it is at most so many and whole ones;
    one that does not fit goes on in the next page. A character is never cut.
    """
    text, position, left = bytearray(), start, lines
    settled = min(end, strip.stop)
    for behind, piece in _ahead(reader, strip, start, settled, room):
        taken = piece[: room - len(text)]
        if left is not None:
            taken = _first_lines(taken, left)
            left -= taken.count(b"\n")
        if not taken:
            break
        text += taken
        position = behind - (len(piece) - len(taken))
    goes_on = strip.has_text(position, settled)
    kept = len(text)
    if goes_on or position == strip.stop:
        kept = (goes_on and lines and text.rfind(b"\n") + 1) or _whole(text)
    position -= len(text) - kept
    return Page(start, position, bytes(text[:kept]), goes_on or strip.stop < end)


def backward(reader: LogReader, strip: Strip, start: int, end: int, room: int, lines: int) -> Page:
    """The last lines before end, and not before start: at most `lines`, in at most `room` bytes, in reading order.

    A line that does not fit goes on in the next page, which ends where this one starts. A character is never cut.
    """
    text, position = b"", min(end, strip.end)
    last = position
    for part in reversed(strip.parts):
        floor, high = max(start, part.start), min(position, part.end)
        joint = b"\n" if part.end < part.joint <= position else b""
        if part.start >= position:
            continue
        if high < floor or len(text) >= room:
            break
        low = max(floor, high - (room - len(text) - len(joint)))
        piece = b"".join(reader.texts(part.head, low - part.start, high - part.start))
        if strip.grows_at(high):
            last = low + _whole(piece)
            piece = piece[: last - low]
        piece += joint
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


def _ahead(reader: LogReader, strip: Strip, start: int, end: int, room: int) -> Iterator[tuple[int, bytes]]:
    """The text from start on in pieces, each with the position behind it; at most `room` bytes of a log are read."""
    for part in strip.parts:
        if part.end < start or part.start >= end:
            continue
        position = max(start, part.start)
        stop = min(part.end, end, position + room)
        for piece in reader.texts(part.head, position - part.start, stop - part.start):
            position += len(piece)
            yield position, piece
        if position < part.end:
            return
        if part.end < part.joint <= end:
            yield part.joint, b"\n"


def _first_lines(text: bytes, lines: int) -> bytes:
    end = 0
    for _ in range(lines):
        end = text.find(b"\n", end) + 1
        if not end:
            return text
    return text[:end]


def _last_lines(text: bytes, lines: int) -> int:
    """Where the last lines begin."""
    newline = len(text) - text.endswith(b"\n")
    for _ in range(lines):
        newline = text.rfind(b"\n", 0, newline)
        if newline < 0:
            return 0
    return newline + 1


def _whole(text: bytes | bytearray) -> int:
    """The length of a text without a character of which only the beginning is there."""
    tail = bytes(text[-3:])
    return len(text) - len(tail) + codecs.utf_8_decode(tail, "replace")[1]


def _character(text: bytes) -> int:
    """Where the first character begins behind one of which only the end is there."""
    return next((index for index, byte in enumerate(text[:3]) if byte & 0xC0 != 0x80), len(text[:3]))


def shown(text: bytes) -> str:
    """A text as JSON carries it: bytes that are not UTF-8 become U+FFFD."""
    return text.decode("utf-8", "replace")


class PageQuery(BaseModel):
    """A page by lines: from start_offset on, before end_offset; descending, the last ones before end_offset."""

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


def _fitting(read: Callable[[int], Page], room: int) -> Page:
    """A page that an answer holds: JSON writes a control character with six bytes."""
    page = read(room)
    while len(json.dumps(shown(page.text), ensure_ascii=False).encode()) > _JSON_MAX:
        room //= 2
        page = read(room)
    return page
