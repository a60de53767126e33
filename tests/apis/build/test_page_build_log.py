from typing import Any
from urllib.parse import urlencode

import pytest

from logkeep.reading.pages import PLACE
from tests.calls import BUILD, BUILD_NO, JOB, RECORD, Answer, append, call, event, seal, send
from tests.faults import counted

pytestmark = pytest.mark.usefixtures("aws")
LINES = [f"2026-01-01 10:00:00 INFO line {number}: 日志\n" for number in range(2500)]


def stage(number: int | str, text: str, *, is_open: bool = False) -> None:
    name = f"build/{RECORD}/stage{number}"
    append(name, text.encode(), offset=None, registered=BUILD)
    if not is_open:
        seal(name)


def page(**query: Any) -> Any:
    return call("page_build_log", event("page_build_log", rawQueryString=urlencode(query))).json["result"]


def stretch(**query: Any) -> Any:
    return call("page_build_log", event("page_build_log-v3", rawQueryString=urlencode(query))).json["result"]


def at(path: str, query: str = "", name: str = "page_build_log") -> Answer:
    return call("page_build_log", event(name, rawPath=path, rawQueryString=query))


def test_a_page_has_the_shape_of_the_sdks_model() -> None:
    stage(1, "one\ntwo\n")
    answer = send("page_build_log")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {
        "result": {"has_more": False, "start_offset": "0", "end_offset": "8", "log": "one\ntwo\n", "location": None},
        "error": None,
        "status": "success",
    }


def test_a_stretch_has_the_shape_of_the_sdks_model() -> None:
    stage(1, "one\ntwo\n")
    assert send("page_build_log-v3").json == {
        "result": {"has_more_data": False, "offset": 8, "content": "one\ntwo\n", "current_offset": 0},
        "error": None,
        "status": "success",
    }


@pytest.mark.parametrize("sort", ["AES", "ASC"])
def test_pages_forwards_are_the_stages_in_order(sort) -> None:
    stage(10, "".join(LINES[2000:]))
    stage(2, "".join(LINES[900:2000]))
    stage(1, "".join(LINES[:900]).rstrip("\n"))
    text, start = "", "0"
    for size in (1000, 1000, 500):
        found = page(sort=sort, start_offset=start, end_offset=0)
        assert found["start_offset"] == start
        assert found["log"].count("\n") == size
        text, start = text + found["log"], found["end_offset"]
    assert text == "".join(LINES)
    assert found["has_more"] is False
    assert page(start_offset=start) == found | {"start_offset": start, "log": ""}


def test_pages_backwards_are_the_last_lines_in_reading_order() -> None:
    stage(1, "".join(LINES[:900]).rstrip("\n"))
    stage(2, "".join(LINES[900:]))
    text, end = "", "0"
    for size in (1000, 1000, 500):
        found = page(sort="DESC", start_offset=0, end_offset=end)
        assert found["log"].count("\n") == size
        text, end = found["log"] + text, found["start_offset"]
    assert (text, found["has_more"], end) == ("".join(LINES), False, "0")


def test_stretches_by_bytes_are_the_whole_log() -> None:
    stage(1, "".join(LINES[:1000]))
    stage(3, "".join(LINES[1000:]))
    text, offset, more = "", 0, True
    while more:
        found = stretch(offset=offset, length=10_000)
        assert found["current_offset"] == offset
        text, offset, more = text + found["content"], found["offset"], found["has_more_data"]
    assert text == "".join(LINES)
    assert stretch() == stretch(offset=0, length=10**9)


def test_a_log_that_is_open_has_more_until_it_is_sealed() -> None:
    stage(1, "one\n", is_open=True)
    found = page()
    assert (found["log"], found["has_more"]) == ("one\n", True)
    stage(1, "two\n", is_open=True)
    found = page(start_offset=found["end_offset"])
    assert (found["log"], found["has_more"]) == ("two\n", True)
    assert stretch(offset=8) == {"has_more_data": True, "offset": 8, "content": "", "current_offset": 8}
    seal(f"build/{RECORD}/stage1")
    assert page(start_offset=found["end_offset"])["has_more"] is False


def test_an_end_is_not_passed() -> None:
    stage(1, "one\ntwo\nthree\n")
    stage(2, "four\n")
    assert page(start_offset=4, end_offset=8) == {
        "has_more": False,
        "start_offset": "4",
        "end_offset": "8",
        "log": "two\n",
        "location": None,
    }
    assert page(start_offset=9, end_offset=PLACE + 2)["log"] == "hree\nfo"
    assert page(sort="DESC", start_offset=4, end_offset=14, size=1) == {
        "has_more": True,
        "start_offset": "8",
        "end_offset": "14",
        "log": "three\n",
        "location": None,
    }


@pytest.mark.parametrize("offset", [4, 5, PLACE - 1, PLACE + 99, 10**18 - 1])
def test_a_position_beyond_the_end_is_an_empty_page(offset) -> None:
    stage(1, "one\n")
    assert (page(start_offset=offset)["log"], stretch(offset=offset)["content"]) == ("", "")
    assert page(sort="DESC", end_offset=offset)["log"] == "one\n"


