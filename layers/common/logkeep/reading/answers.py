"""What a selection is as text, and as JSON lines."""

import base64
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from logkeep import ndjson
from logkeep.logs.head import Head
from logkeep.reading.ansi import Ansi, Shown
from logkeep.reading.cursors import cursor_at
from logkeep.reading.query import Query
from logkeep.reading.rows import Gap
from logkeep.reading.select import Found, Place, Selection

SEPARATOR: Final = b"--\n"  # grep's, between lines that are not neighbours, if there is context
PIECE_MAX: Final = 256 << 10  # bytes of a line in one JSON line
_LAST_MAX: Final = 16 << 10  # of the JSON line that ends an answer


class Texts:
    """The text of a selection, at most `room` bytes of it. Afterwards, `place` is where the next one continues."""

    def __init__(self, selection: Selection, query: Query, room: int, ansi: Ansi = "raw") -> None:
        self.place = selection.place
        self.is_over = False
        self._selection = selection
        self._query = query
        self._room = room
        self._shown = Shown(ansi)

    def __iter__(self) -> Iterator[bytes]:
        for separator, found, begin, end in self._pieces():
            text = found.block.text
            whole = text if begin == 0 and end == len(text) else text[begin:end]
            yield separator + self._shown.text(whole) if separator else self._shown.text(whole)
        if reset := self._shown.end():
            yield reset

    def _pieces(self) -> Iterator[tuple[bytes, Found, int, int]]:
        query, left = self._query, self._room
        end = self.place.printed
        for found in self._selection:
            if isinstance(found, Gap):
                continue
            separator = SEPARATOR if query.has_context and end is not None and end != found.offset else b""
            room = left - len(separator)
            if found.end - found.begin <= room:
                yield separator, found, found.begin, found.end
                left, end = room - (found.end - found.begin), found.stop
                continue
            if query.order == "desc":
                if left == self._room:
                    yield b"", found, found.begin, found.begin + left
                self.place = Place(found.offset if left == self._room else found.stop)
                return
            at = found.block.text.rfind(b"\n", found.begin, found.begin + max(0, room)) + 1
            at = at or found.begin + (max(1, room) if left == self._room else 0)
            if at > found.begin:
                yield separator, found, found.begin, at
            place = found.place(at, query)
            self.place = place if at > found.begin else place._replace(printed=end)
            return
        self.place, self.is_over = self._selection.place, self._selection.is_over


class Records:
    """The lines of a selection as JSON lines, at most `room` bytes of text, and of JSON `json_room`.

    `{"cursor", "offset", "line", "time", "level", "text"}`: the cursor after it, its first byte, its number, epoch
    milliseconds. `data` (base64) is in the place of `text` if that is not UTF-8. A very long line is cut into pieces,
    all but the last with `"cut": true`. Lines of context have `"context": true`. `{"cursor", "offset", "lost"}`
    is text that is lost, in bytes. last() is the last line.
    """

    def __init__(
        self, selection: Selection, head: Head, query: Query, room: int, json_room: int, ansi: Ansi = "raw"
    ) -> None:
        self.place = selection.place
        self.is_over = False
        self._selection = selection
        self._head = head
        self._query = query
        self._room = room
        self._json_room = json_room - _LAST_MAX
        self._shown = Shown(ansi)

    def __iter__(self) -> Iterator[bytes]:
        left, json_left = self._room, self._json_room
        is_first = True
        for found in self._selection:
            if isinstance(found, Gap):
                after = cursor_at(self._head, found.offset + found.size)
                yield ndjson.line(cursor=after, offset=found.offset, lost=found.size)
                continue
            for begin, end, fields in self._lines(found):
                size = end - begin
                if size > left and not is_first:
                    self.place = self._place_before(found, begin)
                    return
                end = min(end, begin + left)
                place = self._place_after(found, end)
                line = self._line(found.block.text[begin:end], place, fields, is_cut=fields["cut"] or size > left)
                if len(line) > json_left:
                    self.place = self._place_before(found, begin)
                    return
                yield line
                self.place, is_first = place, False
                left, json_left = left - (end - begin), json_left - len(line)
                if size > end - begin:
                    return
        self.place, self.is_over = self._selection.place, self._selection.is_over

    def _place_before(self, found: Found, begin: int) -> Place:
        if self._query.order == "desc":
            return Place(found.stop)
        return found.place(begin, self._query)._replace(printed=self.place.printed)

    def _place_after(self, found: Found, end: int) -> Place:
        if self._query.order == "desc":
            return Place(found.offset)
        return found.place(end, self._query)

    def _lines(self, found: Found) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """The lines that were found, or pieces of them, with what is said of each."""
        block, at = found.block, found.begin
        number = block.line + 1 + block.newlines(0, at)
        spans = iter(block.spans)
        span = next(spans)
        while at < found.end:
            while span.end <= at:
                span = next(spans)
            end = block.text.find(b"\n", at, found.end) + 1 or found.end
            is_cut = end - at > PIECE_MAX
            end = min(end, at + PIECE_MAX)
            fields: dict[str, Any] = {"offset": block.offset + at, "line": number, "time": span.time}
            fields |= {"level": span.level, "cut": is_cut, "context": found.reason in {"before", "after"}}
            yield at, end, fields
            at, number = end, number + (not is_cut)

    def _line(self, text: bytes, place: Place, fields: dict[str, Any], *, is_cut: bool) -> bytes:
        shown = self._shown.text(text.removesuffix(b"\n"))
        told: dict[str, Any] = {"cursor": cursor_at(self._head, place)}
        told |= {name: value for name, value in fields.items() if value or name not in {"cut", "context"}}
        told |= {"cut": True} if is_cut else {}
        try:
            return ndjson.line(**told, text=shown.decode())
        except UnicodeDecodeError:
            return ndjson.line(**told, data=base64.b64encode(shown).decode())

    def last(self) -> bytes:
        """The line that ends an answer."""
        return ndjson.line(**summary_of(self._selection, self._head, self._query, self.place, is_over=self.is_over))


def summary_of(selection: Selection, head: Head, query: Query, place: Place, *, is_over: bool) -> dict[str, Any]:
    """What is said at the end of an answer, or in its headers."""
    return {
        "cursor": cursor_at(head, place),
        "offset": place.offset,
        "end": True,
        "more": not is_over,
        "matched": selection.matched if is_over or query.count else None,
        "complete": is_over and not selection.gaps and not selection.is_short,
        "scanned_bytes": selection.scanned,
        "gaps": [{"offset": each.offset, "bytes": each.size} for each in islice(selection.gaps, _GAPS_MAX)],
        "state": head.state.value,
    }


_GAPS_MAX: Final = 100
