"""What a client makes of a followed log: records, cursors, messages."""

import base64
import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.apis.kuscia.messages import messages
from logkeep.errors import Invalid
from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.ndjson import within
from logkeep.reading import follow
from logkeep.reading.cursors import cursor_at, place_of
from logkeep.reading.follow import IDLE_PAUSE, json_lines, start_of_last
from tests.examples import examples
from tests.reading.following import LOG, World, at, restart
from tests.samples import any_bytes, cuts_of

pytestmark = pytest.mark.unit


def joined(lines: list[bytes]) -> tuple[bytes, dict[str, Any]]:
    """What a client makes of records, and the last of them; each is checked on the way."""
    *told, last = [json.loads(line) for line in lines if line]
    text = b""
    for each in told:
        assert each.keys() in ({"cursor", "offset", "text"}, {"cursor", "offset", "data"})
        text += each["text"].encode() if "text" in each else base64.b64decode(each["data"], validate=True)
    assert last.keys() == {"cursor", "offset", "end", "more", "state"}
    return text, last


@examples(75)
@given(cuts_of(any_bytes), st.integers(4, 100), st.booleans())
def test_records_give_the_bytes_back_however_they_came(pieces: list[bytes], size: int, sealed: bool):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow, "MESSAGE_RAW", size)
        end = [at(len(pieces), None)] if sealed else []
        world = World([*(at(number, piece) for number, piece in enumerate(pieces)), *end])
        lines = list(json_lines(world.follower(60), 1 << 20))
    text, last = joined(lines)
    whole = b"".join(pieces)
    assert whole.startswith(text)
    assert last["offset"] == len(text) == place_of(world.logs.head(LogId.parse(LOG)), last["cursor"]).offset
    assert (last["more"], last["state"]) == ((False, "sealed") if sealed else (True, "open"))
    if sealed:
        assert text == whole
    else:  # at most half a character waits
        assert len(whole) - len(text) <= 3
    for line in lines:
        assert len(line.decode().splitlines()) <= 1


short = cuts_of(st.one_of(st.binary(max_size=80), st.text(max_size=40).map(str.encode)))


@examples(75)
@given(
    short,
    st.lists(st.tuples(st.integers(600, 2000), st.integers(1, 12)), min_size=1, max_size=4),
)
def test_a_reader_that_is_cut_anywhere_goes_on_at_its_cursor(pieces: list[bytes], cuts: list[tuple[int, int]]):
    world = World([*(at(number / 3, piece) for number, piece in enumerate(pieces)), at(len(pieces) / 3, None)])
    head, text, cursor = world.logs.head(LogId.parse(LOG)), b"", None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow, "MESSAGE_RAW", 10)
        for room, taken in itertools.cycle(cuts):
            position = place_of(head, cursor).offset if cursor else 0
            stream = json_lines(world.follower(2, position=position), room)
            for line in itertools.islice(filter(None, stream), taken):
                record = json.loads(line)
                assert record["offset"] == len(text)
                text += record.get("text", "").encode() + base64.b64decode(record.get("data", ""))
                cursor = record["cursor"]
                if "end" in record and not record["more"]:
                    assert text == b"".join(pieces)
                    return
            world.pass_time(0.1)


@given(st.integers(500, 5000), st.binary(max_size=4000))
def test_records_never_take_more_room_than_there_is(room: int, content: bytes):
    world = World([at(0, content), at(0, None)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow, "MESSAGE_RAW", 100)
        lines = list(json_lines(world.follower(60), room))
    assert sum(map(len, lines)) <= room
    text, last = joined(lines)
    assert content.startswith(text)
    assert last["more"] == (text != content)


def test_bytes_that_are_no_text_come_in_base64_as_far_as_the_line_goes():
    world = World([at(0, b"ok\n\xff\xfe\n\xe6\x97"), at(1, b"\xa5\n\xe6"), at(2, None)])
    told = [json.loads(line) for line in json_lines(world.follower(60), 1 << 20) if line]
    assert [each.get("text", each.get("data")) for each in told[:-1]] == [
        base64.b64encode(b"ok\n\xff\xfe\n").decode(),
        "日\n",
        base64.b64encode(b"\xe6").decode(),
    ]


@given(st.integers(0, 10**15))
def test_a_cursor_is_of_its_log(offset: int):
    log, other = Head.born(LogId.parse(LOG)), Head.born(LogId.parse(restart(1)))
    cursor = cursor_at(log, offset)
    assert place_of(log, cursor) == (offset, 0, None, False)
    for wrong in (other, replace(other, birth=log.birth), Head.born(log.log_id)):
        with pytest.raises(Invalid):
            place_of(wrong, cursor)


@pytest.mark.parametrize("cursor", ["", "0", "5-00000000", "-", "x" * 64, "1" * 14 + "-00000000", "\N{SNOWMAN}"])
def test_what_was_never_a_cursor_is_invalid(cursor: str):
    with pytest.raises(Invalid):
        place_of(Head.born(LogId.parse(LOG)), cursor)


@pytest.mark.parametrize("other", ["00", "0", "A", " ", "\n"])
def test_a_cursor_has_one_form(other: str):
    head = Head.born(LogId.parse(LOG))
    cursor = cursor_at(head, 10)
    for changed in (other + cursor, cursor + other, cursor.upper()):
        with pytest.raises(Invalid):
            place_of(head, changed)


@pytest.mark.parametrize(
    ("size", "start"), [(0, 12), (1, 12), (3, 12), (4, 8), (5, 8), (6, 8), (7, 8), (8, 4), (9, 4), (12, 0), (99, 0)]
)
def test_a_tail_begins_with_a_line(size: int, start: int):
    world = World([at(0, b"aaa\nbbb\n"), at(0, b"ccc\n")])
    assert start_of_last(world, world.logs.head(LogId.parse(LOG)), size) == start


# Kuscia's messages


@examples(50)
@given(cuts_of(any_bytes))
def test_followed_messages_join_to_the_text(pieces: list[bytes]):
    world = World([*(at(number, piece) for number, piece in enumerate(pieces)), at(len(pieces), None)])
    logs = [json.loads(line).get("log", "") for line in messages(world.follower(600).texts()) if line]
    assert "\n".join(logs) == b"".join(pieces).decode(errors="replace").removesuffix("\n")


def test_a_line_is_sent_when_it_ends_and_the_last_when_the_log_does():
    world = World([at(0, b"one\ntw"), at(1, b"o\nthree"), at(100, None)])
    taken = world.taken(messages(world.follower(600).texts()))
    assert [(when, json.loads(line)["log"]) for when, line in taken if line] == [
        (0.0, "one"),
        (1.0, "two"),
        (pytest.approx(100, abs=IDLE_PAUSE), "three"),
    ]


def test_a_stream_that_does_not_fit_ends_with_its_last_line():
    assert list(within(iter([b"aaa", b"", b"bb", b"c"]), 9, b"end")) == [b"aaa", b"", b"bb", b"c"]
    assert list(within(iter([b"aaa", b"", b"bb", b"c"]), 8, b"end")) == [b"aaa", b"", b"bb", b"end"]
    assert list(within(iter([b"aaa"]), 5, b"end")) == [b"end"]
