"""Following through the functions: the answers, what they cost, and how they end."""

import base64
import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from logkeep.clock import now_ms
from logkeep.limits import ANSWER_MAX
from logkeep.logid import LogId
from logkeep.logs.store import LogStore, log_store
from logkeep.settings import settings
from tests.calls import (
    OTHER_PROJECT,
    PROJECT,
    RECORD,
    TASK,
    Answer,
    HurriedClock,
    append,
    call,
    event,
    log_request,
    seal,
    send,
    stream,
    streamed,
)
from tests.conformance.kuscia_messages import QueryLogResponse, parse
from tests.faults import counted

pytestmark = pytest.mark.usefixtures("aws")
LOG = f"build/{RECORD}/stage1"
MAIN = f"task/{TASK}/0/main"


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., HurriedClock]:
    """Have something done while a follower waits: at(s5=…)."""

    def set_clock(**due: Callable[[], object]) -> HurriedClock:
        clock = HurriedClock(**due)
        monkeypatch.setattr("logkeep.reading.http.CLOCK", clock)
        return clock

    return set_clock


def follow(log: str = LOG, **query: Any) -> Answer:
    text = "&".join(["follow=true", *(f"{name}={value}" for name, value in query.items())])
    return call("read_log", log_request("read_log", log, text))


def records(body: bytes) -> tuple[bytes, list[dict[str, Any]], dict[str, Any]]:
    """The text, the records, and the last of them."""
    *told, last = [json.loads(line) for line in body.splitlines() if line]
    text = b"".join(each["text"].encode() if "text" in each else base64.b64decode(each["data"]) for each in told)
    return text, told, last


def query(**fields: Any) -> dict[str, Any]:
    return event("query_task_log", body=json.dumps({"task_id": TASK, "follow": True, **fields}))


def logs(body: bytes) -> list[str]:
    """What the messages hold; each is one of Kuscia's, to the letter."""
    parsed = [parse(line.decode(), QueryLogResponse) for line in body.split(b"\n") if line]
    assert all(message.status.code == 0 for message in parsed)
    return [message.log for message in parsed]


# read_log


def test_a_sealed_log_is_followed_to_its_end_and_that_is_told() -> None:
    append(LOG, b"one\ntwo\n")
    seal(LOG)
    answer = follow()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-ndjson")
    assert answer.headers["Cache-Control"] == "private, no-store"
    text, (record,), last = records(answer.body)
    assert text == b"one\ntwo\n"
    assert (record["offset"], last["offset"]) == (0, 8)
    assert record["cursor"] == last["cursor"]
    assert (last["end"], last["more"], last["state"]) == (True, False, "sealed")


def test_what_is_appended_meanwhile_comes_and_the_seal_ends_it(at) -> None:
    append(LOG, b"one\n")
    at(
        s3=lambda: append(LOG, b"two\n", 4),
        s4=lambda: append(LOG, b"thr", 8),
        s5=lambda: append(LOG, b"ee\n\xff", 11),
        s6=lambda: seal(LOG),
    )
    text, told, last = records(follow().body)
    assert text == b"one\ntwo\nthree\n\xff"
    assert [each["offset"] for each in told] == [0, 4, 8, 11, 14]
    assert (last["more"], last["state"]) == (False, "sealed")


def test_an_open_log_is_followed_for_twenty_five_seconds_in_an_answer_that_is_not_streamed(at) -> None:
    append(LOG, b"one\n")
    clock = at(s24=lambda: append(LOG, b"two\n", 4))
    body = follow().body
    assert 24 < clock.now() <= 25
    assert b"\n\n" in body, "a heartbeat"
    text, _, last = records(body)
    assert text.startswith(b"one\n")
    assert (last["more"], last["state"]) == (True, "open")
    rest, _, _ = records(follow(cursor=last["cursor"]).body)
    assert text + rest == b"one\ntwo\n"


def test_a_stream_lasts_as_long_as_the_parameter_says_and_costs_little(monkeypatch, at) -> None:
    monkeypatch.setenv("FOLLOW_SECONDS", "120")
    settings.cache_clear()
    append(LOG, b"one\n")
    with counted() as requests:
        body = streamed("read_log", log_request("read_log", LOG, "follow=true")).body
    assert records(body)[0] == b"one\n"
    # To prove the caller and to find the log: two. Then two a second while it may grow, and one in five.
    assert requests["GetItem"] <= 2 + 10 * 2 + 110 / 5
    assert 1 <= requests["UpdateItem"] <= 2, "one note, for which no time passes here, and the project's limit"


def test_a_log_larger_than_an_answer_comes_in_several(at) -> None:
    noise = random.Random(3)
    whole = b""
    while len(whole) < ANSWER_MAX * 5 // 4:
        more = noise.randbytes(1 << 20).hex().encode()
        append(LOG, more, len(whole))
        whole += more
    seal(LOG)
    answer = follow()
    assert ANSWER_MAX * 0.9 < len(answer.sent) <= ANSWER_MAX
    text, _, last = records(answer.body)
    assert (last["more"], last["state"]) == (True, "sealed")
    rest, _, last = records(follow(cursor=last["cursor"]).body)
    assert text + rest == whole
    assert not last["more"]


