"""Sums over a stretch of a log, which can be added like the stretches themselves."""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add
from typing import Final, NamedTuple, Self

from logkeep.logs.fragment import Fragment, combine_crc32, crc32_of_rest


class Sums(NamedTuple):
    """The sums of some fragments in a row. Sizes are in bytes."""

    raw: int = 0
    packed: int = 0
    crc32: int = 0
    packed_crc32: int = 0
    lines: int = 0  # newlines
    fragments: int = 0

    @classmethod
    def of(cls, each: Fragment) -> Self:
        return cls(each.raw, each.packed, each.crc32, each.packed_crc32, each.lines, 1)

    @classmethod
    def total(cls, parts: Iterable["Sums"]) -> "Sums":
        return reduce(add, parts, cls())

    @classmethod
    def of_stored(cls, values: Mapping[str, int]) -> Self:
        return cls(**{name: values[name] for name in cls._fields})

    def __add__(self, after: "Sums") -> "Sums":  # type: ignore[override]  # it is no tuple for those who use it
        """The sums of this stretch and the one after it."""
        return Sums(
            self.raw + after.raw,
            self.packed + after.packed,
            combine_crc32(self.crc32, after.crc32, after.raw),
            combine_crc32(self.packed_crc32, after.packed_crc32, after.packed),
            self.lines + after.lines,
            self.fragments + after.fragments,
        )

    def rest(self, first: "Sums") -> "Sums":
        """The sums of what comes after a stretch `first` in this one."""
        raw, packed = self.raw - first.raw, self.packed - first.packed
        return Sums(
            raw,
            packed,
            crc32_of_rest(first.crc32, self.crc32, raw),
            crc32_of_rest(first.packed_crc32, self.packed_crc32, packed),
            self.lines - first.lines,
            self.fragments - first.fragments,
        )


NOTHING: Final = Sums()
