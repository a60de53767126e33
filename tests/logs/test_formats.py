"""The table of formats: every line that shows one is read as it says, in whatever it is wrapped."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.logs.levels import TimeBasis, starts
from logkeep_scanner import formats
from logkeep_scanner.formats import CONTINUING, DATED, PLAIN

pytestmark = pytest.mark.unit

ARRIVAL = 1769850000000  # 31 January 2026 09:00
CASES = {f"{each.name}: {line}": (line, level, time) for each in DATED + PLAIN for line, level, time in each.cases}
CASES_OF = pytest.mark.parametrize(("line", "level", "time"), CASES.values(), ids=CASES)


def records(text: bytes) -> list[tuple[int, str | None, int | None]]:
    """Place, level and time of the records in lines."""
    found = starts(b"\n" + text + b"\n", basis=TimeBasis(UTC, ARRIVAL))
    return [(each.place, each.level, each.time) for each in found]


def test_every_format_has_a_line_that_shows_it():
    assert all(each.cases for each in DATED + PLAIN)
    assert len({each.name for each in DATED + PLAIN}) == len(DATED + PLAIN)


@CASES_OF
def test_a_line_is_read_as_its_format_says(line: str, level: str | None, time: int | None):
    assert records(line.encode()) == [(0, level, time)]


@pytest.mark.parametrize("ending", ["\r", "\r\r"])
@pytest.mark.parametrize(
    "before",
    ["", "\ufeff", "\x1b[0m", "\x1b[0K\x1b[32;1m", "\x1b[1m" * 40, "\x1b(B\x1b[m", " 10%\r 20%\r", "\x1b]0;title\x07"],
)
def test_what_is_not_displayed_changes_nothing(before: str, ending: str):
    for line, level, time in CASES.values():
        assert records((before + line + ending).encode()) == [(0, level, time)], line


@pytest.mark.parametrize("line", CONTINUING)
def test_what_plainly_continues_a_record_begins_none(line: str):
    assert records(f"DEBUG: x\n{line}".encode()) == [(0, "DEBUG", None)]


@pytest.mark.parametrize(
    ("line", "level"),
    [
        # From the tables of other tools' documentation and bug reports (docs/records.md).
        ("DEBUG mode is off", None),
        ("INFO about the build follows", None),
        ("ERROR handling was moved", None),
        ("WARNING messages are hidden", None),
        ("Debug build of 2026-01-31", None),
        ("error: cannot find symbol", None),
        ("LOG_LEVEL=debug", None),
        ("log_level=debug", None),
        ("level=debug", None),
        ("debug=1 level=5", None),
        ('{"a":{"level":"debug"},"b":[{"level":"debug"}]}', None),
        ('{"msg":"\\"level\\":\\"debug\\""}', None),
        ('{"level":{"name":"debug"}}', None),
        ('{"LEVEL":"Debug","x":1}', "DEBUG"),
        ('{"level":35}', "INFO"),
        ('{"level":7}', "DEBUG"),
        ('{"severityNumber":17}', "ERROR"),
        ('{"severityNumber":0}', None),
        ('{"level":"debug"', "DEBUG"),
        ('{"a":"' + "x" * 1100 + '","level":"debug"}', None),
        ("<999>1 2026-01-31T08:00:00Z host app - - - x", None),
        ("2026-01-31 08:00:00 DEBUGGING is fun", None),
        ("2026-01-31 08:00:00 worker-1 DEBUG x", None),
        ("##[section]Starting: build", None),
        ("INFOX text", None),
        ("I0131 no glog", None),
        ("W: Some index files failed to download.", None),
    ],
)
def test_a_word_is_a_level_only_where_a_format_puts_it(line: str, level: str | None):
    assert [each[1] for each in records(line.encode())] == [level]


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-31 08:00:00 +08 x", "2026-01-31T00:00:00"),
        ("2026-01-31 08:00:00+08 x", "2026-01-31T00:00:00"),
        ("2026-01-31 08:00:00 GMT+08:00 x", "2026-01-31T00:00:00"),
        ("2026-01-31 08:00:00 UTC-3 x", "2026-01-31T11:00:00"),
        ("2026-01-31 08:00:00 PM x", "2026-01-31T20:00:00"),
        ("1/31/2026 12:00:00 AM x", "2026-01-31T00:00:00"),
        ("31/01/2026 08:00:00 x", "2026-01-31T08:00:00"),
        ("31.01.2026 08:00:00 x", "2026-01-31T08:00:00"),
        ("31-Jan-2026 08:00:00.5 x", "2026-01-31T08:00:00.500"),
        ("31/Jan/2026:08:00:00 +0100 x", "2026-01-31T07:00:00"),
        ("Jan 31, 2026 8:00:00 AM x", "2026-01-31T08:00:00"),
        ("2026 Jan 31 08:00:00 x", "2026-01-31T08:00:00"),
        ("26/01/31 08:00:00 x", "2026-01-31T08:00:00"),
        ("99/01/31 08:00:00 x", "1999-01-31T08:00:00"),
        ("20260131T080000Z x", "2026-01-31T08:00:00"),
        ("20260131080000.5 x", "2026-01-31T08:00:00.500"),
        ("20260131-8:0:5:77|x", "2026-01-31T08:00:05.770"),
        ("2026-01-31-08.00.00.363779 x", "2026-01-31T08:00:00.363"),
        ("1769846400 x", "2026-01-31T08:00:00"),
        ("1769846400.5 x", "2026-01-31T08:00:00.500"),
        ("1769846400123 x", "2026-01-31T08:00:00.123"),
        ("1769846400123456789 x", "2026-01-31T08:00:00.123"),
        ("2026-06-30 23:59:60 x", "2026-06-30T23:59:59.999"),
        ("2024-02-29 08:00:00 x", "2024-02-29T08:00:00"),
        ("2100-02-29 08:00:00 x", None),
        ("2026-13-01 08:00:00 x", None),
        ("2026-01-31 24:00:00 x", None),
        ("0000-01-31 08:00:00 x", None),
        ("13:00:00 PM 1/31/2026", None),
        ("9769846400 x", None),
        ("123456789 x", None),
        # The arrival is on 31 January 2026 at 09:00. A day ahead is a fast clock, more is last year.
        ("Feb 29 08:00:00 host app: x", "2024-02-29T08:00:00"),
        ("Jan 31 09:00:00 host app: x", "2026-01-31T09:00:00"),
        ("Feb  1 08:59:00 host app: x", "2026-02-01T08:59:00"),
        ("Feb  1 09:01:00 host app: x", "2025-02-01T09:01:00"),
        ("Dec 31 23:00:00 host app: x", "2025-12-31T23:00:00"),
        ("Feb 30 23:00:00 host app: x", None),
    ],
)
def test_a_timestamp_is_read_in_every_way_of_writing_it(text: str, time: str | None):
    ((_, _, found),) = records(text.encode())
    assert (
        None if found is None else datetime.fromtimestamp(found / 1000, UTC).isoformat(timespec="milliseconds")
    ) == (None if time is None else datetime.fromisoformat(time + "+00:00").isoformat(timespec="milliseconds"))


def test_a_partial_line_of_a_container_is_joined_with_those_that_follow_in_its_stream():
    lines = [
        b"2026-01-31T08:00:00.000000000Z stdout P [DEBUG] one",
        b"2026-01-31T08:00:00.000000001Z stdout P ERROR: two",
        b"2026-01-31T08:00:00.000000002Z stdout F ERROR: three",
        b"2026-01-31T08:00:01.000000000Z stderr F ERROR: four",
        b"2026-01-31T08:00:02.000000000Z stdout P INFO: five",
        b"2026-01-31T08:00:02.000000000Z stderr F WARN: another stream",
    ]
    assert [each[1] for each in records(b"\n".join(lines))] == ["DEBUG", "ERROR", "INFO", "WARN"]


@given(
    st.text(alphabet=st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=200),
    st.sampled_from(list(CASES.values())),
)
def test_whatever_follows_a_line_it_is_one_record(rest: str, case: tuple[str, str | None, int | None]):
    assert len(records((case[0] + rest).encode())) <= 1


@pytest.mark.parametrize("names", [formats.LEVEL_KEYS, formats.TIME_KEYS, formats.NUMBER_KEYS, formats.LINE_KEYS])
def test_keys_are_written_in_lower_case(names: str):
    assert names == names.lower()


def test_every_level_has_words_and_no_word_two_levels():
    words = [word for level in formats.LEVELS for word in formats.WORDS[level].split()]
    assert len(words) == len(set(words))
