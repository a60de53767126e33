import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from logkeep.apis.modelarts.infer_events import InferEventPage, InferEventQuery
from logkeep.events.segments import EVERY_TYPE, TIME_MAX, EventType
from logkeep.events.timeline import Selection, StoredEvent

pytestmark = pytest.mark.unit

NOON = 1_769_860_800_000  # 2026-01-31T12:00:00Z


THE_TEN_NEWEST = Selection(types=EVERY_TYPE, start=0, end=TIME_MAX, skip=0, limit=10, descending=True)


@pytest.mark.parametrize(
    ("values", "changed"),
    [
        ({}, {}),
        ({"event_type": "NORMAL"}, {"types": (EventType.NORMAL,)}),
        ({"event_type": "ABNORMAL"}, {"types": (EventType.ABNORMAL,)}),
        ({"event_type": "WARNING"}, {"types": ()}),
        ({"start_time": "1000000000000", "end_time": "9999999999999"}, {"start": 10**12, "end": 10**13 - 1}),
        ({"start_time": str(NOON), "end_time": str(NOON)}, {"start": NOON, "end": NOON}),
        ({"limit": "500", "offset": "1500"}, {"limit": 500, "skip": 1500}),
        ({"offset": "1000000000000"}, {"skip": 10**12}),
        ({"sort_key": "create_at"}, {}),
        ({"sort_key": "update_at,create_at"}, {}),
        ({"sort_dir": "ASC"}, {"descending": False}),
        ({"event_info_key": ""}, {}),
        ({"event_info_key": "重" * 256}, {}),
    ],
    ids=str,
)
def test_a_query_selects_what_the_published_table_says(values: dict[str, str], changed: dict[str, Any]):
    assert InferEventQuery.model_validate(values).selection == replace(THE_TEN_NEWEST, **changed)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"event_type": "normal"}, "event_type"),
        ({"event_type": ""}, "event_type"),
        ({"start_time": "999999999999"}, "start_time"),
        ({"start_time": "1769860800"}, "start_time"),
        ({"end_time": "10000000000000"}, "end_time"),
        ({"end_time": "1e12"}, "end_time"),
        ({"start_time": str(NOON), "end_time": str(NOON - 1)}, "end_time"),
        ({"event_info_key": "x" * 257}, "event_info_key"),
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"limit": "1.0"}, "limit"),
        ({"offset": "-10"}, "offset"),
        ({"offset": "15"}, "offset"),
        ({"offset": "1000000000010"}, "offset"),
        ({"limit": "7", "offset": "10"}, "offset"),
        ({"limit": "0", "offset": "10"}, "limit"),
        ({"sort_key": "occur_time"}, "sort_key"),
        ({"sort_key": "create_at,"}, "sort_key"),
        ({"sort_dir": "desc"}, "sort_dir"),
    ],
    ids=str,
)
def test_a_value_beyond_the_published_table_is_refused_by_its_name(values: dict[str, str], named: str):
    with pytest.raises(ValidationError) as caught:
        InferEventQuery.model_validate(values)
    assert caught.value.errors()[0]["loc"] == (named,)


@given(st.text(max_size=20), st.sampled_from("'\";%_*!@#$&\\"), st.integers(0, 20))
def test_a_keyword_must_not_hold_a_forbidden_character(text: str, forbidden: str, place: int):
    with pytest.raises(ValidationError, match="must not contain any of"):
        InferEventQuery(event_info_key=text[:place] + forbidden + text[place:])


def test_what_is_not_held_is_null():
    row = StoredEvent(NOON, 5, "5e9", 7, EventType.ABNORMAL, "probe failed")
    page = InferEventPage.of("service", InferEventQuery(), 1, [row])
    assert page.model_dump(mode="json") == {
        "current": 0,
        "pages": 1,
        "size": 10,
        "total": 1,
        "data": [
            {
                "id": "5e9-7",
                "service_id": "service",
                "service_version_id": None,
                "event_count": 1,
                "event_type": "ABNORMAL",
                "event_info": "probe failed",
                "event_info_cn": None,
                "create_at": NOON,
                "update_at": NOON,
            }
        ],
    }


@given(st.integers(0, 10**6), st.integers(1, 500), st.integers(0, 1000))
def test_pages_are_numbered_from_0_and_counted(total: int, limit: int, page: int):
    query = InferEventQuery(limit=limit, offset=page * limit)
    shown = InferEventPage.of("service", query, total, [])
    assert (shown.current, shown.pages, shown.size) == (page, math.ceil(total / limit), limit)
