"""list_service_events at its second address, /v2, which the published SDK calls."""

from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.calls import PROJECT, SERVICE, Answer, call, event, list_events, put_events, send

pytestmark = pytest.mark.usefixtures("aws")
NOON = 1_793_534_400_000  # 2026-11-01T12:00:00Z


def list_v2(service: str = SERVICE, **query: Any) -> Answer:
    path = {"project_id": PROJECT, "service_id": service}
    raw_path = f"/v2/{PROJECT}/services/{service}/events"
    changes = {"rawPath": raw_path, "pathParameters": path, "rawQueryString": urlencode(query, quote_via=quote)}
    return call("list_service_events", event("list_service_events-v2", **changes))


def some(count: int) -> list[dict[str, Any]]:
    """A second apart, of which every fourth is abnormal."""
    return [
        {"occur_time": NOON + n * 1000, "event_type": "normal" if n % 4 else "abnormal", "event_info": f"Event {n}"}
        for n in range(count)
    ]


def infos(answer: Answer) -> list[str]:
    return [each["event_info"] for each in answer.json["data"]]


def test_the_ten_newest_come_with_the_number_of_pages_and_of_all() -> None:
    put_events(some(25))
    answer = list_v2()
    assert {name: answer.json[name] for name in ("current", "pages", "size", "total")} == {
        "current": 0,
        "pages": 3,
        "size": 10,
        "total": 25,
    }
    assert infos(answer) == [f"Event {n}" for n in range(24, 14, -1)]
    assert answer.json["data"][0] == answer.json["data"][0] | {
        "service_id": SERVICE,
        "service_version_id": None,
        "event_count": 1,
        "event_type": "ABNORMAL",
        "event_info_cn": None,
        "create_at": NOON + 24_000,
        "update_at": NOON + 24_000,
    }


def test_offset_counts_rows() -> None:
    put_events(some(25))
    answer = list_v2(limit=10, offset=20, sort_dir="ASC")
    assert (answer.json["current"], infos(answer)) == (2, [f"Event {n}" for n in range(20, 25)])
    beyond = list_v2(limit=500, offset=10**12).json
    assert (beyond["current"], beyond["pages"], beyond["total"], beyond["data"]) == (2 * 10**9, 1, 25, [])


def test_ids_differ_and_stay_whatever_the_page() -> None:
    put_events(some(25))
    put_events(some(25), key="again")
    whole = [each["id"] for each in list_v2(limit=50).json["data"]]
    assert len(set(whole)) == 50
    paged = [each["id"] for start in range(0, 50, 7) for each in list_v2(limit=7, offset=start).json["data"]]
    assert paged == whole
    assert [each["id"] for each in list_v2(limit=50, sort_dir="ASC").json["data"]] == whole[::-1]


def test_type_and_both_times_select() -> None:
    put_events(some(10))
    answer = list_v2(event_type="ABNORMAL", start_time=NOON + 4000, end_time=NOON + 8000)
    assert (infos(answer), answer.json["total"]) == (["Event 8", "Event 4"], 2)


def test_a_warning_is_known_and_none_is_held() -> None:
    put_events(some(3))
    answer = list_v2(event_type="WARNING")
    assert answer.json == {"current": 0, "pages": 0, "size": 10, "total": 0, "data": []}
    assert list_v2("nobody", event_type="WARNING").status == 404


def test_a_keyword_is_found_in_any_case_and_counted() -> None:
    put_events(some(25))
    answer = list_v2(event_info_key="eVENT 1", limit=4, offset=8, sort_dir="ASC")
    assert (answer.json["total"], answer.json["pages"], answer.json["current"]) == (11, 3, 2)
    assert infos(answer) == ["Event 17", "Event 18", "Event 19"]
    assert infos(list_v2(event_info_key="event 1", limit=2, event_type="ABNORMAL")) == ["Event 16", "Event 12"]
    assert list_v2(event_info_key="nowhere").json["total"] == 0


def test_a_keyword_in_too_many_events_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    put_events(some(25))
    monkeypatch.setattr("logkeep.events.timeline.SEARCH_EVENTS", 24)
    answer = list_v2(event_info_key="event")
    assert (answer.status, answer.json["error_code"]) == (400, "ModelArts.0104")
    assert "event_info_key: the range holds 25 events" in answer.json["error_msg"]
    assert list_v2(event_info_key="event", start_time=NOON + 1000).json["total"] == 24
    assert list_v2().json["total"] == 25


@pytest.mark.parametrize(
    ("query", "named"),
    [({"event_type": "normal"}, "event_type"), ({"start_time": 1_793_534_400}, "start_time"),
     ({"end_time": "today"}, "end_time"), ({"start_time": NOON, "end_time": NOON - 1}, "end_time"),
     ({"event_info_key": "50%"}, "event_info_key"), ({"event_info_key": "x" * 257}, "event_info_key"),
     ({"limit": 0}, "limit"), ({"limit": 501}, "limit"), ({"offset": 15}, "offset"), ({"offset": -10}, "offset"),
     ({"sort_key": "event_type"}, "sort_key"), ({"sort_dir": "down"}, "sort_dir")],
)  # fmt: skip
def test_a_bad_parameter_is_named_before_any_read(query: dict[str, Any], named: str) -> None:
    answer = list_v2("nobody", **query)
    assert (answer.status, answer.json["error_code"]) == (400, "ModelArts.0104")
    assert f"{named}: " in answer.json["error_msg"]


@pytest.mark.parametrize("service", ["nobody", "%2e%2e", "x" * 129, "a%2Fb"])
def test_an_unknown_service_is_a_404_at_both_addresses(service: str) -> None:
    for answer in (list_v2(service), list_events(service)):
        assert (answer.status, answer.json["error_code"]) == (404, "ModelArts.3502")


def test_the_event_files_do_what_their_names_say() -> None:
    send("put_service_events")
    assert [each["event_info"][:5] for each in send("list_service_events-v2").json["data"]] == ["build", "start"]
    assert "offset: " in send("list_service_events-v2_split_page").json["error_msg"]
    assert "event_info_key: " in send("list_service_events-v2_wildcard").json["error_msg"]
