"""Lines that were sent, by their CRC-32: so the text is known again after an editor changed some of them."""

import heapq
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

_SAMPLE: Final = 64  # lines by which a text is recognized
_RECENT: Final = 16  # the last lines, by which the place in it is found
_NEAR: Final = 8  # of these last lines, at least one must be there
_EVIDENCE: Final = 3  # different lines; fewer say nothing, because programs repeat themselves


@dataclass(frozen=True)
class Lines:
    """A sample of the lines of a text, its last lines, and its last half line."""

    count: int = 0
    sample: tuple[int, ...] = ()  # the least of all CRC-32
    recent: tuple[int, ...] = ()
    rest_size: int = 0
    rest_crc32: int = 0

    @classmethod
    def load(cls, fields: Mapping[str, Any]) -> Self:
        tuples = {name: tuple(fields[name]) for name in ("sample", "recent") if name in fields}
        return cls(**{**fields, **tuples})

    def grown(self, text: bytes) -> "Lines":
        head, *others = text.split(b"\n")
        crc32, size = zlib.crc32(head, self.rest_crc32), self.rest_size + len(head)
        if not others:
            return Lines(self.count, self.sample, self.recent, size, crc32)
        rest = others.pop()
        hashes = [crc32, *map(zlib.crc32, others)]
        return Lines(
            self.count + len(hashes),
            tuple(heapq.nsmallest(_SAMPLE, {*self.sample, *hashes} - {0})),  # 0 is the empty line
            (*self.recent, *hashes[-_RECENT:])[-_RECENT:],
            len(rest),
            zlib.crc32(rest),
        )

    def place_in(self, blocks: Callable[[], Iterator[bytes]]) -> tuple[int, bool] | None:
        """The position in another text after what it has of this one, and whether the last half line continues there.

        None if the other text is no edited copy of this one.
        """
        if len(self.sample) < _EVIDENCE:
            return None
        there = _hashes(blocks())
        if 2 * len(set(self.sample).intersection(there)) < len(self.sample):
            return None
        if (number := self._after(there)) is None:
            return None
        return _position(blocks(), number, self.rest_size, self.rest_crc32)

    def _after(self, there: "array[int]") -> int | None:
        """The number of lines of the other text that come before what was not sent."""
        recent = self.recent
        for back, wanted in enumerate(reversed(recent[-_NEAR:])):
            upto = len(recent) - back
            expected = self.count - 1 - back
            best: tuple[int, int, int] | None = None
            for at, found in enumerate(there):
                if found == wanted:
                    differ = (n for n in range(1, upto) if at < n or there[at - n] != recent[upto - 1 - n])
                    same = next(differ, min(upto, at + 1))
                    best = max(best or (0, 0, 0), (same, -abs(at - expected), at))
            if best:
                # Where no line was added or removed, those after it were changed in place: they were sent.
                return self.count if best[2] == expected and len(there) >= self.count else best[2] + 1
        return None


def _hashes(blocks: Iterator[bytes]) -> "array[int]":
    """The CRC-32 of each whole line."""
    hashes = array("I")
    rest = 0
    for block in blocks:
        head, *others = block.split(b"\n")
        rest = zlib.crc32(head, rest)
        if others:
            last = others.pop()
            hashes.append(rest)
            hashes.extend(map(zlib.crc32, others))
            rest = zlib.crc32(last)
    return hashes


def _position(blocks: Iterator[bytes], number: int, rest_size: int, rest_crc32: int) -> tuple[int, bool]:
    """Where line `number` begins, or where its first bytes end, if they are these."""
    position = 0
    for block in blocks:
        if (lines := block.count(b"\n")) < number:
            number -= lines
            position += len(block)
            continue
        at = 0
        for _ in range(number):
            at = block.index(b"\n", at) + 1
        rest = block[at:] + next(blocks, b"")
        is_there = zlib.crc32(rest[:rest_size]) == rest_crc32
        return position + at + (rest_size if is_there else 0), is_there
    return position, not rest_size
