"""Calls scanner.c, which reads the records of a text. `python -m logkeep_scanner` builds it from the formats."""

import ctypes
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

# Raise it when other records, levels or times may be found in a text: what was counted before is then not relied on.
GRAMMAR: Final = 1
LINE_PREFIX: Final = 1024  # bytes of a line that decide what it is
LEVELS: Final = ("DEBUG", "INFO", "WARN", "ERROR")  # numbered from 1 in scanner.c; 0 is none
_LEVEL_OF: Final = (None, *LEVELS)
_LIBRARY: Final = Path(__file__).with_name("_scanner.so")
_RECORD: Final = struct.Struct("@qqBB6x")  # of scanner.c
_BATCH: Final = 4096  # records of one call


class _Time(ctypes.Structure):
    _fields_ = (("ms", ctypes.c_int64), ("zone", ctypes.c_uint8))


class _State(ctypes.Structure):
    _fields_ = (("level", ctypes.c_uint8), ("partial", ctypes.c_uint8))


class _Sums(ctypes.Structure):
    _fields_ = (
        ("lines", ctypes.c_int64),
        ("levels", ctypes.c_int64 * (len(LEVELS) + 1)),
        ("first", _Time),
        ("last", _Time),
        ("least", _Time * 3),
        ("greatest", _Time * 3),
    )


class Time(NamedTuple):
    """Milliseconds since 1970, in a zone of times.Zone."""

    ms: int
    zone: int


class Record(NamedTuple):
    """A record: the index of its first byte, its level and its time."""

    place: int
    level: str | None
    time: Time


class Before(NamedTuple):
    """What must be known of the lines before a text."""

    level: str | None = None  # of the record in force
    partial: int = 0  # the stream of which the line before is an unfinished one of CRI: 1 standard output, 2 error


class Sums(NamedTuple):
    """What the lines of texts hold."""

    lines: int
    levels: dict[str, int]
    first: Time
    last: Time
    extremes: list[Time]  # the least and the greatest of each zone


@cache
def _scan() -> Any:
    scan = ctypes.CDLL(str(_LIBRARY)).logkeep_scan
    scan.restype = ctypes.c_int64
    scan.argtypes = (
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.POINTER(_State),
        ctypes.POINTER(_Sums),
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_int64),
    )
    return scan


class Scanner:
    """Reads texts of whole lines, one after the other.

    No time without a year is later than `latest` (times.latest_local).
    """

    def __init__(self, latest: int, before: Before) -> None:
        self._latest = latest
        self._state = _State(_LEVEL_OF.index(before.level), before.partial)
        self._sums = _Sums()

    def read(self, text: bytes, start: int, end: int) -> None:
        """Read the lines of a text from `start` to `end`, which is after a newline."""
        self._call(text, start, end, None, 0)

    def records(self, text: bytes, start: int, end: int, *, only_turns: bool = False) -> Iterator[Record]:
        """Read these lines, and answer the records that begin in them, or those with which DEBUG begins or ends."""
        for place, ms, level, zone in self.plain_records(text, start, end, only_turns=only_turns):
            yield Record(place, _LEVEL_OF[level], Time(ms, zone))

    def plain_records(
        self, text: bytes, start: int, end: int, *, only_turns: bool = False
    ) -> Iterator[tuple[int, int, int, int]]:
        """The same, faster: the place, milliseconds, the number of the level (0 is none), the zone."""
        found = bytearray(_BATCH * _RECORD.size)
        buffer = (ctypes.c_char * len(found)).from_buffer(found)
        while start < end:
            written, used = self._call(text, start, end, buffer, _BATCH, only_turns=only_turns)
            for place, ms, level, zone in _RECORD.iter_unpack(memoryview(found)[: written * _RECORD.size]):
                yield start + place, ms, level, zone
            start += used

    def after(self) -> Before:
        """What is known after the lines that were read."""
        return Before(_LEVEL_OF[self._state.level], self._state.partial)

    def sums(self) -> Sums:
        """What the lines that were read hold."""
        sums = self._sums
        return Sums(
            lines=sums.lines,
            levels={level: count for level, count in zip(LEVELS, sums.levels[1:], strict=True) if count},
            first=_time(sums.first),
            last=_time(sums.last),
            extremes=[_time(each) for ends in (sums.least, sums.greatest) for each in ends if each.zone],
        )

    def _call(
        self, text: bytes, start: int, end: int, records: Any, most: int, *, only_turns: bool = False
    ) -> tuple[int, int]:
        if end > len(text) or (end > start and text[end - 1] != 10):
            raise ValueError("not whole lines")
        used = ctypes.c_int64()
        place = ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value or 0
        written = _scan()(
            place + start, end - start, self._latest, self._state, self._sums, records, most, only_turns, used
        )
        return written, used.value


def _time(time: _Time) -> Time:
    return Time(time.ms, time.zone)
