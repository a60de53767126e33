"""Which rows of activity an append writes, and that a search by time which reads them misses no text."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.clock import DAY, HOUR
from logkeep.logid import LogId
from logkeep.logs.activity import (
    EARLY,
    LATE,
    SHARDS,
    Sighting,
    day_of,
    days,
    noted,
    shard_of,
    span_of,
    widened,
)
from logkeep.logs.head import Head
from tests.examples import LONG

pytestmark = pytest.mark.unit
LOG = LogId.parse("app/shop/web")
T0 = int(datetime(2026, 11, 28, 8, tzinfo=UTC).timestamp() * 1000)
times = st.integers(10**12, 39 * 10**11)  # 2001 to 2093: 13 digits that are read as milliseconds
NEAR = st.integers(-3 * DAY, 3 * DAY)


def appended(head: Head, arrival: int, *of: int) -> tuple[Head, list[Sighting]]:
    """The head after an append of lines of these times, and the rows that are written with it."""
    text = b"".join(b"%d INFO x\n" % time for time in of) or b"no time\n"
    head, packed = head.extended(iter((text,)), arrival)
    return noted(head, [each for each, _ in packed], arrival)


@given(times)
def test_a_day_is_the_one_in_utc_and_spans_its_milliseconds(time: int) -> None:
    assert str(day_of(time)) == f"{datetime.fromtimestamp(time / 1000, UTC):%Y%m%d}"
    first, last = span_of(day_of(time))
    assert (first <= time <= last, last - first + 1, first % DAY) == (True, DAY, 0)


@given(times, st.integers(1, 31 * DAY), st.integers(-EARLY, LATE), st.integers(0, DAY), st.data())
def test_the_days_of_a_window_are_those_on_which_its_text_can_have_arrived(
    since: int, length: int, delay: int, age: int, data: st.DataObject
) -> None:
    time = data.draw(st.integers(since, since + length - 1))
    arrival = time - delay
    found = list(days(since, since + length, arrival + age))
    assert day_of(arrival) in found
    assert found == sorted(set(found))
    assert len(found) <= length // DAY + 4


def test_a_window_of_the_last_hour_reads_one_day_or_two() -> None:
    assert list(days(T0 - HOUR, T0, T0)) == [20261128]
    midnight = T0 // DAY * DAY
    assert list(days(midnight, midnight + HOUR, midnight + HOUR)) == [20261127, 20261128]
    assert list(days(T0 - 2 * DAY, T0 - DAY, T0)) == [20261126, 20261127, 20261128]
    assert list(days(T0 + 2 * DAY, T0 + 3 * DAY, T0)) == [], "nothing has arrived yet"


def test_the_first_append_of_a_day_writes_a_row_and_no_other_does() -> None:
    midnight = T0 // DAY * DAY
    head, packed = Head.born(LOG).extended(iter((b"2026-11-28 08:00:00 INFO x\n",)), midnight)
    fragments, written = [each for each, _ in packed], list[Sighting]()
    for number in range(12_000):
        arrival = midnight + number * 8_000
        head, rows = noted(replace(head, received_at=arrival), fragments, arrival)
        written += [each for each in rows if each.day]
    assert [each.day for each in written] == [20261128, 20261129]
    assert all((each.log_id, each.birth) == (LOG, head.birth) for each in written)


def test_an_append_of_nothing_is_no_activity() -> None:
    head, packed = Head.born(LOG).extended(iter(()), T0)
    assert noted(head, [each for each, _ in packed], T0) == (head, [])


@pytest.mark.parametrize(
    ("offset", "is_odd"),
    [(0, False), (-EARLY, False), (LATE, False), (-EARLY - 1, True), (LATE + 1, True), (-400 * DAY, True)],
)
def test_text_is_odd_more_than_a_day_before_or_an_hour_after_its_arrival(offset: int, is_odd: bool) -> None:
    head, rows = appended(Head.born(LOG), T0, T0, T0 + offset, T0)
    assert [each.day for each in rows] == [20261128, None][: 1 + is_odd]
    if is_odd:
        assert head.odd == rows[1].span
        assert head.odd[0] <= T0 + offset <= head.odd[1]


def test_wild_times_write_their_row_a_few_times_however_many_they_are() -> None:
    chance, head, written = random.Random(7), Head.born(LOG), 0
    lines = 1_000_000 if LONG else 20_000
    for _ in range(lines // 20):
        head, rows = appended(head, T0, *(chance.randint(10**12, 39 * 10**11) for _ in range(20)))
        written += sum(each.day is None for each in rows)
    assert 1 <= written <= 6


@pytest.mark.parametrize("step", [1000, HOUR, DAY, -1000, -DAY])
def test_times_that_creep_on_write_their_row_as_often_as_a_day_can_be_doubled(step: int) -> None:
    """A file of years that is sent line by line, forwards or backwards."""
    known, written, begin = None, Counter[bool](), T0 - 3650 * DAY
    for number in range(1_000_000 if LONG else 20_000):
        time = begin + number * step
        if known is None or not known[0] <= time <= known[1]:
            known = widened(known, (time, time))
            written[True] += 1
    assert known is not None
    assert written[True] <= 2 + (abs(step) * 1_000_000 // DAY + 1).bit_length()


@given(st.tuples(times, times).map(sorted), st.tuples(times, times).map(sorted))
def test_a_widened_span_covers_both_and_is_at_least_twice_as_long(known: list[int], more: list[int]) -> None:
    one = widened(None, (known[0], known[1]))
    both = widened(one, (more[0], more[1]))
    assert both[0] <= min(known[0], more[0])
    assert both[1] >= max(known[1], more[1])
    assert both == one or both[1] - both[0] + 1 >= 2 * (one[1] - one[0] + 1)


appends = st.lists(st.tuples(st.integers(-2 * DAY, 40 * DAY), st.lists(st.one_of(NEAR, times), max_size=3)), max_size=5)


@given(appends, st.data())
def test_no_text_is_missed_by_who_reads_the_rows_of_a_window(
    made: list[tuple[int, list[int]]], data: st.DataObject
) -> None:
    """In whatever order they arrive: also restored after newer text, or by two writers at midnight."""
    head, rows, texts = Head.born(LOG), dict[int | None, Sighting](), list[int]()
    for shift, of in made:
        arrival = T0 + shift
        lines = [arrival + each if abs(each) <= 3 * DAY else each for each in of]
        head, written = appended(head, arrival, *lines)
        rows |= {each.day: each for each in written}
        texts += lines or [arrival]
    for time in texts:
        since = time - data.draw(st.integers(0, DAY))
        until = time + data.draw(st.integers(1, DAY))
        read = [rows[day] for day in (*days(since, until, T0 + 41 * DAY), None) if day in rows]
        assert any(each.may_be_of(head, since, until) for each in read)


def test_a_log_of_another_time_or_birth_is_passed_over() -> None:
    head, (row,) = appended(Head.born(LOG), T0, T0)
    assert row.may_be_of(head, T0, T0 + 1)
    assert not row.may_be_of(head, T0 - 2 * DAY, T0 - DAY - 2 * 60_000)
    assert not row.may_be_of(head, T0 + 1, T0 + HOUR), "it has said nothing since"
    assert not row.may_be_of(head, T0 - HOUR, T0 - 2 * 60_000), "nor before"
    assert not row.may_be_of(appended(Head.born(LOG), T0, T0)[0], T0, T0 + 1), "it was deleted and begun anew"


def test_shards_are_used_alike() -> None:
    found = Counter(shard_of(LogId.parse(f"app/shop/web-{number}")) for number in range(8_000))
    assert set(found) == set(range(SHARDS))
    assert max(found.values()) < 1.3 * min(found.values())
