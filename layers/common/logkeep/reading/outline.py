"""The outline of a log: its sections, its first errors, where its levels are, and where nothing was said for long.

Sections are what GitLab's runner (https://docs.gitlab.com/ci/jobs/job_logs/) and GitHub's (`::group::`) write.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from logkeep.errors import Corrupt
from logkeep.logs.head import Head
from logkeep.logs.levels import LEVELS
from logkeep.logs.reader import LogReader
from logkeep.reading.ansi import Shown
from logkeep.reading.query import Query
from logkeep.reading.rows import Gap, Guarded, entry_at
from logkeep.reading.select import Found, Selection

SECTIONS_MAX: Final = 1000
ERRORS_MAX: Final = 10
STRETCHES: Final = 100
SILENCES_MAX: Final = 20
TEXT_MAX: Final = 500  # bytes of a line
_MARKS: Final = r"section_(start|end):[0-9]|(##\[|::)(end)?group(\]|::)"
_MARK: Final = re.compile(
    rb"section_(?P<kind>start|end):(?P<unix>[0-9]{1,11}):(?P<name>[\w.-]{1,255})(?:\[[^\]\n]*\])?\r?"
    rb"(?:\x1b\[0K)?(?P<header>[^\r\n]*?)(?=\x1b\[0Ksection_|[\r\n]|\Z)"
    rb"|(?:##\[|::)(?P<group>(?:end)?group)(?:\]|::)(?P<title>[^\r\n]*)"
)


class Section(BaseModel):
    """Lines [first_line, last_line]; a section that is not closed has no last line. `depth` 0 is in no other."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    depth: int
    first_line: int
    last_line: int | None
    offset: int
    duration: int | None = Field(description="Milliseconds.")


class Error(BaseModel):
    model_config = ConfigDict(frozen=True)

    line: int
    offset: int
    time: int | None  # epoch ms
    text: str


class Stretch(BaseModel):
    """So many bytes from an offset on, with their records by level."""

    model_config = ConfigDict(frozen=True)

    offset: int
    bytes: int
    line: int
    lines: int
    records: dict[str, int]


class Silence(BaseModel):
    """Nothing between two times: from the end of a fragment to the beginning of the next, at an offset."""

    model_config = ConfigDict(frozen=True)

    offset: int
    since: int
    until: int


class Outline(BaseModel):
    """`complete`: nothing is lost, and all was looked at in the time that a request has."""

    model_config = ConfigDict(frozen=True)

    sections: list[Section]
    errors: list[Error]
    stretches: list[Stretch]
    silences: list[Silence]
    complete: bool


class _Line(NamedTuple):
    text: bytes
    offset: int
    number: int
    time: int | None


def outline(reader: LogReader, head: Head, is_late: Callable[[], bool]) -> Outline:
    """The outline of what a log held when its head was read."""
    marks = Selection(reader, head, Query(grep=_MARKS), is_late, needs_times=True)
    sections = _sections(_lines(marks))
    errors = Selection(
        reader, head, Query.model_validate({"level": "ERROR", "limit": ERRORS_MAX}), is_late, needs_times=True
    )
    shown = [
        Error(line=each.number, offset=each.offset, time=each.time, text=_shown(each.text)) for each in _firsts(errors)
    ]
    stretches, silences, has_all = _of_rows(reader, head)
    is_complete = has_all and marks.is_over and not marks.gaps and not errors.gaps
    return Outline(sections=sections, errors=shown, stretches=stretches, silences=silences, complete=is_complete)


def _lines(selection: Selection) -> Iterator[_Line]:
    for found in selection:
        if isinstance(found, Found):
            for span in found.block.spans:
                begin, end = max(span.begin, found.begin), min(span.end, found.end)
                while begin < end:
                    after = found.block.text.find(b"\n", begin, end) + 1 or end
                    number = found.block.line + 1 + found.block.newlines(0, begin)
                    yield _Line(found.block.text[begin:after], found.block.offset + begin, number, span.time)
                    begin = after


def _firsts(selection: Selection) -> Iterator[_Line]:
    """The first line of each record."""
    for found in selection:
        if isinstance(found, Found):
            block = found.block
            for span in block.spans:
                if span.starts and found.begin <= span.begin < found.end:
                    end = block.text.find(b"\n", span.begin) + 1 or len(block.text)
                    number = block.line + 1 + block.newlines(0, span.begin)
                    yield _Line(block.text[span.begin : end], block.offset + span.begin, number, span.time)


def _sections(lines: Iterator[_Line]) -> list[Section]:
    sections: list[dict[str, Any]] = []
    opened: list[tuple[dict[str, Any], int | None]] = []
    for line in lines:
        for mark in _MARK.finditer(line.text):
            is_gitlab = mark["kind"] is not None
            time = int(mark["unix"]) * 1000 if is_gitlab else line.time
            if mark["kind"] == b"start" or mark["group"] == b"group":
                if len(sections) == SECTIONS_MAX:
                    continue
                title = _shown(mark["header"] if is_gitlab else mark["title"])
                section = {
                    "name": mark["name"].decode() if is_gitlab else title,
                    "title": title,
                    "depth": len(opened),
                    "first_line": line.number,
                    "last_line": None,
                    "offset": line.offset,
                    "duration": None,
                }
                sections.append(section)
                opened.append((section, time))
                continue
            name = mark["name"].decode() if is_gitlab else None
            place = next((at for at in reversed(range(len(opened))) if name in {None, opened[at][0]["name"]}), None)
            if place is not None:
                section, begun = opened[place]
                del opened[place:]
                section["last_line"] = line.number
                section["duration"] = None if time is None or begun is None else max(0, time - begun)
    return [Section(**each) for each in sections]


def _of_rows(reader: LogReader, head: Head) -> tuple[list[Stretch], list[Silence], bool]:
    """Levels and silences, from rows alone, and whether none is missing."""
    size = -(-head.end // STRETCHES) or 1
    stretches: list[Stretch] = []
    silences: list[Silence] = []
    has_all, last, begin, line = True, None, 0, 0
    length, lines, records = 0, 0, Counter[str]()
    try:
        rows = Guarded(reader, head, entry_at(reader, head, 0))
        while (row := rows.peek()) is not None:
            rows.take()
            if isinstance(row, Gap):
                has_all = False
                continue
            each = row.fragment
            if last is not None and each.first_time is not None and each.first_time > last:
                silences.append(Silence(offset=each.offset, since=last, until=each.first_time))
                if len(silences) > 2 * SILENCES_MAX:
                    silences = _longest(silences)
            last = last if each.last_time is None else each.last_time
            length, lines = length + each.raw, lines + each.lines
            records.update(each.levels)
            if length >= size:
                stretches.append(_stretch(begin, length, line, lines, records))
                begin, line, length, lines, records = each.end, each.line + each.lines, 0, 0, Counter()
    except Corrupt:
        has_all = False
    if length:
        stretches.append(_stretch(begin, length, line, lines, records))
    return stretches, sorted(_longest(silences), key=lambda each: each.offset), has_all


def _longest(silences: list[Silence]) -> list[Silence]:
    return sorted(silences, key=lambda each: each.since - each.until)[:SILENCES_MAX]


def _stretch(offset: int, length: int, line: int, lines: int, records: Counter[str]) -> Stretch:
    shown = {level: records[level] for level in LEVELS if records[level]}
    return Stretch(offset=offset, bytes=length, line=line + 1, lines=lines, records=shown)


def _shown(text: bytes) -> str:
    return Shown("strip").text(text.rstrip(b"\r\n"))[:TEXT_MAX].decode("utf-8", "replace").strip()