def test_a_reader_may_begin_with_the_end() -> None:
    append(LOG, b"one\ntwo\nthree\n")
    seal(LOG)
    assert records(follow(tail_bytes=8).body)[0] == b"three\n"
    assert records(follow(tail_bytes=0).body)[0] == b""
    assert records(follow(tail_bytes=10**15).body)[0] == b"one\ntwo\nthree\n"


def test_a_cursor_of_elsewhere_is_refused_and_nothing_is_sent() -> None:
    append(LOG, b"one\n")
    append(f"build/{RECORD}/stage2", b"a longer one\n")
    seal(f"build/{RECORD}/stage2")
    foreign = records(follow(f"build/{RECORD}/stage2").body)[2]["cursor"]
    for cursor in ("x", "0", "4-00000000", foreign, "9" * 65, "%00"):
        answer = follow(cursor=cursor)
        assert (answer.status, answer.json["error_code"]) == (400, "LOGKEEP.0400")
        assert "cursor" in answer.json["error_msg"]


def test_a_cursor_beyond_the_end_is_refused() -> None:
    append(LOG, b"one\n")
    seal(LOG)
    cursor = records(follow().body)[2]["cursor"]
    store = log_store(PROJECT)
    store.dynamodb.update_item(  # what no log does by itself
        TableName=store.table,
        Key={"pk": {"S": f"{PROJECT}/build/{RECORD}"}, "sk": {"S": "head/stage1"}},
        UpdateExpression="SET #end = :end",
        ExpressionAttributeNames={"#end": "end"},
        ExpressionAttributeValues={":end": {"N": "3"}},
    )
    answer = follow(cursor=cursor)
    assert answer.status == 400
    assert "which holds 3 bytes" in answer.json["error_msg"]


@pytest.mark.parametrize(
    "text",
    ["follow=yes", "follow=1", "follow=true&follow=true", "cursor=0-0", "tail_bytes=5", "follow=false&tail_bytes=5",
     "follow=true&tail_bytes=-1", "follow=true&tail_bytes=1.0", "follow=true&tail_bytes=5&cursor=0-0"],
)  # fmt: skip
def test_what_does_not_fit_is_refused(text: str) -> None:
    append(LOG, b"one\n")
    assert call("read_log", log_request("read_log", LOG, text)).status == 400


def test_an_unknown_log_and_another_projects_are_refused_before_anything_is_sent() -> None:
    assert follow("build/none/stage1").status == 404
    append(LOG, b"one\n")
    request = log_request("read_log", LOG, "follow=true")
    request["rawPath"] = request["rawPath"].replace(PROJECT, OTHER_PROJECT)
    request["pathParameters"]["project_id"] = OTHER_PROJECT
    assert call("read_log", request).status == 403


def test_producers_hear_of_followers_and_one_note_does_for_many() -> None:
    append(LOG, b"one\n")
    assert append(LOG, b"two\n", 4).headers["Logkeep-Interval"] == "60"
    follow()
    until = log_store(PROJECT).head(LogId.parse(LOG)).followed_until or 0
    assert 40_000 < until - now_ms() <= 45_000
    assert append(LOG, b"three\n", 8).headers["Logkeep-Interval"] == "3"
    with counted() as requests:
        follow()
    assert requests["UpdateItem"] <= 1, "the project's limit alone"


@pytest.mark.parametrize(("left", "is_renewed"), [(-1000, True), (20_000, True), (40_000, False)])
def test_a_note_is_made_again_before_it_lapses(left: int, is_renewed: bool) -> None:
    append(LOG, b"one\n")
    noted = now_ms() + left
    log_store(PROJECT).note_follower(LogId.parse(LOG), noted)
    follow()
    assert (log_store(PROJECT).head(LogId.parse(LOG)).followed_until != noted) == is_renewed


def test_a_sealed_log_needs_no_note() -> None:
    append(LOG, b"one\n")
    seal(LOG)
    follow()
    assert log_store(PROJECT).head(LogId.parse(LOG)).followed_until is None


