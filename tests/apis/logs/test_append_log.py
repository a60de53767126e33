import gzip

import pytest

from logkeep.clock import now_ms
from logkeep.logid import LogId
from logkeep.logs.store import log_store
from tests.calls import PROJECT, append, call, log_request, read, send

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

    assert interval(b"one\n") == "30"
    log_store(PROJECT).note_follower(LogId.parse(a_log_id), now_ms() + 60_000)
    assert interval(b"one\n") == "3", "nothing is new"
    assert interval(b"one\ntwo\n") == "3"


def test_a_follower_of_the_past_is_none(a_log_id) -> None:
    append(a_log_id, b"one\n")
    log_store(PROJECT).note_follower(LogId.parse(a_log_id), now_ms() - 1)
    assert append(a_log_id, b"one\n").headers["Logkeep-Interval"] == "30"


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


@pytest.mark.parametrize("offset", ["-1", "x", "1.0", "1_0", "", "9" * 18])
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
