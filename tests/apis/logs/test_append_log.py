import gzip
import json
from typing import Any

import pytest

from logkeep.clock import now_ms
from logkeep.logid import LogId
from logkeep.logs.store import log_store
from tests.calls import (
    BUILD,
    EXECUTION,
    PROJECT,
    a_build,
    append,
    binary,
    call,
    log_request,
    read,
    seal,
    send,
    service_request,
)

pytestmark = pytest.mark.usefixtures("aws")


def test_new_bytes_are_accepted_and_the_range_tells_the_next_offset(a_log_id) -> None:
    answer = append(a_log_id, b"one\ntwo\n")
    assert answer.status == 202
    assert answer.headers["Range"] == "bytes=0-8"
    assert answer.json == {
        "log_id": a_log_id,
        "state": "open",
        "bytes": 8,
        "lines": 2,
        "crc32": "12ba0be6",
        "levels": {},
        "first_time": None,
        "last_time": None,
        "time_zone": "UTC",
        "labels": {"kind": "build", "record_id": a_log_id.split("/")[1], "task_name": "stage1"},
        "hold": False,
        "missing": None,
    }


def test_a_replay_changes_nothing(a_log_id) -> None:
    append(a_log_id, b"one\ntwo\n")
    answer = append(a_log_id, b"one\ntwo\n")
    assert (answer.status, answer.json["bytes"]) == (200, 8)


def test_a_replay_that_was_cut_anew_appends_only_what_is_new(a_log_id) -> None:
    append(a_log_id, b"one\ntwo\n")
    answer = append(a_log_id, b"wo\nthree\n", offset=5)
    assert (answer.status, answer.headers["Range"]) == (202, "bytes=0-14")
    assert read(a_log_id).body == b"one\ntwo\nthree\n"


def test_other_bytes_at_a_stored_offset_are_a_conflict_and_change_nothing(a_log_id) -> None:
    append(a_log_id, b"one\ntwo\n")
    answer = append(a_log_id, b"ONE\ntwo\nthree\n")
    assert (answer.status, answer.json["error_code"]) == (409, "LOGKEEP.0409")
    assert read(a_log_id).body == b"one\ntwo\n"


def test_a_gap_is_refused_with_the_end_to_go_on_from(a_log_id) -> None:
    append(a_log_id, b"one\n")
    answer = append(a_log_id, b"x", offset=5)
    assert (answer.status, answer.headers["Range"], answer.json["error_code"]) == (416, "bytes=0-4", "LOGKEEP.0416")


def test_without_an_offset_bytes_go_to_the_end(a_log_id) -> None:
    append(a_log_id, b"one\n", offset=None)
    append(a_log_id, b"one\n", offset=None)
    assert read(a_log_id).body == b"one\none\n"


def test_producers_are_told_to_come_more_often_while_someone_follows(a_log_id) -> None:
    def interval(body: bytes) -> str:
        return append(a_log_id, body).headers["Logkeep-Interval"]

    assert interval(b"one\n") == "60"
    log_store(PROJECT).note_follower(LogId.parse(a_log_id), now_ms() + 60_000)
    assert interval(b"one\n") == "3", "nothing is new"
    assert interval(b"one\ntwo\n") == "3"


def test_a_follower_of_the_past_is_none(a_log_id) -> None:
    append(a_log_id, b"one\n")
    log_store(PROJECT).note_follower(LogId.parse(a_log_id), now_ms() - 1)
    assert append(a_log_id, b"one\n").headers["Logkeep-Interval"] == "60"


@pytest.mark.parametrize("header", [{"content-encoding": "gzip"}, {"content-type": "application/gzip"}])
def test_gzip_bodies_are_inflated(a_log_id, header) -> None:
    append(a_log_id, gzip.compress(b"one\n") + gzip.compress(b"two\n"), headers=header)
    assert read(a_log_id).body == b"one\ntwo\n"


@pytest.mark.parametrize("body", [b"no gzip at all", gzip.compress(b"one\n" * 99)[:-9]], ids=["no gzip", "cut off"])
def test_a_body_that_is_not_whole_gzip_is_refused(a_log_id, body) -> None:
    answer = append(a_log_id, body, headers={"content-encoding": "gzip"})
    assert (answer.status, answer.json["error_code"]) == (400, "LOGKEEP.0400")
    assert answer.json["error_msg"].startswith("body: ")
    assert read(a_log_id).status == 404


def test_a_gzip_bomb_is_refused(a_log_id) -> None:
    assert append(a_log_id, gzip.compress(bytes(33 << 20)), headers={"content-encoding": "gzip"}).status == 413
    assert read(a_log_id).status == 404


