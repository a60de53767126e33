"""Queries through the function read_log: text, JSON lines, headers, and what they cost."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from logkeep.aws import clients
from logkeep.logid import LogId
from logkeep.logs.store import log_store
from logkeep.settings import settings
from tests.calls import PROJECT, RECORD, Answer, HurriedClock, append, call, event, log_request, seal, streamed
from tests.faults import counted

pytestmark = pytest.mark.usefixtures("aws")
LOG = "app/read/one"
JSON = "application/x-ndjson"


def ask(log: str = LOG, accept: str = "*/*", **query: Any) -> Answer:
    return call("read_log", log_request("read_log", log, urlencode(query), headers={"accept": accept}))


def lines_of(answer: Answer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.body.splitlines() if line]


def day(*levels: str) -> bytes:
    return b"".join(b"2026-11-22T08:00:%02dZ %s n%d\n" % (n, each.encode(), n) for n, each in enumerate(levels))


def test_text_says_in_headers_how_much_it_is() -> None:
    append(LOG, day("INFO", "ERROR", "INFO", "WARN"))
    answer = ask(level="warn")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert answer.body == b"2026-11-22T08:00:01Z ERROR n1\n2026-11-22T08:00:03Z WARN n3\n"
    told = {name: value for name, value in answer.headers.items() if name.startswith("Logkeep-")}
    cursor = told.pop("Logkeep-Cursor")
    assert told == {
        "Logkeep-Complete": "true",
        "Logkeep-Matched": "2",
        "Logkeep-More": "false",
        "Logkeep-Scanned-Bytes": "117",
    }
    append(LOG, day("ERROR"), None)
    assert ask(level="warn", cursor=cursor).body == day("ERROR")


def test_json_lines_say_where_when_and_what_a_line_is() -> None:
    append(LOG, b"before\n" + day("INFO", "ERROR") + b"\tat a.b(C.java)\n\xff")
    *lines, last = lines_of(ask(accept=JSON))
    shown = [(each["line"], each["offset"], each["time"], each["level"], each.get("text")) for each in lines]
    assert shown == [
        (1, 0, None, None, "before"),
        (2, 7, 1795334400000, "INFO", "2026-11-22T08:00:00Z INFO n0"),
        (3, 36, 1795334401000, "ERROR", "2026-11-22T08:00:01Z ERROR n1"),
        (4, 66, 1795334401000, "ERROR", "\tat a.b(C.java)"),
        (5, 82, 1795334401000, None, None),
    ]
    assert lines[4]["data"] == "/w=="
    assert {name: last[name] for name in ("end", "more", "matched", "complete", "gaps", "state")} == {
        "end": True, "more": False, "matched": 5, "complete": True, "gaps": [], "state": "open",
    }  # fmt: skip
    *rest, last = lines_of(ask(accept=JSON, cursor=lines[1]["cursor"]))
    assert [each["line"] for each in rest] == [3, 4, 5]
    context = lines_of(ask(accept=JSON, grep="n1", context=1))
    assert [each.get("context", False) for each in context[:-1]] == [True, False, True]


def test_a_limited_answer_continues_at_its_cursor() -> None:
    append(LOG, b"".join(b"line %d\n" % number for number in range(10)))
    first = ask(limit=4)
    assert first.headers["Logkeep-Complete"] == "false"
    assert "Logkeep-Matched" not in first.headers
    second = ask(limit=100, cursor=first.headers["Logkeep-Cursor"])
    assert (first.body + second.body).count(b"\n") == 10
    assert second.headers["Logkeep-Complete"] == "true"
    assert ask(max_bytes=10).body == b"line 0\n"
    assert ask(max_bytes=3).body == b"lin"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("grep=(", "grep"), ("grep=a%0Ab", "grep"), ("grep=" + "a" * 1001, "grep"), ("fixed=true", "fixed"),
        ("grep=(a{1000}){1000}", "grep"), ("since=yesterday", "since"), ("since=2&until=1", "since"),
        ("lines=0", "lines"),
        ("lines=3-2", "lines"), ("lines=a", "lines"), ("level=loud", "level"), ("tail=-1", "tail"),
        ("limit=0", "limit"),
        ("tail=1&limit=1", "limit"), ("order=desc&tail=1", "tail"), ("order=up", "order"), ("cursor=0-0", "cursor"),
        ("follow=true&count=true", "count"), ("invert=maybe", "invert"), ("before=1001", "before"),
        ("max_bytes=0", "max_bytes"), ("ansi=red", "ansi"), ("colour=red", "colour"), ("tail_bytes=4", "tail_bytes"),
    ],
)  # fmt: skip
def test_a_bad_value_is_named(query: str, field: str) -> None:
    append(LOG, b"one\n")
    answer = call("read_log", log_request("read_log", LOG, query))
    assert (answer.status, answer.json["error_code"]) == (400, "LOGKEEP.0400")
    assert answer.json["error_msg"].startswith(f"{field}: ")


def test_colours_are_kept_or_left_out() -> None:
    append(LOG, b"\x1b[32mgreen\x1b[0m\x1b[2K\x07\n10%\r50%\r100%\n\x1b]8;;https://a\x07link\x1b]8;;\x07 \x1b[1m\n")
    assert ask(ansi="strip").body == b"green\n100%\nlink \n"
    assert ask(ansi="color").body == b"\x1b[32mgreen\x1b[0m\n100%\nlink \x1b[1m\n\x1b[0m"
    assert ask(ansi="raw").body.startswith(b"\x1b[32mgreen\x1b[0m\x1b[2K\x07\n")


def lose_an_object(log: str) -> tuple[int, int]:
    """Delete the object of a log's second fragment. Where that is, and how many bytes it has."""
    store = log_store(PROJECT)
    row = list(store.rows(store.head(LogId.parse(log))))[1]
    clients.s3().delete_object(Bucket=settings().bucket, Key=row.extent.key)  # type: ignore[union-attr]  # large
    return row.fragment.offset, row.fragment.raw


