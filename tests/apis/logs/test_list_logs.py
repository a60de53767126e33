from typing import Any, get_args
from urllib.parse import urlencode

import pytest

from logkeep.apis.logs.http import WINDOW_MAX, ListQuery
from logkeep.clock import DAY, HOUR, now_ms
from logkeep.logid import KINDS
from tests.calls import Answer, a_build, a_check, append, call, event, send
from tests.conftest import marked
from tests.rewinding import Rewinding

pytestmark = pytest.mark.usefixtures("aws")
CHECK = a_check("a")
CHECKS = [CHECK, f"{CHECK}/x.log", a_check("ab")]
IDS = sorted([*(a_build(r, f"stage{n}") for r in ("a", "b") for n in (1, 2, 10)), *CHECKS])


def listed(**query: Any) -> Answer:
    return call("list_logs", event("list_logs", rawQueryString=urlencode(query, doseq=True)))


def ids(answer: Answer) -> list[str]:
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


BAD: list[tuple[dict[str, Any], str]] = [
    ({"limit": 0}, "limit"),
    ({"limit": 1001}, "limit"),
    ({"prefix": "x" * 513}, "prefix"),
    ({"marker": "\U0010ffff"}, "marker"),
    ({"kind": "apps"}, "kind"),
    ({"state": "closed"}, "state"),
    ({"label": "team"}, "label.0"),
    ({"label": "te-am=a"}, "label.0"),
    ({"label": "team="}, "label.0"),
    ({"label": f"team={'a' * 129}"}, "label.0"),
    ({"label": ["a=b"] * 21}, "label"),
    ({"since": "yesterday"}, "since"),
    ({"since": "1795334400"}, "since"),
    ({"since": "2026-11-28"}, "since"),
    ({"since": "2026-11-28T08:00:00"}, "since"),
    ({"since": "2026-02-30T08:00:00Z"}, "since"),
    ({"since": "-1h"}, "since"),
    ({"since": "32d"}, "since"),
    ({"until": "1e12"}, "until"),
    ({"until": "253402300800000"}, "until"),
    ({"since": "1h", "until": "2h"}, "since"),
    ({"since": "2099-01-01T00:00:00Z"}, "since"),
    ({"since": "1795334400000", "until": "1798012800001"}, "since"),
]


def test_a_bad_parameter_is_named() -> None:
    for query, named in BAD:
        answer = listed(**query)
        assert (answer.status, answer.json["error_msg"].partition(":")[0]) == (400, named), query


def test_a_listing_without_a_time_says_that_it_covers_all() -> None:
    answer = listed(limit=2).json
    assert (answer["since"], answer["until"], answer["marker"]) == (None, None, IDS[1])


@pytest.mark.parametrize("form", ["1795334400000", "2026-11-22T08:00:00Z", "2026-11-22t16:00:00.000+08:00"])
def test_a_listing_of_a_time_says_which_and_has_the_logs_with_text_of_it(form: str) -> None:
    append("app/web", b"2026-11-22 08:00:01 INFO hello\n", headers={"logkeep-labels": "team=a"})
    answer = listed(since=form, until="2026-11-22T09:00:00Z", label=["team=a", "kind=app"], kind="app", state="open")
    assert (ids(answer), answer.json["marker"]) == (["app/web"], None)
    assert (answer.json["since"], answer.json["until"]) == (1_795_334_400_000, 1_795_338_000_000)
    assert ids(listed(since=form, until="2026-11-22T09:00:00Z", label="team=b")) == []
    assert ids(listed(since=form, until="2026-11-22T09:00:00Z", state="sealed")) == []


def test_a_plus_that_was_not_encoded_is_one() -> None:
    answer = call("list_logs", event("list_logs", rawQueryString="since=2026-11-22T16:00:00+08:00&until=1795338000000"))
    assert answer.json["since"] == 1_795_334_400_000


def test_since_alone_ends_now_and_until_alone_begins_a_day_before() -> None:
    begin = now_ms()
    answer = listed(since="2h").json
    assert begin <= answer["until"] <= now_ms()
    assert 0 <= answer["since"] - (begin - 2 * HOUR) <= now_ms() - begin
    assert {each["log_id"] for each in answer["logs"]} == set(IDS), "their text arrived just now"
    answer = listed(until="1795338000000").json
    assert answer["until"] - answer["since"] == DAY
    longest = ListQuery.model_validate({"since": "31d"}).selection(now_ms() - 1000).window
    assert longest is not None
    assert longest.until - longest.since <= WINDOW_MAX


def test_the_kinds_that_may_be_asked_for_are_those_of_ids() -> None:
    for kind in KINDS:
        assert {each.partition("/")[0] for each in ids(listed(kind=kind))} <= {kind}
    assert set(get_args(get_args(ListQuery.model_fields["kind"].annotation)[0])) == set(KINDS)


def test_the_event_files_do_what_their_names_say() -> None:
    send("append_log")
    assert ids(send("list_logs")) == ["build/5c77b71c-5b35-4f50-8984-76387e42451a/stage4"]
    assert send("list_logs-bad_limit").status == 400
    send("append_log-of_an_app")
    assert ids(send("list_logs-of_a_day")) == ["app/shop/web/2026-11-22"]
    assert send("list_logs-long_window").status == 400