def test_more_than_4_mib_as_sent_is_refused(a_log_id) -> None:
    assert append(a_log_id, bytes((4 << 20) + 1)).status == 413
    assert append(a_log_id, bytes(4 << 20)).status == 202


def test_text_that_the_gateway_decoded_is_taken_only_if_nothing_was_lost(a_log_id) -> None:
    def patch(body: str, length: int | None) -> int:
        told = None if length is None else str(length)
        headers = {"content-type": "text/plain", "content-length": told}
        request = log_request("append_log", a_log_id, "offset=0", body=body, isBase64Encoded=False, headers=headers)
        return call("append_log", request).status

    assert patch("caf\N{REPLACEMENT CHARACTER}", 4) == 415
    assert patch("cafe", None) == 415
    assert patch("ok \N{REPLACEMENT CHARACTER}", 6) == 415, "three bytes of a longer character, replaced by three"
    assert patch("caf\N{LATIN SMALL LETTER E WITH ACUTE}", 5) == 202
    assert read(a_log_id).body == "caf\N{LATIN SMALL LETTER E WITH ACUTE}".encode()


@pytest.mark.parametrize("offset", ["-1", "x", "1.0", "1_0", "true", "9" * 18])
def test_a_bad_offset_is_named(a_log_id, offset) -> None:
    answer = call("append_log", log_request("append_log", a_log_id, f"offset={offset}"))
    assert answer.status == 400
    assert answer.json["error_msg"].startswith("offset: ")


@pytest.mark.parametrize(
    "log_id",
    [
        "nothing/a/b",
        "build/only-one",
        "build/a/b/c",
        "task/t/x/c/0",
        "task/t/01/c/0",
        "build/../stage1",
        "build/a/..",
        "build//stage1",
        "build/a/" + "x" * 129,
        "build/caf\N{LATIN SMALL LETTER E WITH ACUTE}/b",
        "build/a b/c",
        "",
    ],
)
def test_hostile_ids_are_named(log_id) -> None:
    answer = append(log_id, b"x")
    assert answer.status == 400
    assert answer.json["error_msg"].startswith("log_id: ")


@pytest.mark.parametrize(
    ("log_id", "registered"), [("build/42/build", BUILD), ("check/42", EXECUTION), ("check/42/lint.log", EXECUTION)]
)
def test_a_log_that_no_published_reader_finds_is_refused_when_it_begins(
    log_id: str, registered: dict[str, str]
) -> None:
    """But not one that its first append registers, nor one that was begun before this was checked."""
    for answer in (append(log_id, b"x"), append(log_id, b""), append(log_id, b"x", None), seal(log_id, bytes=0)):
        assert (answer.status, answer.json["error_code"]) == (400, "LOGKEEP.0400")
        assert answer.json["error_msg"].startswith("log_id: CodeArts ")
        assert answer.json["error_msg"].endswith(f"; send one that is, or {' and '.join(registered)}")
    assert read(log_id).status == 404, "nothing was written"
    assert seal(log_id).status == 404
    assert append(log_id, b"x", registered=registered).status == 202
    assert append(log_id, b"y", 1).status == 202
    assert seal(log_id, bytes=2).json["state"] == "sealed"


@pytest.mark.parametrize("log_id", [a_build("any", "name"), "task/t/0/c/0", "cluster/c/node-1/audit"])
def test_every_other_log_is_found(log_id: str) -> None:
    assert append(log_id, b"x").status == 202


@pytest.mark.parametrize("coding", ["gzip", "GZip", "x-gzip", " X-GZIP ", "identity, gzip"])
def test_gzip_is_inflated_however_it_is_spelled(a_log_id, coding: str) -> None:
    assert append(a_log_id, gzip.compress(b"text\n"), headers={"content-encoding": coding}).status == 202
    assert read(a_log_id).body == b"text\n"


