import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from logkeep.errors import Conflict
from logkeep.limits import LOG_MAX
from logkeep.logid import LogId
from logkeep.logs.head import Certificate, Head, State, Totals
from tests.memory import MemoryLogs
from tests.samples import any_bytes, counts_of, cuts_of, lines_of

pytestmark = pytest.mark.unit

LOG = "build/0123/stage1"
TEXT = b"2026-01-31 08:00:00 INFO one\n2026-01-31 08:00:01 ERROR two\nlast"
CRC = f"{zlib.crc32(TEXT):08x}"


def head_of(*bodies: bytes) -> Head:
    return MemoryLogs().append(LOG, *bodies)


def totals(**values: Any) -> Totals:
    return Totals.model_validate(values)


@given(cuts_of(any_bytes))
def test_a_head_holds_the_sums_of_its_text_however_it_was_appended(pieces: list[bytes]):
    head, text = head_of(*pieces), b"".join(pieces)
    assert (head.end, head.crc32, head.lines) == (len(text), zlib.crc32(text), text.count(b"\n"))
    assert head.fragments == sum(piece != b"" for piece in pieces)
    at_once = head_of(text)
    for name in ("levels", "scan_state", "first_time", "last_time", "state", "expected"):
        assert getattr(head, name) == getattr(at_once, name)


@given(cuts_of(any_bytes))
def test_a_certificate_counts_as_a_reader_does_who_takes_the_last_line_for_a_line(pieces: list[bytes]):
    head, text = head_of(*pieces), b"".join(pieces)
    certificate = Certificate.of(head)
    assert certificate.log_id == LOG
    assert certificate.state is State.OPEN
    assert certificate.bytes == len(text)
    assert certificate.lines == len(lines_of(text))
    assert certificate.crc32 == f"{zlib.crc32(text):08x}"
    assert certificate.levels == counts_of(lines_of(text))
    assert certificate.missing is None


def test_a_certificate_names_levels_in_order_of_gravity_and_the_times():
    certificate = Certificate.of(head_of(b"[ERROR] x\n[DEBUG] x\n" + TEXT + b"\n[ERROR]"))
    assert list(certificate.levels.items()) == [("DEBUG", 1), ("INFO", 1), ("ERROR", 3)]
    assert (certificate.first_time, certificate.last_time) == (1769846400000, 1769846401000)


def test_the_checksum_of_a_certificate_always_has_eight_digits():
    assert Certificate.of(replace(head_of(), crc32=0xAB)).crc32 == "000000ab"


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({}, {}),
        ({"bytes": 0, "lines": 0, "crc32": "00000000"}, {"bytes": 0, "lines": 0, "crc32": 0}),
        ({"bytes": 5, "crc32": "FFffFFff"}, {"bytes": 5, "crc32": 0xFFFFFFFF}),
        ({"bytes": None, "lines": 7, "crc32": None}, {"lines": 7}),
        ({"bytes": LOG_MAX}, {"bytes": LOG_MAX}),
    ],
)
def test_totals_are_kept_as_they_were_told(told: dict[str, Any], kept: dict[str, int]):
    stored = totals(**told).stored()
    assert stored == kept
    assert Totals.of_stored(stored) == totals(**told)


@pytest.mark.parametrize(
    "told",
    [
        {"bytes": -1},
        {"bytes": LOG_MAX + 1},
        {"bytes": "5"},
        {"bytes": True},
        {"lines": -1},
        {"lines": "5"},
        {"crc32": 5},
        {"crc32": ""},
        {"crc32": "abc"},
        {"crc32": "0123456789"},
        {"crc32": "0123456g"},
        {"crc32": "0x123456"},
        {"crc32": "-1234567"},
        {"crc32": "+1234567"},
        {"crc32": "1_2_3_45"},
        {"crc32": " 1234567"},
        {"crc32": "1234567\n"},
        {"crc32": "\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668"},
        {"size": 5},
    ],
    ids=str,
)
def test_totals_that_are_not_numbers_in_range_or_eight_hex_digits_are_refused(told: dict[str, Any]):
    with pytest.raises(ValidationError):
        totals(**told)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"bytes": len(TEXT)},
        {"lines": 2},
        {"lines": 3},
        {"crc32": CRC},
        {"bytes": len(TEXT), "lines": 2, "crc32": CRC},
        {"bytes": len(TEXT), "lines": 3, "crc32": CRC.upper()},
    ],
    ids=str,
)
def test_totals_that_match_seal_the_log(told: dict[str, Any]):
    head = head_of(TEXT).seal(totals(**told))
    assert head.state is State.SEALED
    assert Certificate.of(head).missing is None
    assert head.seal(totals(**told)) == head
    assert replace(head, state=State.OPEN, expected=None) == head_of(TEXT)


