"""put_service_events and list_service_events."""

import json
import time
from typing import Any

import pytest

from tests.calls import PROJECT, SERVICE, call, forget_aws, list_events, put_events, send, service_request

pytestmark = pytest.mark.usefixtures("aws")
NOON = 1_793_534_400_000  # 2026-11-01T12:00:00Z


def some(count: int, start: int = NOON, step: int = 1000) -> list[dict[str, Any]]:
    return [
        {
            "occur_time": start + i * step,
            "event_type": "abnormal" if i % 4 == 0 else "normal",
            "event_info": f"event {i}",
        }
        for i in range(count)
    ]


def infos(answer) -> list[str]:
    return [each["event_info"] for each in answer.json["events"]]


def test_events_come_back_newest_first_with_the_services_name() -> None:
    assert put_events(some(3), service_name="my service").json == {"accepted": 3, "duplicates": 0}
    answer = list_events()
    assert answer.json == {
        "service_id": "35de3ca9-1bca-4ae7-9cb0-914f30fa7d3e",
        "service_name": "my service",
        "count": 3,
        "total_count": 3,
        "events": list(reversed(some(3))),
    }


def test_total_count_is_exact_without_paging_and_count_is_the_pages() -> None:
    put_events(some(25), service_name="s")
    answer = list_events(limit=10, offset=2, order="asc")
    assert (answer.json["count"], answer.json["total_count"]) == (5, 25)
    assert infos(answer) == [f"event {i}" for i in range(20, 25)]


def test_offset_is_a_page_number() -> None:
    put_events(some(25), service_name="s")
    assert infos(list_events(limit=10, offset=1, order="asc"))[0] == "event 10"
    assert list_events(limit=10, offset=10**9).json["count"] == 0


def test_both_times_are_inclusive() -> None:
    put_events(some(10), service_name="s")
    answer = list_events(start_time=NOON + 2000, end_time=NOON + 5000, order="asc")
    assert infos(answer) == [f"event {i}" for i in (2, 3, 4, 5)]
    assert answer.json["total_count"] == 4
    assert list_events(start_time=NOON + 2001, end_time=NOON + 2999).json["total_count"] == 0


def test_the_type_filters_and_sorts() -> None:
    put_events(some(8), service_name="s")
    answer = list_events(event_type="abnormal")
    assert (infos(answer), answer.json["total_count"]) == (["event 4", "event 0"], 2)
    by_type = list_events(sort_by="event_type", order="asc", limit=3)
    assert infos(by_type) == ["event 0", "event 4", "event 1"]


@pytest.mark.parametrize(
    ("query", "named"),
    [({"event_type": "NORMAL"}, "event_type"), ({"start_time": "yesterday"}, "start_time"),
     ({"end_time": -1}, "end_time"), ({"offset": -1}, "offset"), ({"limit": 0}, "limit"), ({"limit": 1001}, "limit"),
     ({"limit": "1_0"}, "limit"), ({"sort_by": "event_info"}, "sort_by"), ({"order": "up"}, "order"),
     ({"start_time": 2, "end_time": 1}, "end_time"), ({"start_time": 10**18}, "start_time")],
)  # fmt: skip
def test_a_bad_parameter_is_named_before_any_read(query, named) -> None:
    answer = list_events("nobody", **query)
    assert (answer.status, answer.json["error_code"]) == (400, "ModelArts.0104")
    assert f"{named}: " in answer.json["error_msg"]


@pytest.mark.parametrize("name", ["start_time", "end_time"])
def test_a_time_in_seconds_is_asked_about(name: str) -> None:
    for version in ("v1", "v2"):
        path = f"/{version}/{PROJECT}/services/s/events"
        answer = send("list_service_events", rawPath=path, rawQueryString=f"{name}=1795334400")
        assert (answer.status, answer.json["error_code"]) == (400, "ModelArts.0104")
        assert f"{name}: milliseconds? read as such, 1795334400 is a time of 1970-01-21" in answer.json["error_msg"]
    event = {"occur_time": 1_795_334_400, "event_type": "normal", "event_info": ""}
    assert "events.0.occur_time: milliseconds? " in put_events([event]).json["error_msg"]


def test_a_parameter_given_twice_is_named() -> None:
    answer = call("list_service_events", service_request("list_service_events", "s", rawQueryString="limit=1&limit=2"))
    assert "limit: given more than once" in answer.json["error_msg"]


def test_an_unknown_service_is_a_404() -> None:
    answer = list_events("nobody")
    assert (answer.status, answer.json["error_code"]) == (404, "ModelArts.3502")
    assert answer.json["error_msg"] == "Service nobody does not exist."


def test_a_service_is_registered_by_an_empty_list_with_its_name() -> None:
    assert put_events([], service="new", service_name="New").status == 200
    answer = list_events("new")
    assert (answer.status, answer.json["service_name"], answer.json["total_count"]) == (200, "New", 0)
    assert put_events([], service="newer").status == 400


def test_the_name_stays_until_another_is_told() -> None:
    put_events(some(1), service_name="first")
    put_events(some(2))
    assert list_events().json["service_name"] == "first"
    put_events([], service_name="second")
    assert list_events().json["service_name"] == "second"


def test_a_retry_counts_nothing_twice_and_a_key_tells_a_repetition_from_it() -> None:
    put_events(some(30), key="a")
    assert put_events(some(30), key="a").json == {"accepted": 0, "duplicates": 30}
    assert put_events(some(30), key="b").json == {"accepted": 30, "duplicates": 0}
    assert list_events().json["total_count"] == 60