def test_a_note_that_fails_breaks_no_stream(monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(LogStore, "note_follower", fail)
    append(LOG, b"one\n")
    assert records(follow().body)[0] == b"one\n"


def test_a_reader_that_leaves_ends_the_reading() -> None:
    append(LOG, b"one\n")
    chunks = stream("read_log", log_request("read_log", LOG, "follow=true")).chunks
    assert json.loads(next(filter(None, chunks)))["text"] == "one\n"
    chunks.close()  # type: ignore[attr-defined]  # as the runtime does
    with counted() as requests:
        assert list(chunks) == []
    assert not requests


# query_task_log


def test_a_tasks_log_is_followed_to_its_seal_line_by_line(at) -> None:
    append(f"{MAIN}/0", b"one\ntw")
    at(s2=lambda: append(f"{MAIN}/0", b"o\nthree", 6), s4=lambda: seal(f"{MAIN}/0"))
    answer = call("query_task_log", query())
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert logs(answer.body) == ["one", "two", "three"]


def test_a_restart_is_followed_behind_what_the_log_before_still_gained(at) -> None:
    append(f"{MAIN}/0", b"one\n")
    at(
        s1=lambda: append(f"{MAIN}/0", b"two", 4),
        s2=lambda: append(f"{MAIN}/1", b""),
        s4=lambda: seal(f"{MAIN}/0"),
        s8=lambda: append(f"{MAIN}/1", b"again\n"),
        s9=lambda: append(f"{MAIN}/10", b"and again\n"),
        s10=lambda: seal(f"{MAIN}/10"),
    )
    assert "\n".join(logs(call("query_task_log", query()).body)) == "one\ntwo\nagain\nand again"


def test_other_containers_and_replicas_are_no_restarts(at) -> None:
    append(f"{MAIN}/0", b"one\n")
    at(
        s1=lambda: append(f"task/{TASK}/1/main/1", b"another replica\n"),
        s2=lambda: append(f"task/{TASK}/0/mainly/1", b"another container\n"),
        s3=lambda: append(f"task/{TASK}0/0/main/1", b"another task\n"),
        s20=lambda: seal(f"{MAIN}/0"),
    )
    assert logs(call("query_task_log", query(container="main")).body) == ["one"]


def test_a_quiet_task_costs_one_read_in_five_seconds_restarts_included(monkeypatch, at) -> None:
    monkeypatch.setenv("FOLLOW_SECONDS", "600")
    settings.cache_clear()
    append(f"{MAIN}/0", b"one\n")
    with counted() as requests:
        body = streamed("query_task_log", query()).body
    assert logs(body) == ["one"]
    assert body.endswith(b"}\n" + b"\n" * 40), "a heartbeat every fifteen seconds"
    assert requests["GetItem"] + requests["Query"] <= 4 + 10 * 2 + 590 / 5


def test_a_task_without_a_log_is_refused_though_it_is_followed() -> None:
    append(f"{MAIN}/0", b"")
    (message,) = call("query_task_log", query()).body.splitlines()
    assert json.loads(message)["status"]["code"] == 13200


def test_an_answer_that_ends_early_says_so_in_its_last_message() -> None:
    noise = random.Random(5)
    for offset in range(0, 6 << 20, 2 << 20):
        append(f"{MAIN}/0", noise.randbytes(1 << 20).hex().encode(), offset)
    seal(f"{MAIN}/0")
    answer = call("query_task_log", query())
    *messages, last = [json.loads(line) for line in answer.body.splitlines()]
    assert len(answer.sent) <= ANSWER_MAX
    assert all("code" not in message["status"] for message in messages)
    assert last["status"]["code"] == 11101
    assert "read it under its own id" in last["log"]


def test_a_streamed_answer_holds_what_a_collected_one_does_not() -> None:
    noise, whole = random.Random(5), b""
    for offset in range(0, 12 << 20, 2 << 20):
        whole += noise.randbytes((1 << 20) - 50).hex().encode() + b"\n" * 100
        append(f"{MAIN}/0", whole[offset:], offset)
    for following in (False, True):
        seal(f"{MAIN}/0")
        body = streamed("query_task_log", query(follow=following)).body
        assert len("".join(logs(body)).replace("\n", "")) == len(whole.replace(b"\n", b""))


def test_a_task_whose_pods_have_a_role_is_found_by_both_names() -> None:
    append(f"task/{TASK}/0/server_main/0", b"first\n")
    append(f"task/{TASK}/0/server_main/1", b"second\n")
    for task in (TASK, f"{TASK}-server"):
        for container in (None, "main", "server_main"):
            body = call("query_task_log", query(task_id=task, container=container, follow=False)).body
            assert logs(body) == ["second"]
    seal(f"task/{TASK}/0/server_main/1")
    assert logs(call("query_task_log", query(task_id=f"{TASK}-server")).body) == ["second"]
    listed = send("list_logs", rawQueryString=f"prefix=task/{TASK}/").json["logs"]
    assert [each["log_id"][-13:] for each in listed] == ["server_main/0", "server_main/1"]
    assert records(follow(f"task/{TASK}/0/server_main/1").body)[0] == b"second\n"


def test_the_event_files_do_what_their_names_say() -> None:
    append(LOG, b"one\n")
    append(f"task/{TASK}/0/secretflow/0", b"one\n")
    for log in (LOG, f"task/{TASK}/0/secretflow/0"):
        seal(log)
    started = time.monotonic()
    assert records(send("read_log-follow").body)[0] == b"one\n"
    assert logs(send("query_task_log-follow").body) == ["one"]
    assert time.monotonic() - started < 5
