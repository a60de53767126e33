"""Searching a cluster's log as CSS's clients ask for it."""

import json
from typing import Any

import pytest

from logkeep.logid import LogId
from logkeep.logs.store import log_store
from tests.calls import CLUSTER, OTHER_TOKEN, PROJECT, Answer, append, call, event, send
from tests.conftest import marked
from tests.rewinding import Rewinding

pytestmark = pytest.mark.usefixtures("aws")
NODE = "css-logs-ess-esn-1-1"
LOG = f"cluster/{CLUSTER}/{NODE}/instance"


@pytest.fixture(scope="module")
def once(emulator: Rewinding, environment: dict[str, str]) -> None:
    last = b"2026-01-31T08:01:20,000 ERROR number 80\n\tat a.b\n[2026-01-31 09:01:21.5+01:00] WARN [logs-79]"
    with marked("records", emulator, environment):
        append(LOG, b"".join(line(number) for number in range(1, 80)))
        append(LOG, last, None)


@pytest.fixture
def written(once: None, aws: None, emulator: Rewinding) -> None:
    emulator.rewind("records")


def line(number: int) -> bytes:
    level = "WARN" if number % 10 == 0 else "INFO"
    return f"2026-01-31T08:{number // 60:02d}:{number % 60:02d},000 {level} number {number}\n".encode()


def search(**fields: Any) -> Answer:
    body = {"instance_name": NODE, "log_type": "instance", **fields}
    return call("search_logs", event("search_logs", body=json.dumps(body)))


def marker_at(offset: int) -> str:
    return f"{offset}@{log_store(PROJECT).head(LogId.parse(LOG)).birth}"


@pytest.mark.usefixtures("written")
def test_the_newest_records_come_first_with_the_documented_fields_and_types() -> None:
    answer = search(limit=2)
    assert (answer.status, answer.json) == (
        200,
        {
            "logList": [
                {
                    "content": "[2026-01-31 09:01:21.5+01:00] WARN [logs-79]",
                    "date": "2026-01-31T08:01:21,500",
                    "level": "WARN",
                },
                {
                    "content": "2026-01-31T08:01:20,000 ERROR number 80\n\tat a.b",
                    "date": "2026-01-31T08:01:20,000",
                    "level": "ERROR",
                },
            ],
            "type": "instance",
            "completed": False,
            "marker": marker_at(sum(len(line(number)) for number in range(1, 80))),
        },
    )
    everything = search().json
    assert (len(everything["logList"]), everything["completed"], everything["marker"]) == (81, True, None)


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("field", ["time_index", "marker"])
def test_a_client_goes_on_with_the_date_of_the_oldest_or_with_our_marker(field: str) -> None:
    found: list[Any] = []
    more: dict[str, Any] = {}
    for _ in range(10):
        page = search(level="WARN|ERROR", limit=3, **more).json
        found += page["logList"]
        if page["completed"]:
            break
        more = {field: page["logList"][-1]["date"] if field == "time_index" else page["marker"]}
    assert found == search(level="WARN|ERROR").json["logList"]
    assert len(found) == 9


@pytest.mark.usefixtures("written")
def test_a_keyword_is_found_as_it_is_written_also_in_the_lines_that_go_on() -> None:
    assert [each["level"] for each in search(keyword="at a.b").json["logList"]] == ["ERROR"]
    assert [each["level"] for each in search(keyword="[logs-79]").json["logList"]] == ["WARN"]
    assert search(keyword="NUMBER").json["logList"] == []


@pytest.mark.usefixtures("written")
def test_a_node_or_a_type_without_a_log_has_no_records() -> None:
    empty = {"logList": [], "completed": True, "marker": None}
    assert search(instance_name="css-logs-ess-esn-9-1").json == {**empty, "type": "instance"}
    assert search(log_type="searchSlow").json == {**empty, "type": "searchSlow"}
    append(f"cluster/{CLUSTER}/{NODE}/deprecation", b"")
    assert search(log_type="deprecation").json == {**empty, "type": "deprecation"}


@pytest.mark.usefixtures("written")
def test_what_is_not_utf_8_and_what_json_escapes_is_shown() -> None:
    append(f"cluster/{CLUSTER}/{NODE}/searchSlow", b"INFO \xff\x00\x1b\xe8\xb6")
    (found,) = search(log_type="searchSlow").json["logList"]
    assert found == {"content": "INFO \ufffd\x00\x1b\ufffd", "date": None, "level": "INFO"}


def test_an_unknown_cluster_is_a_404_and_of_another_project_too() -> None:
    assert refused(send("search_logs")) == (404, "CSS.3027")
    append(LOG, b"INFO x\n")
    assert send("search_logs").status == 200
    path = event("search_logs")["rawPath"].replace(PROJECT, "f" * 32)
    parameters = {"project_id": "f" * 32, "cluster_id": CLUSTER}
    other = send("search_logs", rawPath=path, pathParameters=parameters, headers={"x-auth-token": OTHER_TOKEN})
    assert refused(other) == (404, "CSS.3027")


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize(
    ("fields", "named"),
    [({"level": "ALL|WARN"}, "level"), ({"log_type": "gc"}, "log_type"), ({"log_type": None}, "log_type"),
     ({"instance_name": "../x"}, "instance_name"), ({"instance_name": 1}, "instance_name"), ({"limit": 0}, "limit"),
     ({"limit": 10_001}, "limit"), ({"limit": 1.5}, "limit"), ({"time_index": "yesterday"}, "time_index"),
     ({"time_index": 5}, "time_index"), ({"keyword": "a" * 65}, "keyword"), ({"keyword": "*"}, "keyword"),
     ({"marker": "x"}, "marker"), ({"marker": -1}, "marker")],
)  # fmt: skip
def test_a_bad_field_is_named(fields: dict[str, Any], named: str) -> None:
    answer = search(**fields)
    assert refused(answer) == (400, "CSS.0001")
    assert f" {named}: " in answer.json["error_msg"]


@pytest.mark.parametrize("body", ["", "[]", "null", "{", '{"instance_name": "a"}', "x" * 20_000])
def test_a_body_that_is_no_request_is_refused(body: str) -> None:
    assert call("search_logs", event("search_logs", body=body)).status in {400, 413}


@pytest.mark.usefixtures("written")
def test_any_marker_is_answered() -> None:
    for offset in (0, 1, 57, 10**15, 10**17):
        assert search(marker=marker_at(offset)).status == 200
    assert search(marker=marker_at(0)).json["completed"] is True


@pytest.mark.usefixtures("written")
def test_a_marker_of_a_log_that_bore_the_name_before_is_refused() -> None:
    assert search(marker="57@000000000000").status == 400
    assert search(marker="57").status == 400


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize(
    ("case", "status", "found"),
    [("", 200, 9), ("-keyword", 200, 1), ("-before", 200, 0), ("-unknown_instance", 200, 0),
     ("-unknown_cluster", 404, None), ("-bad_level", 400, None)],
)  # fmt: skip
def test_the_event_files_do_what_their_names_say(case: str, status: int, found: int | None) -> None:
    answer = send(f"search_logs{case}")
    assert answer.status == status
    if found is not None:
        assert len(answer.json["logList"]) == found


def refused(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["error_code"]
