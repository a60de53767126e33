"""Ranges of an answer's bytes (RFC 9110 14)."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from logkeep.errors import RangeNotSatisfiable

_RANGE: Final = re.compile(r"bytes\s*=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.ASCII | re.IGNORECASE)


class Range(NamedTuple):
    """Bytes [first, end) of `size`."""

    first: int
    end: int
    size: int

    def upto(self, most: int) -> "Range":
        """As much as there is room for: a 206 may be a part of the range (RFC 9110 15.3.7)."""
        return self._replace(end=min(self.end, self.first + most))

    @property
    def headers(self) -> dict[str, str]:
        return {"Accept-Ranges": "bytes", "Content-Range": f"bytes {self.first}-{self.end - 1}/{self.size}"}


def range_of(headers: Mapping[str, str], size: int, tag: str) -> Range | None:
    """The range that a request wants of `size` bytes with a strong tag; None if it wants them all.

    What is no range of bytes, is several, or is of other bytes (If-Range), is ignored, as RFC 9110 14.2 allows. Raises
    RangeNotSatisfiable if no byte is in it.
    """
    found = _RANGE.fullmatch(headers.get("range", ""))
    if not found or headers.get("if-range", tag).strip() != tag:
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    begin = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if first and last and int(last) < int(first):
        return None
    if begin >= size:
        raise RangeNotSatisfiable(size)
    return Range(begin, end, size)