def large(seed: int) -> bytes:
    """Text that is too large for a row."""
    return b"".join(b"%d %d\n" % (seed, pow(seed + 3, number + 500, 2**2000)) for number in range(40))


def test_what_is_lost_is_named_and_passed() -> None:
    for seed in range(3):
        append(LOG, large(seed), None)
    offset, size = lose_an_object(LOG)
    answer = ask(grep=".")
    assert answer.status == 200
    assert answer.body == large(0) + large(2)
    assert answer.headers["Logkeep-Complete"] == "false"
    assert answer.headers["Logkeep-Lost"] == f"{offset}+{size}"
    lines = lines_of(ask(accept=JSON))
    assert [(each["offset"], each["lost"]) for each in lines if "lost" in each] == [(offset, size)]
    assert (lines[-1]["complete"], lines[-1]["gaps"]) == (False, [{"offset": offset, "bytes": size}])
    assert ask(tail=40).body == large(2)
    assert ask(order="desc", limit=1).body == large(2).splitlines(keepends=True)[-1]


def test_a_row_that_is_missing_is_lost_text() -> None:
    for seed in range(3):
        append(LOG, b"seed %d\n" % seed, None)
    store = log_store(PROJECT)
    rows = list(store.rows(store.head(LogId.parse(LOG))))
    key = f"{PROJECT}/{LOG}@{store.head(LogId.parse(LOG)).birth}"
    clients.dynamodb().delete_item(
        TableName=store.table, Key={"pk": {"S": key}, "sk": {"S": f"frag/{rows[1].fragment.offset:016d}"}}
    )
    for query in ({"grep": "seed"}, {"lines": "1-"}, {"lines": "2-"}, {"since": "2020-01-01T00:00:00Z"}):
        answer = ask(**query)
        assert answer.status == 200
        assert answer.body.endswith(b"seed 2\n")
        assert answer.headers["Logkeep-Lost"] == f"{rows[1].fragment.offset}+7"


def test_a_stream_answers_as_the_api_does() -> None:
    append(LOG, day("INFO", "ERROR"))
    request = log_request("read_log", LOG, "grep=ERROR")
    api, at_once = call("read_log", request), streamed("read_log", request)
    assert api.body == at_once.body
    for name in ("Logkeep-Matched", "Logkeep-Complete", "Logkeep-Cursor", "Logkeep-Scanned-Bytes"):
        assert api.headers[name] == at_once.headers[name]


def test_nothing_found_is_an_empty_answer() -> None:
    append(LOG, b"one\n")
    assert (ask(grep="two").body, ask(grep="two").headers["Logkeep-Matched"]) == (b"", "0")
    assert streamed("read_log", log_request("read_log", LOG, "grep=two")).body == b""
    assert ask(grep="one", count="true").body == b"1\n"
    assert ask("app/none", grep="one").status == 404


def ranged(value: str, **headers: str) -> Answer:
    return call("read_log", log_request("read_log", LOG, headers={"range": value, **headers}))


def measured(log: str = LOG) -> Answer:
    request = log_request("read_log", log)
    request["requestContext"]["http"]["method"] = "HEAD"
    return call("read_log", request)