def test_a_line_that_is_longer_than_a_page_goes_on_in_the_next() -> None:
    text = "文" * 700_000 + "\nend\n"
    stage(1, text)
    for sort, passed, read in (("ASC", "start_offset", "end_offset"), ("DESC", "end_offset", "start_offset")):
        found, pages = page(sort=sort), []
        while found["has_more"]:
            pages.append(found["log"])
            found = page(sort=sort, **{passed: found[read]})
        pages.append(found["log"])
        assert "".join(pages if sort == "ASC" else reversed(pages)) == text
        assert max(len(each.encode()) for each in pages) <= 1_000_000


def test_bytes_that_are_no_utf8_are_shown_as_such_and_paged_to_the_end() -> None:
    append(f"build/{RECORD}/stage1", bytes(range(256)) * 12_000, registered=BUILD)
    seal(f"build/{RECORD}/stage1")
    text, found = "", page()
    while found["has_more"]:
        text += found["log"]
        found = page(start_offset=found["end_offset"])
    assert text + found["log"] == (bytes(range(256)) * 12_000).decode("utf-8", "replace")


def test_a_page_costs_the_same_however_long_the_log_is() -> None:
    name = f"build/{RECORD}/stage1"
    append(name, b"".join(b"%0999d\n" % number for number in range(4000)), registered=BUILD)
    with counted() as few:
        page(sort="DESC", size=10)
    for start in range(4, 24, 4):
        append(name, b"".join(b"%0999d\n" % number for number in range(4000)), offset=start * 1_000_000)
    for query in ({"sort": "DESC", "size": 10}, {"start_offset": 11_000_000, "size": 10}):
        with counted() as many:
            assert page(**query)["log"].count("\n") == 10
        assert many.total() <= few.total() + 1


def test_the_newest_record_of_a_build_is_shown() -> None:
    stage(1, "first\n")
    append("build/another-record/stage1", b"second\n", registered=BUILD)
    assert page()["log"] == "second\n"


def test_the_build_may_be_in_the_query_and_size_in_text() -> None:
    stage(1, "one\ntwo\n")
    found = send("page_build_log-stage").json["result"]
    assert (found["log"], found["start_offset"]) == ("one\ntwo\n", "0")
    assert page(size="1")["log"] == "one\n"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("start_offset=-1", "start_offset"),
        ("start_offset=x", "start_offset"),
        ("end_offset=1.0", "end_offset"),
        ("end_offset=" + "9" * 19, "end_offset"),
        ("sort=asc", "sort"),
        ("size=-1", "size"),
        ("size=1001", "size"),
        ("size=%00", "size"),
        ("size=1&size=2", "size"),
    ],
)
def test_a_bad_parameter_is_named(query, named) -> None:
    answer = call("page_build_log", event("page_build_log", rawQueryString=query))
    assert (answer.status, answer.json["error_code"]) == (400, "CB.00060200")
    assert f" {named}: " in answer.json["error_msg"]


@pytest.mark.parametrize(("query", "named"), [("offset=-1", "offset"), ("length=-1", "length"), ("length=a", "length")])
def test_a_bad_parameter_of_a_stretch_is_named(query, named) -> None:
    answer = call("page_build_log", event("page_build_log-v3", rawQueryString=query))
    assert (answer.status, f" {named}: " in answer.json["error_msg"]) == (400, True)


@pytest.mark.parametrize(
    ("job", "number", "named"),
    [
        (JOB[1:], BUILD_NO, "job_id"),
        (JOB[1:] + "/", BUILD_NO, None),
        ("é" * 32, BUILD_NO, "job_id"),
        (JOB, 0, "build_no"),
        (JOB, "-1", "build_no"),
        (JOB, "1e3", "build_no"),
        (JOB, "9" * 40, "build_no"),
        ("{job_id}", "{build_no}", "job_id"),
    ],
)
@pytest.mark.parametrize("form", ["/v1/log/{}/{}/real-time-log", "/v3/jobs/{}/{}/real-time-log"])
def test_a_bad_build_is_named_and_the_query_is_not_the_path(form, job, number, named) -> None:
    answer = at(form.format(job, number), urlencode(BUILD))
    if named:
        assert (answer.status, f" {named}: " in answer.json["error_msg"]) == (400, True)
    else:
        assert answer.status == 404


def test_in_the_query_both_are_required() -> None:
    for query, named in ((f"job_id={JOB}", "build_no"), ("build_no=1", "job_id")):
        answer = at("/v1/log/stage/page", query, "page_build_log-stage")
        assert (answer.status, f" {named}: is required" in answer.json["error_msg"]) == (400, True)


def test_the_event_files_do_what_their_names_say() -> None:
    stage(1, "one\n")
    for name in ("page_build_log", "page_build_log-stage", "page_build_log-v3"):
        assert send(name).status == 200
    assert send("page_build_log-bad_sort").json["error_code"] == "CB.00060200"
    assert send("page_build_log-unknown_build").json["error_code"] == "CB.00060404"
