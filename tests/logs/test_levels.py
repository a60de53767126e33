import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.logs.levels import LINE_PREFIX, DebugFilter, ScanState, scan
from tests.samples import (
    RECORDS,
    any_bytes,
    counts_of,
    cut,
    cuts_of,
    level_of,
    lines_of,
    log_texts,
    without_debug,
)

pytestmark = pytest.mark.unit


def filtered(pieces: list[bytes]) -> bytes:
    debug = DebugFilter()
    return b"".join([*map(debug.feed, pieces), debug.flush()])


@pytest.mark.parametrize(("line", "level"), RECORDS.items())
def test_the_level_of_a_record_stands_where_its_format_puts_it(line: bytes, level: str | None):
    assert level_of(line) == level


@pytest.mark.parametrize(("line", "level"), RECORDS.items())
def test_a_carriage_return_before_the_newline_changes_no_level(line: bytes, level: str | None):
    assert level_of(line + b"\r") == level


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("TRACE", "DEBUG"),
        ("DEBUG", "DEBUG"),
        ("INFO", "INFO"),
        ("NOTICE", "INFO"),
        ("WARN", "WARN"),
        ("WARNING", "WARN"),
        ("ERR", "ERROR"),
        ("ERROR", "ERROR"),
        ("SEVERE", "ERROR"),
        ("CRITICAL", "ERROR"),
        ("FATAL", "ERROR"),
    ],
)
@pytest.mark.parametrize("form", ["2026-01-31 08:00:00 {} x", "[{}] x", "{}: x", '{{"level":"{}"}}', "level={} msg=x"])
def test_every_name_of_a_level_is_known_in_every_format(form: str, word: str, level: str):
    assert level_of(form.format(word).encode()) == level


@pytest.mark.parametrize(
    ("text", "time"),
    [
        (b"2026-01-31T08:00:00Z x", 1769846400000),
        (b"2026-01-31 08:00:00 x", 1769846400000),
        (b"2026-01-31 08:00:00,123 INFO x", 1769846400123),
        (b"2026/01/31 08:00:00.123999999 INFO x", 1769846400123),
        (b"2026-01-31T08:00:00.5+08:00 x", 1769817600500),
        (b"2026-01-31 08:00:00 +0800 x", 1769817600000),
        (b"2026-01-31 08:00:00 Z x", 1769846400000),
        (b"[2026-01-31 08:00:00] x", 1769846400000),
        (b"1969-12-31 23:59:59.999 x", -1),
        (b"0001-01-01 00:00:00+14:00 x", -62135647200000),
        (b"9999-12-31 23:59:59.999999-23:59 x", 253402387139999),
        (b"2026-02-31 08:00:00 no such day", None),
        (b"2026-01-31 25:00:00 no such hour", None),
        (b"08:00:00 INFO no date", None),
        (b"\x1b[2m2026-01-31 08:00:00\x1b[0m INFO x", 1769846400000),
        (b"INFO: no time", None),
    ],
)
def test_a_timestamp_is_read_to_the_millisecond_and_is_utc_without_a_zone(text: bytes, time: int | None):
    found = scan(text + b"\n", ScanState())
    assert (found.first_time, found.last_time) == (time, time)


def test_every_millisecond_of_a_second_is_read_as_it_is_written():
    for ms in range(1000):
        assert scan(b"2026-01-31 08:00:00.%03d x\n" % ms, ScanState()).first_time == 1769846400000 + ms


def test_first_and_last_time_are_of_the_records_that_have_one():
    text = (
        b"INFO: before any time\n"
        b"2026-02-31 00:00:00 no such day\n"
        b"2026-01-31 08:00:00 first\n"
        b"2026-01-31 09:00:00 last\n"
        b"2026-02-31 00:00:00 no such day\n"
        b"INFO: after all times\n"
    )
    found = scan(text, ScanState())
    assert (found.first_time, found.last_time) == (1769846400000, 1769850000000)


@given(cuts_of(any_bytes))
def test_what_is_counted_does_not_depend_on_where_the_text_was_cut(pieces: list[bytes]):
    whole = scan(b"".join(pieces), ScanState())
    state, lines, counted, times = ScanState(), 0, Counter[str](), []
    for piece in pieces:
        found = scan(piece, state)
        state, lines, counted = found.after, lines + found.lines, counted + found.levels
        times += [time for time in (found.first_time, found.last_time) if time is not None]
    assert (lines, counted, state) == (whole.lines, whole.levels, whole.after)
    assert (times[0] if times else None, times[-1] if times else None) == (whole.first_time, whole.last_time)


@given(any_bytes)
def test_lines_and_levels_are_what_a_reader_counts_line_by_line(text: bytes):
    found = scan(text, ScanState())
    whole = [line for line in lines_of(text) if line.endswith(b"\n")]
    assert found.lines == len(whole)
    assert dict(found.levels) == counts_of(whole)
    in_force = [level for level in map(level_of, whole) if level != "continuation"]
    assert found.after.level == (in_force[-1] if in_force else None)
    assert found.after.open_line == text.rpartition(b"\n")[2][:LINE_PREFIX]