@pytest.mark.parametrize("media_type", ["application/gzip", "Application/X-Gzip; charset=binary"])
def test_a_media_type_says_gzip_too(a_log_id, media_type: str) -> None:
    assert append(a_log_id, gzip.compress(b"text\n"), headers={"content-type": media_type}).status == 202
    assert read(a_log_id).body == b"text\n"


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip"])
def test_a_body_of_an_unknown_coding_is_stored_nowhere(a_log_id, coding: str) -> None:
    headers = {"content-encoding": coding}
    sealed = call("seal_log", log_request("seal_log", a_log_id, body="{}", headers=headers))
    event = {"occur_time": now_ms(), "event_type": "normal", "event_info": ""}
    body = json.dumps({"events": [event]})
    stored = call("put_service_events", service_request("put_service_events", "a-service", body=body, headers=headers))
    for answer, code in (
        (append(a_log_id, b"packed", headers=headers), "LOGKEEP.0415"),
        (sealed, "LOGKEEP.0415"),
        (stored, "ModelArts.0101"),
        (send("open_log_backup", headers=headers), "CSS.0001"),
    ):
        assert (answer.status, answer.json["error_code"]) == (415, code)
        assert f"Content-Encoding {coding} is not supported" in answer.json["error_msg"]
        assert answer.headers["Accept-Encoding"] == "gzip"
    assert read(a_log_id).status == 404


def test_json_may_be_compressed(a_log_id) -> None:
    event = {"occur_time": now_ms(), "event_type": "normal", "event_info": "x"}
    body = gzip.compress(json.dumps({"events": [event]}).encode())
    headers = {"content-encoding": "gzip", "content-length": str(len(body))}
    answer = call("put_service_events", service_request("put_service_events", "s", headers=headers, **binary(body)))
    assert (answer.status, answer.json) == (200, {"accepted": 1, "duplicates": 0})


@pytest.mark.parametrize(
    ("function", "query"),
    [("append_log", "offset=0&ofset=1"), ("append_log", "offset=0&X=1"), ("seal_log", "bytes=1"),
     ("read_log", "tial=5"), ("read_log", "follow=true&sinc=1"), ("list_logs", "prefx=build"),
     ("put_service_events", "dry_run=1"), ("hold_backup", "days=1"), ("show_backup_record", "verbose=1"),
     ("download_backup", "format=zip"), ("verify_backup", "mode=full"), ("restore_backup", "dry_run=true")],
)  # fmt: skip
def test_our_own_paths_name_a_parameter_that_they_do_not_have(function: str, query: str) -> None:
    answer = send(function, rawQueryString=query)
    name = query.rpartition("&")[2].partition("=")[0]
    assert (answer.status, f"{name}: is not a parameter of this request" in answer.json["error_msg"]) == (400, True)


@pytest.mark.parametrize(
    ("name", "query"),
    [("list_service_events", "colour=blue"), ("download_build_log", "task_name=stage1&colour=blue"),
     ("list_backup_records", "colour=blue"), ("download_check_logs", "sub_job_id=x&colour=blue")],
)  # fmt: skip
def test_published_paths_ignore_what_they_do_not_know(name: str, query: str) -> None:
    assert "colour" not in send(name, rawQueryString=query).body.decode()


def test_an_empty_parameter_is_an_absent_one(a_log_id) -> None:
    def sent(query: str) -> Any:
        request = log_request("append_log", a_log_id, query, headers={"content-length": "1"}, **binary(b"x"))
        return call("append_log", request)

    assert sent("offset=&job_id=&build_no=&colour=").json["bytes"] == 1
    assert sent("offset=").json["bytes"] == 2, "appended at the end"
    assert sent("offset=&offset=0").json["bytes"] == 2
    for name, query in (
        ("list_logs", "prefix=&marker=&limit="),
        ("list_service_events", "event_type=&start_time=&end_time=&offset=&limit=&sort_by=&order="),
        ("list_backup_records", "offset=&start=&limit=&status=&marker="),
        ("download_build_log", "task_name=stage1&log_level=&compress="),
        ("page_build_log", "start_offset=&end_offset=&sort=&size="),
        ("show_check_log", "execute_id="),
    ):
        answer = send(name, rawQueryString=query)
        assert answer.status in {200, 404, 412}, (name, answer.body)
    assert read(a_log_id).status == call("read_log", log_request("read_log", a_log_id, "follow=&cursor=&tail=")).status


def test_an_empty_append_registers_a_log(a_log_id) -> None:
    without_body = log_request(
        "append_log", a_log_id, body=None, isBase64Encoded=False, headers={"content-length": None}
    )
    assert call("append_log", without_body).status == 202
    assert append(a_log_id, b"").status == 200
    assert read(a_log_id).body == b""


def test_the_event_files_do_what_their_names_say() -> None:
    assert send("append_log").status == 202
    assert send("append_log-gap").status == 416
    assert send("append_log-hostile_id").status == 400
    assert send("append_log-of_an_app").json["labels"] == {
        "kind": "app",
        "service": "web",
        "env": "prod",
        "city": "Köln",
    }
    assert send("append_log-bad_labels").status == 400
