from urllib.parse import urlencode

import pytest

from tests.calls import a_build, a_check, append, call, event, send
from tests.conftest import marked
from tests.rewinding import Rewinding

pytestmark = pytest.mark.usefixtures("aws")
CHECK = a_check("a")
CHECKS = [CHECK, f"{CHECK}/x.log", a_check("ab")]
IDS = sorted([*(a_build(r, f"stage{n}") for r in ("a", "b") for n in (1, 2, 10)), *CHECKS])


def listed(**query):
    return call("list_logs", event("list_logs", rawQueryString=urlencode(query)))


def ids(answer) -> list[str]:
    return [each["log_id"] for each in answer.json["logs"]]


@pytest.fixture(scope="module")
def written(emulator: Rewinding, environment: dict[str, str]) -> None:
    with marked("logs", emulator, environment):
        for log_id in IDS:
            append(log_id, b"2026-01-01 00:00:00 INFO hello\n")


@pytest.fixture(autouse=True)
def logs(written: None, aws: None, emulator: Rewinding) -> None:
    emulator.rewind("logs")


def test_certificates_come_in_order_of_their_ids() -> None:
    answer = listed()
    assert ids(answer) == IDS
    assert answer.json["marker"] is None
    assert answer.json["logs"][0]["levels"] == {"INFO": 1}


@pytest.mark.parametrize("prefix", ["", "build/", "build/a", a_build("a"), CHECK, f"{CHECK}/", "x", "zzz"])
def test_a_prefix_selects(prefix) -> None:
    assert ids(listed(prefix=prefix)) == [each for each in IDS if each.startswith(prefix)]


@pytest.mark.parametrize("prefix", ["", "build/", CHECK])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_give_every_log_once(prefix, limit) -> None:
    found, marker = [], ""
    while marker is not None:
        page = listed(prefix=prefix, limit=limit, marker=marker)
        found += ids(page)
        marker = page.json["marker"]
    assert found == [each for each in IDS if each.startswith(prefix)]


def test_a_page_that_is_exactly_full_is_known_to_be_the_last() -> None:
    assert listed(limit=len(IDS)).json["marker"] is None
    assert listed(limit=len(IDS) - 1).json["marker"] == IDS[-2]


def test_a_marker_outside_the_prefix_is_harmless() -> None:
    assert ids(listed(prefix="build/", marker=CHECK)) == []
    assert ids(listed(prefix="check/", marker=a_build("a"))) == [each for each in IDS if each.startswith("check/")]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"prefix": "x" * 513}, "prefix"),
        ({"marker": "\U0010ffff"}, "marker"),
    ],
)
def test_a_bad_parameter_is_named(query, named) -> None:
    answer = listed(**query)
    assert (answer.status, answer.json["error_msg"].partition(":")[0]) == (400, named)


def test_the_event_files_do_what_their_names_say() -> None:
    send("append_log")
    assert ids(send("list_logs")) == ["build/5c77b71c-5b35-4f50-8984-76387e42451a/stage4"]
    assert send("list_logs-bad_limit").status == 400
