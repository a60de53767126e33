"""Queries of random logs, compared with a reader that reads everything."""

import re
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.logs.levels import LEVELS, starts
from logkeep.reading.answers import SEPARATOR, Texts
from logkeep.reading.query import Query
from logkeep.reading.select import Selection
from tests.examples import examples
from tests.memory import MemoryLogs

pytestmark = pytest.mark.unit
LOG = "app/queried"
MINUTE = 60_000
BASE = 1_785_225_600_000  # 2026-07-28T08:00:00Z


def record(minute: int, level: str, rest: str) -> bytes:
    return f"2026-07-28T08:{minute:02}:00Z {level} {rest}\n".encode()


record_lines = st.builds(
    record, st.integers(0, 9), st.sampled_from(("DEBUG", "INFO", "WARN", "ERROR")), st.sampled_from(("a", "ab", "b x"))
)
other_lines = st.sampled_from(
    (b"\n", b"a\n", b"\tat a.b(C.java)\n", b"  ab\n", b"ERROR: b\n", b"\xff\n", b"x" * 1100 + b" a\n", b"b\r\n")
)
texts = st.lists(st.one_of(record_lines, record_lines, other_lines), max_size=20).map(b"".join)
patterns = st.sampled_from((None, None, "a", "ab", "^a", "b$", "a|x", "^$", "b x", "zz", r"\Aa", r"C.*\z", "[^a]b"))


@st.composite
def queries(draw: st.DrawFn) -> dict[str, Any]:
    wanted: dict[str, Any] = {"grep": draw(patterns), "level": draw(st.sampled_from((None, None, *LEVELS)))}
    if wanted["grep"]:
        wanted["invert"] = draw(st.booleans())
        wanted["ignore_case"] = draw(st.booleans())
    for name in ("before", "after"):
        wanted[name] = draw(st.sampled_from((None, None, 0, 1, 2, 5)))
    length = draw(st.sampled_from((None, None, "tail", "limit")))
    if length:
        wanted[length] = draw(st.integers(int(length == "limit"), 6))
    if draw(st.booleans()):
        since, until = draw(st.sampled_from(((None, 5), (3, None), (2, 6), (None, None))))
        wanted |= {"since": since and BASE + since * MINUTE, "until": until and BASE + until * MINUTE}
    if draw(st.integers(0, 3)) == 0:
        first = draw(st.integers(1, 12))
        wanted["lines"] = draw(st.sampled_from((f"{first}", f"{first}-", f"{first}-{first + 4}")))
    return {name: value for name, value in wanted.items() if value is not None}


@st.composite
def logs(draw: st.DrawFn) -> tuple[MemoryLogs, bytes]:
    """A log, appended in pieces, some of which are packed."""
    text = draw(texts) + draw(st.sampled_from((b"", b"", b"a", b"2026-07-28T08:05:00Z ERROR a")))
    memory = MemoryLogs()
    memory.append(LOG)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pack_at = draw(st.integers(0, 8))
    begin = 0
    for number, end in enumerate([*cuts, len(text)]):
        memory.append(LOG, text[begin:end])
        begin = end
        if number == pack_at and end:
            memory.pack(LOG)
    return memory, text


@dataclass
class Line:
    text: bytes
    offset: int
    level: str | None
    time: int | None
    begins: bool


def lines_of(text: bytes, head: Head) -> list[Line]:
    found = {start.place: start for start in starts(b"\n" + text + b"\n", 0, head.time_basis(head.received_at or 0))}
    level: str | None = None
    time: int | None = None
    lines, offset = [], 0
    for line in re.findall(rb"[^\n]*\n|[^\n]+", text):
        start = found.get(offset)
        if start:
            level, time = start.level, time if start.time is None else start.time
        shown = head.received_at if head.greatest_time is None else time
        lines.append(Line(line, offset, level, shown, start is not None))
        offset += len(line)
    return lines


def naive(text: bytes, head: Head, query: Query) -> tuple[bytes, int]:
    """What the query answers, and how much matches."""
    lines = lines_of(text, head)
    first, last = query.lines or (1, None)
    window = [
        number
        for number, line in enumerate(lines)
        if number + 1 >= first
        and (last is None or number < last)
        and (query.since is None or (line.time is not None and line.time >= query.since))
        and (query.until is None or line.time is None or line.time < query.until)
    ]
    matching = [number for number in window if matches(lines[number], query)]
    counted = [lines[number].begins if query.counts_records else True for number in matching]
    next_match = len(lines)
    if query.tail is not None:
        while sum(counted) > query.tail or (not query.tail and counted):
            counted.pop(0)
            matching.pop(0)
        # The lines of a record whose beginning is left out are left out, too.
        while query.tail == sum(counted) and counted and not counted[0]:
            counted.pop(0)
            matching.pop(0)
    if query.limit is not None and sum(counted) > query.limit:
        while sum(counted) > query.limit:
            counted.pop()
            next_match = matching.pop()
    if query.limit is not None and sum(counted) == query.limit:
        pass
    wanted = set()
    for number in matching:
        at = window.index(number)
        wanted |= set(window[max(0, at - query.before_lines) : at + 1])
        wanted |= {each for each in window[at : at + 1 + query.after_lines] if each < next_match}
    shown, before = b"", None
    for number in sorted(wanted):
        if (query.before_lines or query.after_lines) and before is not None and number != before + 1:
            shown += SEPARATOR
        shown += lines[number].text
        before = number
    return shown, sum(counted)


