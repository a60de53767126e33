"""Log records in text: where one begins, its level and its time.

A record is a line that begins with a timestamp, a level or a structured level field, together with the lines that
continue it (a stack trace, wrapped text). The first LINE_PREFIX bytes of a line decide, so a line may be cut anywhere
and can still be classified from its remembered beginning. Levels are DEBUG (with TRACE), INFO, WARN and ERROR.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

LINE_PREFIX: Final = 256  # bytes
LEVELS: Final = ("DEBUG", "INFO", "WARN", "ERROR")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_LEVELS: Final = {
    b"TRACE": "DEBUG",
    b"DEBUG": "DEBUG",
    b"INFO": "INFO",
    b"NOTICE": "INFO",
    b"WARN": "WARN",
    b"WARNING": "WARN",
    b"ERR": "ERROR",
    b"ERROR": "ERROR",
    b"SEVERE": "ERROR",
    b"CRITICAL": "ERROR",
    b"FATAL": "ERROR",
}

# Every repetition is bounded and their sum is less than LINE_PREFIX, so no match depends on bytes after the prefix.
# Three things make it fast. The pattern starts with a literal newline, so `re` finds lines with memchr. Optional parts
# are written (?:…|), which `re` tries without the bookkeeping of a repetition. A run is possessive if the pattern after
# it cannot match any of the run's characters.
_CLOCK: Final = rb"\d\d:\d\d:\d\d(?:[.,]\d{1,9}|)"
_TIME: Final = rb"\d{4}[-/]\d\d[-/]\d\d[T ]" + _CLOCK + rb"(?: ?(?:Z|[+-]\d\d:?\d\d)|)"
_COLOUR: Final = rb"\x1b\[[\d;]{0,9}m"  # ECMA-48 SGR
_WORD: Final = rb"(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING|)|ERR(?:OR|)|SEVERE|CRITICAL|FATAL)"
_OPENING: Final = rb"[\[(<]?+(?:" + _COLOUR + rb"[ \t]{0,4}+|)"  # of a level
_BRACKET: Final = rb"\[(?:" + _COLOUR + rb"|)"  # of a level in any case, which needs a closing bracket
_ANY_CASE: Final = rb"(?i:" + _WORD + rb")"
_GAP: Final = rb"(?:[ \t]{1,4}+|(?=\[))"
_FIELD: Final = _GAP + rb"(?:\[[^\]\n]{0,40}+\]|[-|]|[^\s\[]{1,40}+[ \t]{1,4}+[-|])"
_RECORD: Final = re.compile(
    rb"\n(?:" + _COLOUR + rb"|)"
    # The characters with which the alternatives begin. Most lines that continue a record fail here.
    rb"(?=[\d\[(<{\x1bTDINWESCFtml])(?:"
    # 2026-01-31 08:00:00,123 [main] DEBUG …: between time and level there are at most two bracketed or dash-separated
    # fields and a number (OpenStack's process id), or the stream and tag of a CRI log. A time with a date begins a
    # record even without a level; a time of day alone does not.
    rb"[\[(]?+(?:(?P<time>" + _TIME + rb")|" + _CLOCK + rb")"
    rb"(?:[\])]?+(?:" + _COLOUR + rb"|)"
    rb"(?:[ \t]{1,4}+std(?:out|err) [FP]|)"
    rb"(?:|" + _FIELD + rb"(?:|" + _FIELD + rb"))" + _GAP + rb"(?:\d\d{0,19}+" + _GAP + rb"|)"
    rb"(?:" + _OPENING + rb"(?P<after_time>" + _WORD + rb")\b"
    rb"|" + _BRACKET + rb"(?P<bracketed>" + _ANY_CASE + rb")[ \t]{0,2}[\]\x1b])"
    rb"|(?(time)|(?!)))"
    rb"|" + _OPENING + rb"(?P<first>" + _WORD + rb")(?=[\]):>|\s\x1b-])"
    rb"|" + _BRACKET + rb"(?P<first_bracketed>" + _ANY_CASE + rb")[ \t]{0,2}[\]\x1b]"
    rb"|\{[^\n]{0,180}?\"(?:level|severity|lvl)\"[ ]?:[ ]?\"(?P<json>[A-Za-z]{3,8})\""
    rb"|(?:(?:time|ts|msg)=[^\n]{0,160}? |)level=\"?(?P<logfmt>[A-Za-z]{3,8})\b"
    rb")"
)

# A line that does not plainly continue the record before: it is neither blank nor indented, nor of a Java stack trace.
# A Python traceback that is not indented may be of whatever wrote the log, so it does not count as a continuation.
_NEXT: Final = re.compile(
    rb"\n(?=\S)(?!(?:Caused by|Suppressed): "
    rb"|(?=[\w$]{1,60}\.)(?>[\w$.]{1,200})(?:(?<=Exception)|(?<=Error)|(?<=Throwable))(?=[:\r\n]))"
)


@dataclass(frozen=True, slots=True)
class ScanState:
    """What must be remembered of the text before a byte to count lines and levels from there."""

    level: str | None = None  # of the record in force; None before the first and after one without a level
    open_line: bytes = b""  # the first LINE_PREFIX bytes of the unfinished line


@dataclass(frozen=True, slots=True)
class Scan:
    """The counts of a stretch of text. A record counts in the stretch where its first line ends."""

    lines: int  # newlines
    levels: Counter[str]
    first_time: int | None  # epoch ms
    last_time: int | None
    after: ScanState


class Start:
    """Where a record begins: the index of the newline before it, and its level."""

    __slots__ = ("_match", "level", "place")

    def __init__(self, match: re.Match[bytes]) -> None:
        self._match = match
        self.place = match.start()
        self.level = _level(match)

    @property
    def time(self) -> int | None:
        """Epoch milliseconds of the record's own timestamp. Parsed on access, because few are needed."""
        return _epoch_ms(self._match["time"])