@given(cuts_of(any_bytes))
def test_the_filter_keeps_what_a_reader_keeps_line_by_line(pieces: list[bytes]):
    assert filtered(pieces) == without_debug(b"".join(pieces))


@given(log_texts, st.integers(1, 7))
def test_the_filter_may_be_fed_a_few_bytes_at_a_time(text: bytes, step: int):
    assert filtered(cut(text, range(0, len(text), step))) == without_debug(text)


@given(cuts_of(log_texts))
def test_an_idle_filter_holds_nothing_back_and_keeps_what_continues(pieces: list[bytes]):
    debug, fed, kept = DebugFilter(), b"", b""
    for piece in pieces:
        fed, kept = fed + piece, kept + debug.feed(piece)
        if debug.is_idle:
            assert fed == b"" or fed.endswith(b"\n")
            assert kept == without_debug(fed)
            assert without_debug(fed + b"\tcontinued\n") == kept + b"\tcontinued\n"


@given(cuts_of(log_texts))
def test_the_filter_never_holds_back_more_than_the_start_of_a_line(pieces: list[bytes]):
    debug, fed, kept = DebugFilter(), b"", b""
    for piece in pieces:
        fed, kept = fed + piece, kept + debug.feed(piece)
        assert len(without_debug(fed)) - len(kept) < LINE_PREFIX


def test_a_stack_trace_goes_with_its_record():
    trace = b"java.lang.Error: x\n\tat a.B.c(B.java:1)\nCaused by: y\n\n\t... 3 more\n"
    debug = b"2026-01-31 08:00:00 DEBUG it failed\n" + trace
    error = b"2026-01-31 08:00:01 ERROR it failed\n" + trace
    assert filtered([trace + debug + error + debug]) == trace + error


def test_a_record_without_a_level_is_kept_and_ends_a_debug_record():
    text = b"DEBUG: x\n2026-01-31 08:00:00 no level\n  continued\n"
    assert filtered([text]) == b"2026-01-31 08:00:00 no level\n  continued\n"


@pytest.mark.parametrize(
    "line",
    [
        b"E0131 08:00:00.000000       7 main.go:12] lost",
        b"Jan 31 08:00:00 host app[7]: ERROR lost",
        b"npm ERR! code 1",
        b"lib.c:3:1: error: lost",
        b"make: *** [Makefile:9: all] Error 2",
        b"FAILED tests/test_it.py::test_it",
        b'{"msg":"lost"}',
        b"Traceback (most recent call last):",
        b"Error: lost",
    ],
    ids=lambda line: line.decode()[:20],
)
def test_a_line_of_a_format_that_is_not_known_is_kept_after_a_debug_record(line: bytes):
    rest = line + b"\n  indented\n\nthe end\n"
    for step in (1, 7, 1000):
        text = b"INFO: x\n[DEBUG] y\n  of y\n\n" + rest
        assert filtered(cut(text, range(0, len(text), step))) == b"INFO: x\n" + rest


def test_a_text_about_a_level_is_no_record_of_that_level():
    text = b"2026-01-31 08:00:00 Enabling DEBUG mode\n2026-01-31 08:00:01 DEBUG is on\n"
    assert filtered([text]) == b"2026-01-31 08:00:00 Enabling DEBUG mode\n"


def test_only_the_first_bytes_of_a_line_decide():
    def line(size: int) -> bytes:
        start = b'{"a":"'
        return start + b"x" * (size - len(start)) + b'","level":"debug"}\n'

    dropped = [size for size in range(10, 2 * LINE_PREFIX) if not filtered([line(size)])]
    assert dropped == list(range(10, dropped[-1] + 1))
    assert dropped[-1] < LINE_PREFIX


@pytest.mark.parametrize("line", [b"INFO: " + b"x" * 2000, b"DEBUG: " + b"x" * 2000], ids=["kept", "dropped"])
def test_a_stretch_of_nothing_changes_nothing_within_a_long_line(line: bytes):
    rest = b"DEBUG: still the same line\nDEBUG: another\nINFO: x\n"
    for pieces in ([line, b"", rest], [b"", line, b"", b"", rest, b""], [line[:5], b"", line[5:], b"", rest]):
        assert filtered(pieces) == without_debug(line + rest)


@pytest.mark.parametrize(
    "line",
    [
        b"x" * (1 << 20),
        b"2026-01-31 08:00:00" + b" a -" * (1 << 18),
        b"2026-01-31 08:00:00" + b" [" * (1 << 19),
        b"{" + b'"level' * (1 << 17),
        b"time=" + b" level=" * (1 << 17),
    ],
    ids=lambda line: line[:25].decode(),
)
def test_a_long_line_counts_as_its_prefix_does_in_any_cuts(line: bytes):
    text = line + b"\nINFO: next\n"
    whole = scan(text, ScanState())
    assert whole.levels == scan(line[:LINE_PREFIX] + b"\nINFO: next\n", ScanState()).levels
    state, counted = ScanState(), Counter[str]()
    for piece in itertools.batched(text, 100_003, strict=False):
        found = scan(bytes(piece), state)
        state, counted = found.after, counted + found.levels
    assert counted == whole.levels
    assert filtered([text]) == text
