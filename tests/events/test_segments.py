import json
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from logkeep.apis.modelarts.events import EventQuery
from logkeep.clock import HOUR, MINUTE
from logkeep.events.segments import (
    BATCH_MAX,
    INFO_MAX,
    SEGMENT_RAW_MAX,
    TIME_MAX,
    Event,
    EventBatch,
    EventType,
    Slot,
    day_key,
    hour_key,
    minute_key,
    pack_segments,
    slots_of,
    unpack_segment,
)

pytestmark = pytest.mark.unit

NOON = 1_769_860_800_000  # 2026-01-31T12:00:00Z


def event(time: int = NOON, kind: str = "normal", info: str = "x") -> Event:
    return Event(occur_time=time, event_type=EventType(kind), event_info=info)


# Between these lie times that were meant in seconds, which are refused.
times = st.one_of(st.integers(0, 10**8 - 1), st.integers(10**11, TIME_MAX))
infos = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
events = st.builds(
    event,
    st.one_of(times, st.integers(NOON, NOON + 3 * MINUTE)),
    st.sampled_from(EventType),
    infos,
)
batches = st.lists(events, max_size=40)


def row(**changes: Any) -> dict[str, Any]:
    return {"occur_time": NOON, "event_type": "normal", "event_info": "x"} | changes