def scan(text: bytes, before: ScanState) -> Scan:
    """Count a stretch of text that follows `before`. The sums over all stretches do not depend on the cuts."""
    line_starts = b"\n" + before.open_line + text
    end = line_starts.rfind(b"\n")
    records = list(_RECORD.finditer(line_starts, 0, end + 1))
    levels = [_level(match) for match in records]
    if b"\n" not in text:
        open_line = (before.open_line + text)[:LINE_PREFIX]
    else:
        open_line = line_starts[end + 1 : end + 1 + LINE_PREFIX]
    return Scan(
        lines=text.count(b"\n"),
        levels=Counter(level for level in levels if level),
        first_time=_first_epoch_ms(records),
        last_time=_first_epoch_ms(reversed(records)),
        after=ScanState(levels[-1] if levels else before.level, open_line),
    )


def starts(lines: bytes, most: int | None = None) -> list[Start]:
    """The first `most` records (None: all) that begin after a newline of `lines`.

    The text after the last newline is no line yet and is ignored.
    """
    return [Start(match) for match in islice(_RECORD.finditer(lines, 0, lines.rfind(b"\n") + 1), most)]


class DebugFilter:
    """Drops DEBUG records, with the lines that plainly continue them, from text that arrives in stretches.

    Any other line is kept, even if its format is unknown: a line too many is better than a hidden error.
    """

    def __init__(self) -> None:
        self._dropping = False
        self._inside = False  # in the middle of a line that has been classified
        self._undecided = b""  # the beginning of a line, shorter than LINE_PREFIX

    @property
    def is_idle(self) -> bool:
        """Whether the next byte begins a line, and would be kept if that line continues the last record."""
        return not (self._dropping or self._inside or self._undecided)

    def feed(self, text: bytes) -> bytes:
        """The kept part of this stretch and of the text that was undecided before it."""
        data = self._undecided + text
        last_line = data.rfind(b"\n") + 1  # where it begins
        in_one_line = self._inside and not last_line
        is_undecided = len(data) - last_line < LINE_PREFIX and not in_one_line
        decided = last_line if is_undecided else len(data)
        self._undecided = data[decided:]
        kept = self._keep(data[:decided], at_line_start=not self._inside)
        self._inside = decided > last_line or in_one_line
        return kept

    def flush(self) -> bytes:
        """The kept part of a last line without a newline. Call it once, at the end of the text."""
        rest, self._undecided = self._undecided, b""
        return self._keep(rest + b"\n", at_line_start=True)[: len(rest)] if rest else b""

    def _keep(self, data: bytes, *, at_line_start: bool) -> bytes:
        lines = b"\n" + data if at_line_start else data
        first = 0 if at_line_start else 1  # from the newline before a line in `lines` to the line in `data`
        kept, start, after = [], 0, 0
        for match in _RECORD.finditer(lines):
            kept.append(self._kept_until(match.start(), lines, data, start, after, first))
            start, after = match.start() + first, match.start() + 1
            self._dropping = _level(match) == "DEBUG"
        kept.append(self._kept_until(len(lines), lines, data, start, after, first))
        return b"".join(kept)

    def _kept_until(self, end: int, lines: bytes, data: bytes, start: int, after: int, first: int) -> bytes:
        """The kept part of the lines from `start` to the record at `end`, of which those before `after` are decided."""
        if self._dropping:
            found = _NEXT.search(lines, after)
            if not found or found.start() >= end:
                return b""
            start, self._dropping = found.start() + first, False
        return data[start : end + first]


def _level(match: re.Match[bytes]) -> str | None:
    # The last group that matched is the level, or the time, which is no key of _LEVELS.
    return _LEVELS.get(match[match.lastindex or 0].upper())


def _first_epoch_ms(records: Iterable[re.Match[bytes]]) -> int | None:
    """The time of the first record that has one."""
    return next((time for match in records if (time := _epoch_ms(match["time"])) is not None), None)


def _epoch_ms(text: bytes | None) -> int | None:
    """Epoch milliseconds of a timestamp, UTC if it names no zone. None if it is missing or no date."""
    if not text:
        return None
    iso = text.decode("ascii").replace("/", "-").replace(",", ".")
    try:
        moment = datetime.fromisoformat(iso[:11] + iso[11:].replace(" ", ""))
    except ValueError:  # 2026-02-31 and the like
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)