def test_ranges_are_of_the_bytes_of_the_log() -> None:
    append(LOG, b"0123456789")
    for value, body, told in [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=8-20", b"89", "bytes 8-9/10"),
        ("bytes=3-", b"3456789", "bytes 3-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", b"0123456789", "bytes 0-9/10"),
    ]:
        answer = ranged(value)
        assert (answer.status, answer.sent, answer.headers["Content-Range"]) == (206, body, told)
        assert answer.headers["Accept-Ranges"] == "bytes"
        at_once = streamed("read_log", log_request("read_log", LOG, headers={"range": value}))
        assert (at_once.status, at_once.sent, at_once.headers["Content-Range"]) == (206, body, told)
    for value in ("bytes=10-", "bytes=10-12", "bytes=-0"):
        answer = ranged(value)
        assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */10")
    append(LOG + "/empty", b"")
    for value in ("bytes=-5", "bytes=0-"):
        empty = call("read_log", log_request("read_log", LOG + "/empty", headers={"range": value}))
        assert (empty.status, empty.headers["Content-Range"]) == (416, "bytes */0")
    for value in ("bytes=0-1,3-4", "lines=1-2", "bytes=5-2", "bytes=-", "bytes"):
        assert (ranged(value).status, ranged(value).body) == (200, b"0123456789")


def test_a_range_of_other_bytes_is_the_whole() -> None:
    append(LOG, b"0123456789")
    tag = ranged("bytes=0-1").headers["ETag"]
    assert ranged("bytes=0-1", **{"if-range": tag}).status == 206
    assert ranged("bytes=0-1", **{"if-range": f"W/{tag}"}).status == 200
    append(LOG, b"more", 10)
    assert ranged("bytes=0-1", **{"if-range": tag}).body == b"0123456789more"
    assert measured().headers["ETag"] != tag


def test_head_says_how_large_a_log_is() -> None:
    append(LOG, b"0123456789")
    answer = measured()
    assert (answer.status, answer.sent, answer.headers["Content-Length"]) == (200, b"", "10")
    assert answer.headers["ETag"] == ranged("bytes=0-1").headers["ETag"]
    assert measured("app/none").status == 404


