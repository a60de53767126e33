import zlib

import pytest

from tests.calls import append, call, log_request, seal, send

pytestmark = pytest.mark.usefixtures("aws")
TEXT = b"2026-01-01 00:00:00 INFO a\n2026-01-01 00:00:01 ERROR b\n  at c\n2026-01-01 00:00:02 INFO d"
CRC = f"{zlib.crc32(TEXT):08x}"


def test_a_matching_seal_gives_the_certificate(a_log_id) -> None:
    append(a_log_id, TEXT)
    answer = seal(a_log_id, bytes=len(TEXT), lines=4, crc32=CRC)
    assert answer.status == 200
    assert answer.json == {
        "log_id": a_log_id,
        "state": "sealed",
        "bytes": len(TEXT),
        "lines": 4,
        "crc32": CRC,
        "levels": {"INFO": 2, "ERROR": 1},
        "first_time": 1767225600000,
        "last_time": 1767225601000,
        "time_zone": "UTC",
        "labels": {"kind": "build", "record_id": a_log_id.split("/")[1], "task_name": "stage1"},
        "hold": False,
        "missing": None,
    }


def test_sealing_twice_is_sealing_once(a_log_id) -> None:
    append(a_log_id, TEXT)
    assert seal(a_log_id, bytes=len(TEXT)).json == seal(a_log_id, bytes=len(TEXT)).json


def test_missing_bytes_make_a_truncated_log_that_can_be_completed(a_log_id) -> None:
    append(a_log_id, TEXT[:10])
    truncated = seal(a_log_id, bytes=len(TEXT), crc32=CRC)
    assert truncated.status == 200
    assert (truncated.json["state"], truncated.json["missing"]) == ("truncated", {"bytes": len(TEXT) - 10})
    assert append(a_log_id, TEXT[10:], offset=10).status == 202
    assert seal(a_log_id, bytes=len(TEXT), crc32=CRC).json["state"] == "sealed"


def test_a_truncated_log_takes_no_more_than_it_was_sealed_for(a_log_id) -> None:
    append(a_log_id, TEXT[:10])
    seal(a_log_id, bytes=12)
    assert append(a_log_id, TEXT[10:], offset=10).status == 409
    assert append(a_log_id, TEXT[10:12], offset=10).status == 202


def test_a_seal_that_tells_less_forgets_nothing_of_one_that_told_more(a_log_id) -> None:
    append(a_log_id, TEXT[:10])
    seal(a_log_id, bytes=len(TEXT))
    again = seal(a_log_id)
    assert (again.json["state"], again.json["missing"]) == ("truncated", {"bytes": len(TEXT) - 10})
    assert seal(a_log_id, bytes=10).json["state"] == "sealed"


def test_all_bytes_with_too_few_lines_are_a_conflict(a_log_id) -> None:
    append(a_log_id, TEXT)
    assert seal(a_log_id, bytes=len(TEXT), lines=5).status == 409


def test_a_sealed_log_takes_a_replay_but_nothing_new(a_log_id) -> None:
    append(a_log_id, TEXT)
    seal(a_log_id)
    assert append(a_log_id, TEXT).status == 200
    assert append(a_log_id, TEXT + b"more").status == 409
    assert append(a_log_id, b"more", offset=None).status == 409


@pytest.mark.parametrize(
    ("totals", "named"), [({"bytes": 3}, "bytes"), ({"lines": 1}, "lines"), ({"crc32": "00000000"}, "crc32")]
)
def test_a_seal_that_contradicts_the_log_is_a_conflict(a_log_id, totals, named) -> None:
    append(a_log_id, TEXT)
    answer = seal(a_log_id, **totals)
    assert (answer.status, answer.json["error_msg"].partition(":")[0]) == (409, named)


def test_a_log_that_lost_all_can_be_sealed_with_its_size(a_log_id) -> None:
    assert seal(a_log_id).status == 404
    assert seal(a_log_id, bytes=5).json["state"] == "truncated"


def test_an_empty_log_can_be_sealed(a_log_id) -> None:
    answer = seal(a_log_id, bytes=0)
    assert (answer.json["state"], answer.json["crc32"]) == ("sealed", "00000000")


@pytest.mark.parametrize(
    ("totals", "named"),
    [({"bytes": "5"}, "bytes"), ({"bytes": -1}, "bytes"), ({"crc32": 5}, "crc32"), ({"crc32": "xyz"}, "crc32"),
     ({"crc32": "+0000001"}, "crc32"), ({"size": 5}, "size")],
)  # fmt: skip
def test_a_bad_total_is_named(a_log_id, totals, named) -> None:
    append(a_log_id, TEXT)
    answer = seal(a_log_id, **totals)
    assert (answer.status, answer.json["error_msg"].partition(":")[0]) == (400, named)


@pytest.mark.parametrize("body", ["{", "[]", "null", "1", "{" * 3000])
def test_a_body_that_is_no_object_is_refused(a_log_id, body) -> None:
    assert call("seal_log", log_request("seal_log", a_log_id, body=body)).status == 400


def test_the_event_files_do_what_their_names_say() -> None:
    send("append_log")
    assert send("seal_log").json["state"] == "sealed"
    assert send("seal_log-unknown_log").status == 404