@pytest.mark.parametrize(
    "told",
    [
        {"bytes": len(TEXT) - 1},
        {"bytes": 0},
        {"lines": 1},
        {"lines": 0},
        {"crc32": "00000000"},
        {"bytes": len(TEXT), "crc32": "00000000"},
        {"lines": 3, "crc32": "00000000"},
        {"bytes": len(TEXT) + 1, "lines": 1},
        {"bytes": len(TEXT) - 1, "lines": 9},
    ],
    ids=str,
)
def test_totals_that_the_log_contradicts_are_a_conflict(told: dict[str, Any]):
    with pytest.raises(Conflict):
        head_of(TEXT).seal(totals(**told))
    with pytest.raises(Conflict):
        head_of(TEXT).seal(totals()).seal(totals(**told))


@pytest.mark.parametrize(
    ("told", "missing"),
    [
        ({"bytes": len(TEXT) + 10}, {"bytes": 10}),
        ({"lines": 4}, {"lines": 1}),
        ({"bytes": len(TEXT) + 10, "lines": 5, "crc32": "00000000"}, {"bytes": 10, "lines": 2}),
        ({"bytes": len(TEXT) + 10, "lines": 3}, {"bytes": 10, "lines": 0}),
        ({"bytes": len(TEXT) + 10, "lines": 2}, {"bytes": 10, "lines": 0}),
    ],
    ids=str,
)
def test_totals_beyond_what_has_arrived_leave_the_log_truncated(told: dict[str, Any], missing: dict[str, int]):
    head = head_of(TEXT).seal(totals(**told))
    assert head.state is State.TRUNCATED
    assert Certificate.of(head).missing == missing
    assert head.seal(totals(**told)) == head
    with pytest.raises(Conflict):
        head_of(TEXT).seal(totals()).seal(totals(**told))


@given(any_bytes, any_bytes)
def test_the_missing_bytes_may_follow_and_then_the_same_seal_matches(first: bytes, second: bytes):
    whole = first + second
    told = totals(bytes=len(whole), lines=len(lines_of(whole)), crc32=f"{zlib.crc32(whole):08x}")
    logs = MemoryLogs()
    early = logs.append(LOG, first).seal(told)
    assert early.state is (State.TRUNCATED if second else State.SEALED)
    early.check_room(len(whole))
    late = replace(logs.append(LOG, second), state=early.state, expected=early.expected).seal(told)
    assert late.state is State.SEALED
    assert late == head_of(first, second).seal(told)


def test_other_bytes_than_the_missing_ones_are_a_conflict_at_the_seal():
    told = totals(bytes=4, crc32=f"{zlib.crc32(b'abcd'):08x}")
    head = head_of(b"ab").seal(told)
    wrong = replace(head_of(b"ab", b"xy"), state=head.state, expected=head.expected)
    with pytest.raises(Conflict, match="crc32"):
        wrong.seal(told)


def test_the_certificate_of_a_truncated_log_counts_what_is_missing_down_to_nothing():
    head = head_of(b"one\n").seal(totals(bytes=8, lines=1))
    grown = replace(head_of(b"one\n", b"a\nb\n"), state=head.state, expected=head.expected)
    assert Certificate.of(head).missing == {"bytes": 4, "lines": 0}
    assert Certificate.of(grown).missing == {"bytes": 0, "lines": 0}


def test_an_open_log_has_room_up_to_the_largest_offset_that_sorts():
    head = head_of(TEXT)
    head.check_room(LOG_MAX)
    with pytest.raises(Conflict):
        head.check_room(LOG_MAX + 1)


def test_a_sealed_log_has_no_room_but_a_repeated_append_fits():
    head = head_of(TEXT).seal(totals())
    head.check_room(0)
    head.check_room(len(TEXT))
    with pytest.raises(Conflict):
        head.check_room(len(TEXT) + 1)


def test_a_truncated_log_has_room_for_what_its_seal_said():
    head = head_of(TEXT).seal(totals(bytes=len(TEXT) + 10))
    head.check_room(len(TEXT) + 10)
    with pytest.raises(Conflict):
        head.check_room(len(TEXT) + 11)


def test_a_log_truncated_by_its_lines_has_room_for_any_bytes():
    head_of(TEXT).seal(totals(lines=99)).check_room(LOG_MAX)


@given(st.integers(0, LOG_MAX))
def test_an_empty_log_is_sealed_by_no_bytes_and_truncated_by_any_other_number(size: int):
    head = Head.born(LogId.parse(LOG)).seal(totals(bytes=size))
    assert head.state is (State.TRUNCATED if size else State.SEALED)
    assert Certificate.of(head).missing == ({"bytes": size} if size else None)