def test_a_key_that_is_too_long_is_refused_rather_than_cut() -> None:
    answer = put_events(some(1), key="k" * 257)
    assert (answer.status, "idempotency-key: " in answer.json["error_msg"]) == (400, True)
    assert put_events(some(1), key="k" * 256).status == 200


def test_a_batch_over_many_minutes_takes_several_transactions_and_a_retry_completes_it() -> None:
    batch = some(1000, step=60_000)
    assert put_events(batch).json["accepted"] == 1000
    assert put_events(batch).json["duplicates"] == 1000
    answer = list_events(limit=1000, order="asc")
    assert answer.json["events"] == batch


def test_large_unicode_events_come_back_as_they_were() -> None:
    info = '\N{SNOWMAN}\N{GRINNING FACE}\x00\x1f"\\' * 300
    put_events([{"occur_time": NOON, "event_type": "normal", "event_info": info}])
    assert infos(list_events()) == [info]


@pytest.mark.parametrize(
    ("body", "named"),
    [("{", "request"), ("[]", "request"), ("{}", "events"), ('{"events": {}}', "events"),
     ('{"events": [1]}', "events.0"),
     ('{"events": [{"event_type": "normal", "event_info": "x"}]}', "events.0.occur_time"),
     ('{"events": [{"occur_time": 1.5, "event_type": "normal", "event_info": "x"}]}', "events.0.occur_time"),
     ('{"events": [{"occur_time": "1", "event_type": "normal", "event_info": "x"}]}', "events.0.occur_time"),
     ('{"events": [{"occur_time": -1, "event_type": "normal", "event_info": "x"}]}', "events.0.occur_time"),
     ('{"events": [{"occur_time": 1, "event_type": "bad", "event_info": "x"}]}', "events.0.event_type"),
     ('{"events": [{"occur_time": 1, "event_type": "normal", "event_info": 5}]}', "events.0.event_info"),
     ('{"events": [{"occur_time": 1, "event_type": "normal", "event_info": "x", "more": 1}]}', "events.0.more"),
     ('{"events": [], "service_name": ""}', "service_name"), ('{"events": [], "service_name": 5}', "service_name")],
)  # fmt: skip
def test_a_bad_field_of_a_batch_is_named_and_nothing_is_written(body, named) -> None:
    answer = call("put_service_events", service_request("put_service_events", "s", body=body))
    assert (answer.status, answer.json["error_code"]) == (400, "ModelArts.0104")
    assert f" {named}: " in answer.json["error_msg"]
    assert list_events("s").status == 404


def test_limits_of_a_batch() -> None:
    assert put_events(some(1001)).status == 400
    too_long = {"occur_time": NOON, "event_type": "normal", "event_info": "x" * 4097}
    assert put_events([too_long]).status == 400
    assert put_events([too_long | {"event_info": "x" * 4096}] * 300).status == 413
    assert list_events().status == 404


def test_events_older_than_the_retention_are_refused(monkeypatch) -> None:
    monkeypatch.setenv("EVENT_RETENTION_DAYS", "7")
    forget_aws()
    now = time.time_ns() // 1_000_000
    assert put_events(some(1, start=now - 9 * 86_400_000)).status == 400
    assert put_events(some(1, start=now - 5 * 86_400_000)).status == 200


def test_events_of_a_far_future_are_refused() -> None:
    now = time.time_ns() // 1_000_000
    answer = put_events(some(1, start=now + 367 * 86_400_000))
    assert (answer.status, "events.0.occur_time: " in answer.json["error_msg"]) == (400, True)
    assert put_events(some(1, start=now + 365 * 86_400_000)).status == 200


def test_an_expired_day_leaves_every_answer_at_once(monkeypatch) -> None:
    now = time.time_ns() // 1_000_000
    put_events(some(5, start=now - 3 * 86_400_000) + some(2, start=now))
    assert list_events().json["total_count"] == 7
    monkeypatch.setattr("logkeep.events.store.now_ms", lambda: now + (3650 - 1) * 86_400_000)
    forget_aws()
    answer = list_events()
    assert (answer.json["total_count"], answer.json["count"]) == (2, 2)
    assert list_events(end_time=now - 86_400_000).json["total_count"] == 0


def test_a_page_that_is_too_large_says_so_and_gzip_makes_it_fit() -> None:
    for minute in range(10):
        start = NOON + minute * 60_000
        put_events([each | {"event_info": '"' * 4096} for each in some(100, start=start, step=1)])
    assert list_events(limit=1000).json["count"] == 1000
    plain = {"headers": {"accept-encoding": "identity"}, "rawQueryString": "limit=1000"}
    refused = call("list_service_events", service_request("list_service_events", SERVICE, **plain))
    assert (refused.status, "smaller limit" in refused.json["error_msg"]) == (413, True)


def test_the_event_files_do_what_their_names_say() -> None:
    assert send("put_service_events").json["accepted"] == 3
    assert send("put_service_events-bad_type").status == 400
    assert send("list_service_events").json["count"] == 2
    assert send("list_service_events-reversed_range").status == 400
    assert send("list_service_events-unknown_service").status == 404
    assert send("list_service_events-other_project").json["error_code"] == "ModelArts.0210"
    assert json.loads(send("list_service_events").body)["service_name"] == "zcjtest-07085"