def test_ranges_of_a_packed_file_are_of_its_packed_bytes() -> None:
    append(f"build/{RECORD}/stage1", b"0123456789" * 100)
    packed = event("download_build_log", rawQueryString="task_name=stage1&compress=true")
    file = call("download_build_log", packed)
    assert file.headers["Accept-Ranges"] == "bytes"
    packed["headers"]["range"] = "bytes=4-9"
    part = call("download_build_log", packed)
    assert (part.status, part.sent) == (206, file.sent[4:10])
    assert part.headers["Content-Range"] == f"bytes 4-9/{len(file.sent)}"


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have something done while a follower waits: at(s5=…)."""
    return lambda **due: monkeypatch.setattr("logkeep.reading.http.CLOCK", HurriedClock(**due))


def test_what_matches_is_followed(at) -> None:
    append(LOG, day("INFO", "ERROR", "INFO"))
    at(
        s3=lambda: append(LOG, b"2026-11-22T08:00:05Z ERROR la", None),
        s5=lambda: append(LOG, b"ter\n2026-11-22T08:00:06Z INFO x\n2026-11-22T08:00:07Z ERROR end", None),
        s7=lambda: seal(LOG),
    )
    *found, last = lines_of(ask(follow="true", level="ERROR"))
    assert [each["text"][21:] for each in found] == ["ERROR n1", "ERROR later", "ERROR end"]
    assert (last["end"], last["more"], last["complete"], last["state"]) == (True, False, True, "sealed")
    *rest, _ = lines_of(ask(follow="true", level="ERROR", cursor=found[0]["cursor"]))
    assert [each["text"][21:] for each in rest] == ["ERROR later", "ERROR end"]


def test_a_follow_may_begin_with_the_last_lines() -> None:
    append(LOG, b"one\ntwo\nthree\n")
    seal(LOG)
    *found, _ = lines_of(ask(follow="true", tail=2))
    assert [each["text"] for each in found] == ["two", "three"]


def events_of(answer: Answer) -> list[dict[str, str]]:
    blocks = [block for block in answer.body.decode().split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


@pytest.mark.parametrize("query", [{}, {"grep": "."}])
def test_a_follow_may_be_events_which_continue_after_the_last_id(query: dict[str, str]) -> None:
    append(LOG, b"one\ntwo\n")
    seal(LOG)
    answer = ask(accept="text/event-stream", follow="true", **query)
    assert answer.headers["Content-Type"] == "text/event-stream"
    retry, first, *_, end = events_of(answer)
    assert retry == {"retry": "2000"}
    assert (first["event"], end["event"]) == ("log", "end")
    assert json.loads(first["data"])["cursor"] == first["id"]
    request = log_request("read_log", LOG, urlencode({"follow": "true", **query}))
    request["headers"] |= {"accept": "text/event-stream", "last-event-id": end["id"]}
    assert call("read_log", request).status == 204, "a browser would come back for ever"
    request["headers"]["last-event-id"] = "0-00000000"
    assert call("read_log", request).status == 400


@pytest.mark.parametrize("query", ["tail=2", "cursor={0}", "tail_bytes=8", "cursor={0}&grep=."])
def test_events_continue_where_a_browser_got_to_whatever_its_query_says(query: str) -> None:
    append(LOG, b"one\ntwo\n")
    beginning = lines_of(ask(follow="true", accept=JSON))[0]["cursor"]
    cursor = lines_of(ask(limit=1, accept=JSON))[0]["cursor"]
    append(LOG, b"three\n", None)
    seal(LOG)
    request = log_request("read_log", LOG, f"follow=true&{query.format(cursor)}")
    request["headers"] |= {"accept": "text/event-stream", "last-event-id": beginning}
    told = [json.loads(each["data"]) for each in events_of(call("read_log", request)) if "data" in each]
    assert [each["text"].strip() for each in told[:-1]] == ["three"]


def test_the_volume_is_by_time_and_says_where_it_is_rough() -> None:
    append(LOG, b"2026-11-22T08:00:00Z INFO a\n2026-11-22T08:00:59Z ERROR b\n", None)
    append(LOG, b"2026-11-22T08:01:00Z INFO c\n\tmore\n", None)
    append(LOG, b"2026-11-22T08:01:30Z WARN d\n2026-11-22T08:03:00Z WARN e\n", None)
    with counted() as requests:
        answer = ask(volume="minute")
    assert requests["GetObject"] == 0
    first = 1795334400000
    assert answer.json["slots"] == [
        {"time": first, "lines": 2, "bytes": 57, "records": {"INFO": 1, "ERROR": 1}, "wide": 0},
        {"time": first + 60_000, "lines": 4, "bytes": 90, "records": {"INFO": 1, "WARN": 2}, "wide": 2},
    ]
    assert answer.json["complete"]
    assert [each["lines"] for each in ask(volume="day").json["slots"]] == [6]
    assert [each["time"] for each in ask(volume="minute", since="2026-11-22T08:01:00Z").json["slots"]] == [
        first + 60_000
    ]
    assert [each["time"] for each in ask(volume="minute", until=first + 60_000).json["slots"]] == [first]
    append(LOG + "/timeless", b"one\n")
    assert ask(LOG + "/timeless", volume="hour").json["slots"][0]["time"] is None
    assert ask(volume="year").status == ask(volume="day", grep="a").status == 400


def test_the_outline_has_sections_errors_levels_and_silences() -> None:
    append(
        LOG,
        b"\x1b[0Ksection_start:1795334400:build[collapsed=true]\r\x1b[0K\x1b[36mBuilding\x1b[0m\n"
        b"2026-11-22T08:00:00Z ::group::Compile\n2026-11-22T08:00:01Z INFO a\n2026-11-22T08:00:02Z ::endgroup::\n"
        b"\x1b[0Ksection_end:1795334460:build\r\x1b[0K\x1b[0Ksection_start:1795334460:test\r\x1b[0KTesting\n",
    )
    append(LOG, b"2026-11-22T09:00:00Z ERROR it broke\n\tat a.b(C.java)\n2026-11-22T09:00:01Z ERROR again\n", None)
    answer = ask(outline="true")
    assert answer.status == 200
    told = answer.json
    shown = [
        (each["name"], each["title"], each["depth"], each["first_line"], each["last_line"], each["duration"])
        for each in told["sections"]
    ]
    assert shown == [
        ("build", "Building", 0, 1, 5, 60_000),
        ("Compile", "Compile", 1, 2, 4, 2_000),
        ("test", "Testing", 0, 5, None, None),
    ]
    assert [(each["line"], each["text"]) for each in told["errors"]] == [
        (6, "2026-11-22T09:00:00Z ERROR it broke"), (8, "2026-11-22T09:00:01Z ERROR again"),
    ]  # fmt: skip
    assert [each["records"] for each in told["stretches"]] == [{"INFO": 1}, {"ERROR": 2}]
    assert [(each["since"], each["until"]) for each in told["silences"]] == [(1795334402000, 1795338000000)]
    assert told["complete"]
    assert ask(outline="true", tail=1).status == 400