@pytest.mark.parametrize(
    "body",
    [
        {"events": [row()]},
        {"events": [row()] * BATCH_MAX},
        {"events": [row(occur_time=0), row(occur_time=TIME_MAX), row(event_type="abnormal"), row(event_info="")]},
        {"events": [row(event_info="x" * INFO_MAX)]},
        {"events": [row(event_info="日" * (INFO_MAX // 3))]},
        {"events": [], "service_name": "a"},
        {"events": [row()], "service_name": "n" * 256},
        {"events": [row()], "service_name": None},
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_a_batch_within_the_limits_is_taken(body: dict[str, Any]):
    assert EventBatch.model_validate(body).model_dump(exclude_unset=True) == body


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"events": None},
        {"events": {}},
        {"events": []},
        {"events": [], "service_name": None},
        {"events": [], "service_name": ""},
        {"events": [row()], "service_name": "n" * 257},
        {"events": [row()], "service_name": 5},
        {"events": [row()], "service_name": "\ud800"},
        {"events": [row()] * (BATCH_MAX + 1)},
        {"events": [row()], "other": 1},
        {"events": [row(other=1)]},
        {"events": ["x"]},
        {"events": [{"occur_time": NOON, "event_type": "normal"}]},
        {"events": [row(event_info="x" * (INFO_MAX + 1))]},
        {"events": [row(event_info="日" * (INFO_MAX // 3 + 1))]},
        {"events": [row(event_info="half \ud83d")]},
        {"events": [row(event_info=5)]},
        {"events": [row(event_info=None)]},
        {"events": [row(event_type="Normal")]},
        {"events": [row(event_type=None)]},
        {"events": [row(occur_time=-1)]},
        {"events": [row(occur_time=TIME_MAX + 1)]},
        {"events": [row(occur_time=str(NOON))]},
        {"events": [row(occur_time=NOON + 0.5)]},
        {"events": [row(occur_time=NOON // 1000)]},
        {"events": [row(occur_time=True)]},
        {"events": [row(occur_time=None)]},
    ],
    ids=lambda body: json.dumps(body)[:80],
)
def test_a_batch_beyond_the_limits_is_refused(body: dict[str, Any]):
    with pytest.raises(ValidationError):
        EventBatch.model_validate(body)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {}),
        ({"event_type": "abnormal"}, {"event_type": EventType.ABNORMAL}),
        ({"start_time": "5", "end_time": "5"}, {"start_time": 5, "end_time": 5}),
        ({"end_time": str(TIME_MAX)}, {"end_time": TIME_MAX}),
        ({"offset": "1000000000", "limit": "1"}, {"offset": 10**9, "limit": 1}),
        ({"sort_by": "event_type", "order": "asc"}, {"sort_by": "event_type", "order": "asc"}),
    ],
    ids=str,
)
def test_a_query_has_the_defaults_of_the_table(values: dict[str, str], expected: dict[str, Any]):
    defaults = {"event_type": None, "start_time": None, "end_time": None, "offset": 0, "limit": 1000}
    assert EventQuery.model_validate(values).model_dump() == (
        defaults | {"sort_by": "occur_time", "order": "desc"} | expected
    )


@pytest.mark.parametrize(
    "values",
    [
        {"event_type": "other"},
        {"event_type": ""},
        {"start_time": "-1"},
        {"start_time": str(TIME_MAX + 1)},
        {"start_time": "1e3"},
        {"start_time": ""},
        {"start_time": "6", "end_time": "5"},
        {"offset": "-1"},
        {"offset": "1000000001"},
        {"offset": "1.0"},
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "1_0"},
        {"limit": " 1"},
        {"sort_by": "event_info"},
        {"order": "ASC"},
    ],
    ids=str,
)
def test_a_query_that_the_table_does_not_allow_is_refused(values: dict[str, str]):
    with pytest.raises(ValidationError):
        EventQuery.model_validate(values)


@given(batches, st.text(max_size=5))
def test_segments_hold_every_event_of_the_request_in_its_type_and_minute(batch: list[Event], salt: str):
    unpacked = [
        event(time, segment.type, info)
        for segment in pack_segments(batch, salt)
        for time, info in unpack_segment(segment.packed)
    ]

    def by_place(each: Event) -> tuple[int, str, int]:
        return each.occur_time // MINUTE, each.event_type, each.occur_time

    assert sorted(unpacked, key=by_place) == sorted(batch, key=by_place)
    for segment in pack_segments(batch, salt):
        rows = unpack_segment(segment.packed)
        assert segment.count == len(rows) > 0
        assert {time // MINUTE for time, _ in rows} == {segment.minute}
        assert rows == sorted(rows, key=lambda each: each[0])


@given(batches, st.text(max_size=5))
def test_the_same_request_is_packed_into_the_same_segments(batch: list[Event], salt: str):
    assert pack_segments(batch, salt) == pack_segments(list(batch), salt)


@given(batches, st.text(max_size=5))
def test_segments_come_in_order_of_time_and_all_differ(batch: list[Event], salt: str):
    segments = pack_segments(batch, salt)
    assert [each.minute for each in segments] == sorted(each.minute for each in segments)
    assert len({each.id for each in segments}) == len(segments)
    assert all(len(each.id) == 32 and int(each.id, 16) >= 0 for each in segments)


@given(batches.filter(lambda batch: len(batch) > 0), st.text(max_size=5), st.text(max_size=5))
def test_another_salt_gives_other_ids_and_equal_rows(batch: list[Event], salt: str, other: str):
    ones, others = pack_segments(batch, salt), pack_segments(batch, other)
    assert [each.packed for each in ones] == [each.packed for each in others]
    assert {each.id for each in ones}.isdisjoint(each.id for each in others) == (salt != other)


@given(events, st.text(max_size=5), st.data())
def test_any_change_of_an_event_gives_another_id(one: Event, salt: str, data: st.DataObject):
    other = data.draw(events)
    ids = [pack_segments([each], salt)[0].id for each in (one, other)]
    assert (ids[0] == ids[1]) == (one == other)


def test_one_minute_of_one_type_is_one_segment():
    batch = [event(NOON + ms, kind) for ms in (0, 1, MINUTE - 1) for kind in EventType]
    assert [(each.type, each.minute, each.count) for each in pack_segments(batch, "")] == [
        (EventType.NORMAL, NOON // MINUTE, 3),
        (EventType.ABNORMAL, NOON // MINUTE, 3),
    ]


def test_events_of_one_millisecond_stay_in_the_order_of_the_request():
    batch = [event(info=info) for info in ("c", "a", "b")]
    (segment,) = pack_segments(batch, "")
    assert unpack_segment(segment.packed) == [(NOON, "c"), (NOON, "a"), (NOON, "b")]


@pytest.mark.parametrize("char", ["x", "\x01", "\u65e5"], ids=["plain", "escaped", "wide"])
def test_a_full_minute_is_cut_into_segments_that_fit_an_item_even_uncompressed(char: str):
    info = char * (INFO_MAX // len(char.encode()))
    segments = pack_segments([event(info=info)] * BATCH_MAX, "")
    assert sum(each.count for each in segments) == BATCH_MAX
    assert len(segments) > 1
    raw = [len(zlib.decompress(each.packed)) for each in segments]
    assert max(raw) <= SEGMENT_RAW_MAX + 1
    assert min(raw[:-1]) > SEGMENT_RAW_MAX - 7 * INFO_MAX


def test_two_equal_chunks_of_one_request_are_two_segments():
    row_size = len(f'[{NOON},"{"x" * INFO_MAX}"],')
    chunk = SEGMENT_RAW_MAX // row_size
    one, two = pack_segments([event(info="x" * INFO_MAX)] * (2 * chunk), "")
    assert one.packed == two.packed
    assert one.id != two.id


def test_what_compresses_well_is_stored_small():
    (segment,) = pack_segments([event(NOON + n, info=f"pulled image {n}") for n in range(BATCH_MAX)], "")
    assert len(segment.packed) < 15_000


def test_no_events_make_no_segments():
    assert pack_segments([], "") == []


@given(st.integers(0, TIME_MAX))
def test_keys_are_the_digits_of_the_utc_time(time: int):
    digits = datetime.fromtimestamp(time // 1000, UTC).strftime("%4Y%m%d%H%M")
    assert minute_key(time // MINUTE) == digits
    assert hour_key(time // HOUR) == digits[:10]
    assert day_key(time // HOUR // 24) == digits[:8]


@given(st.lists(st.integers(0, TIME_MAX // MINUTE), min_size=2))
def test_keys_sort_as_time_does(minutes: list[int]):
    assert sorted(minutes, key=minute_key) == sorted(minutes)


@given(times, st.sampled_from(EventType))
def test_a_segment_counts_in_the_slot_of_its_minute_and_of_its_hour(time: int, kind: EventType):
    (segment,) = pack_segments([event(time, kind)], "")
    moment = datetime.fromtimestamp(time // 1000, UTC)
    on_hour, on_day = slots_of(segment)
    assert on_hour == Slot(f"hour/{moment:%4Y%m%d%H}", kind, moment.minute)
    assert on_day == Slot(f"day/{moment:%4Y%m%d}", kind, moment.hour)