def matches(line: Line, query: Query) -> bool:
    if query.level is not None and line.level not in (query.levels or ()):
        return False
    if query.grep is None:
        return True
    flags = re.IGNORECASE if query.ignore_case else 0
    source = query.grep.replace(r"\z", r"\Z").encode()
    found = re.search(source, line.text.removesuffix(b"\n"), flags)
    return (found is None) == query.invert


@examples(120)
@given(logs(), queries())
def test_a_query_answers_what_a_reader_of_everything_finds(log: tuple[MemoryLogs, bytes], wanted: dict[str, Any]):
    memory, text = log
    head, query = memory.head(LogId.parse(LOG)), Query.model_validate(wanted)
    selection = Selection(memory, head, query, lambda: False)
    found = b"".join(Texts(selection, query, 1 << 20))
    expected, matched = naive(text, head, query)
    assert found == expected
    assert selection.matched == matched
    counting = Selection(memory, head, Query.model_validate(wanted | {"count": True}), lambda: False)
    assert list(counting) == []
    assert counting.matched == matched


@examples(40)
@given(logs(), queries(), st.sampled_from((7, 30, 90, 400)), st.booleans())
def test_pages_joined_are_the_answer(log, wanted: dict[str, Any], room: int, late: bool):
    memory, text = log
    wanted = {name: value for name, value in wanted.items() if name != "limit"}
    head, query = memory.head(LogId.parse(LOG)), Query.model_validate(wanted)
    expected, _ = naive(text, head, query)
    found, place, pages = b"", None, 0
    while True:
        selection = Selection(memory, head, query, lambda: late, place=place)
        page = Texts(selection, query, room)
        found += b"".join(page)
        place, pages = page.place, pages + 1
        if page.is_over:
            break
        assert pages < 40 * len(text) + 10
    assert found == expected


@examples(40)
@given(logs(), queries(), st.integers(1, 3))
def test_limited_pages_joined_are_the_answer(log, wanted: dict[str, Any], limit: int):
    memory, text = log
    wanted = {name: value for name, value in wanted.items() if name not in {"limit", "tail"}}
    head = memory.head(LogId.parse(LOG))
    expected, matched = naive(text, head, Query.model_validate(wanted))
    query = Query.model_validate(wanted | {"limit": limit})
    found, place, total = b"", None, 0
    for _ in range(5000):
        selection = Selection(memory, head, query, lambda: False, place=place)
        page = Texts(selection, query, 1 << 20)
        found += b"".join(page)
        total += selection.matched
        place = page.place
        if page.is_over:
            break
    assert found == expected
    assert total == matched


@examples(40)
@given(logs(), queries(), st.booleans())
def test_backward_the_lines_are_those_of_forward(log, wanted: dict[str, Any], late: bool):
    memory, text = log
    names = {"grep", "level", "invert", "ignore_case", "since", "until", "lines"}
    wanted = {name: value for name, value in wanted.items() if name in names}
    head, query = memory.head(LogId.parse(LOG)), Query.model_validate(wanted | {"order": "desc"})
    expected, matched = naive(text, head, Query.model_validate(wanted))
    found, place, total = [], None, 0
    for _ in range(5000):
        selection = Selection(memory, head, query, lambda: late, place=place)
        page = Texts(selection, query, 1 << 20)
        found += list(page)
        place, total = page.place, total + selection.matched
        if page.is_over:
            break
    assert b"".join(reversed(found)) == expected
    assert total == matched


def test_a_tail_that_is_not_found_in_time_says_so():
    memory = MemoryLogs()
    for number in range(20):
        head = memory.append(LOG, b"a line, %d\n" % number)
    query = Query.model_validate({"grep": "line", "tail": 10})
    selection = Selection(memory, head, query, lambda: True)
    first = b"".join(Texts(selection, query, 1 << 20))
    assert selection.is_short
    assert first
    assert b"a line, 10\n" not in first


def test_lines_far_longer_than_a_fragment_are_found_in_pieces():
    memory, piece = MemoryLogs(), b"x" * (1 << 20)
    for text in (b"before\n", *[piece] * 6, b"needle", piece, b"\nafter\n"):
        head = memory.append(LOG, text)
    query = Query.model_validate({"grep": "needle"})
    selection = Selection(memory, head, query, lambda: False)
    assert b"needle" in b"".join(Texts(selection, query, 1 << 25))
    assert selection.matched == 1
    whole = Query.model_validate({"lines": "2"})
    assert (
        b"".join(Texts(Selection(memory, head, whole, lambda: False), whole, 1 << 25))
        == piece * 6 + b"needle" + piece + b"\n"
    )
