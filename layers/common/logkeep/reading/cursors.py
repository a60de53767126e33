"""Cursors: where a reader of a log continues. A cursor of a log that was deleted is none of the next with its id."""

import re
import zlib
from typing import Final

from logkeep.errors import Invalid
from logkeep.logs.head import Head
from logkeep.reading.select import Place

# The offset; with what is wanted there, if that is more than the line that begins there; and a check.
_WANTED: Final = r"(?:\.([0-9a-f]{1,3})(?:\.([0-9a-f]{1,13}))?(i?))?"
_CURSOR: Final = re.compile(rf"([0-9a-f]{{1,13}}){_WANTED}-([0-9a-f]{{8}})", re.ASCII)


def cursor_at(head: Head, place: Place | int) -> str:
    """The cursor with which a reader of a log continues."""
    offset, after, printed, inside = place if isinstance(place, Place) else Place(place)
    rest = ""
    if after or inside or printed is not None:
        rest = f".{after:x}{'' if printed is None else f'.{offset - printed:x}'}{'i' * inside}"
    return f"{offset:x}{rest}-{_check(head, offset, rest):08x}"


def place_of(head: Head, cursor: str) -> Place:
    """The place of a cursor. Raises Invalid if it is not a cursor of this log, or of one with its id before it."""
    found = _CURSOR.fullmatch(cursor)
    place = Place(0)
    if found:
        offset = int(found[1], 16)
        printed = None if found[3] is None else offset - int(found[3], 16)
        place = Place(offset, int(found[2] or "0", 16), printed, bool(found[4]))
    if not found or cursor != cursor_at(head, place):
        raise Invalid("cursor", "is not a cursor of this log, which may have been deleted and begun anew")
    return place


def _check(head: Head, offset: int, rest: str) -> int:
    return zlib.crc32(f"{head.log_id}@{head.birth}@{offset}{rest}".encode())
