"""The messages that carry a log, as Kuscia's clients read them."""

import itertools
import json
from collections.abc import Iterable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from logkeep.apis.kuscia import messages as kuscia
from logkeep.apis.kuscia.messages import MESSAGE_BYTES, MESSAGE_LINES, messages
from tests.apis.kuscia.test_query import any_text
from tests.examples import examples
from tests.samples import any_bytes, cut, cuts_of

pytestmark = pytest.mark.unit


def logs_of(texts: Iterable[bytes]) -> list[str]:
    """The log of each message, as a client reads it; every message is checked on the way."""
    logs = []
    for data in filter(None, messages(texts)):
        assert len(data) <= kuscia.MESSAGE_BYTES
        assert data.endswith(b"}\n")
        assert data.count(b"\n") == 1
        message = json.loads(data)
        assert message.pop("status") == {"message": "success"}
        log = message.pop("log", "")
        assert message == {}
        assert ("log" in json.loads(data)) == (log != "")
        assert log.count("\n") < kuscia.MESSAGE_LINES
        logs.append(log)
    return logs


def read_text(texts: list[bytes]) -> str:
    """What a client should have: the text, its last newline left out as in every message."""
    return b"".join(texts).decode(errors="replace").removesuffix("\n")


def test_messages_are_small_enough_for_their_limits_as_they_are():
    # A piece that is escaped to six times its size still fits into an empty message.
    assert 6 * (kuscia._PIECE + 3) + 100 <= MESSAGE_BYTES


@pytest.fixture
def _small_messages():
    """Limits that short texts reach: 10 lines, 12 bytes a piece, about 128 bytes of log."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kuscia, "MESSAGE_BYTES", 128 + len(kuscia._START) + len(b',"log":""}\n'))
        patch.setattr(kuscia, "MESSAGE_LINES", 10)
        patch.setattr(kuscia, "_PIECE", 12)
        yield


lines = st.one_of(
    st.just(""),
    st.text(max_size=20),
    st.integers(0, 60).map(lambda size: "x" * size),
    st.integers(0, 20).map(lambda size: "\x01" * size),
)
texts = st.builds(
    lambda some, last: ("\n".join(some) + last).encode(), st.lists(lines, max_size=40), st.sampled_from(["", "\n"])
)


@pytest.mark.usefixtures("_small_messages")
@examples(100)
@given(cuts_of(texts))
def test_messages_joined_by_newlines_give_the_text_back(pieces: list[bytes]):
    assume(all(len(json.dumps(line, ensure_ascii=False).encode()) <= 128 for line in read_text(pieces).split("\n")))
    logs = logs_of(pieces)
    assert "\n".join(logs) == read_text(pieces)
    assert bool(logs) == any(pieces)


@pytest.mark.usefixtures("_small_messages")
@examples(75)
@given(
    cuts_of(st.one_of(any_bytes, texts, st.integers(100, 999).map(lambda size: b"a\n\nb\n" + b"x" * size + b"\n\nc")))
)
def test_any_bytes_lose_nothing_but_the_newlines_that_a_long_line_gains(pieces: list[bytes]):
    logs = logs_of(pieces)
    expected = read_text(pieces)
    assert "".join(logs).replace("\n", "") == expected.replace("\n", "")
    assert "\n".join(logs).count("\n") >= expected.count("\n")
    # Where newlines were gained, a whole message stands between them.
    left = expected
    for index, log in enumerate(logs):
        assert left.startswith(log)
        left = left[len(log) :]
        if left.startswith("\n"):
            left = left[1:]
        elif index < len(logs) - 1:
            assert "\n" not in log
            assert len(log.encode()) > 128 - 6 * (12 + 3) - 2
    assert left == ""


@given(cuts_of(any_bytes))
def test_messages_do_not_depend_on_where_the_text_was_cut(pieces: list[bytes]):
    assert "\n".join(logs_of(pieces)) == "\n".join(logs_of([b"".join(pieces)])) == read_text(pieces)


@given(cuts_of(any_text.map(lambda text: text.encode(errors="surrogatepass"))))
def test_messages_may_have_any_text(pieces: list[bytes]):
    assert "\n".join(logs_of(pieces)) == read_text(pieces)


def test_an_empty_log_has_no_message():
    assert list(messages([])) == []


def test_a_blank_line_is_a_message_without_a_log():
    assert list(messages([b"\n"])) == [b'{"status":{"message":"success"}}\n']
    assert logs_of([b"\n\n"]) == ["\n"]


def test_a_message_is_written_as_the_server_writes_it():
    assert list(messages([b'a"b\\\t\r\n\xe6\x97\xa5'])) == [
        '{"status":{"message":"success"},"log":"a\\"b\\\\\\t\\r\\n日"}\n'.encode()
    ]


def test_two_hundred_and_fifty_lines_come_as_the_server_cuts_them():
    text = b"".join(b"line %d\n" % number for number in range(250))
    assert [log.count("\n") + 1 for log in logs_of([text])] == [100, 100, 50]
    assert [log.count("\n") + 1 for log in logs_of([text[:1400], text[1400:]])] == [100, 100, 50]


@pytest.mark.parametrize("number", [MESSAGE_LINES - 1, MESSAGE_LINES, MESSAGE_LINES + 1])
def test_blank_lines_are_counted_as_lines(number: int):
    logs = logs_of([b"\n" * number])
    assert [log.count("\n") + 1 for log in logs] == [100, 1][: len(logs)] if number > 99 else [99]
    assert "\n".join(logs) == "\n" * (number - 1)


def test_the_last_line_may_lack_its_newline():
    assert logs_of([b"a\nb"]) == logs_of([b"a\nb\n"]) == ["a\nb"]


@pytest.mark.parametrize("size", [3_000, 30_000, 200_000, MESSAGE_BYTES - 60])
def test_a_line_that_fits_into_a_message_is_never_split(size: int):
    line = b"x" * size
    text = (line + b"\n") * (4 * MESSAGE_BYTES // size)
    for pieces in ([text], cut(text, range(0, len(text), 10_007))):
        logs = logs_of(pieces)
        assert "\n".join(logs) == read_text(pieces)
        assert {len(each) for log in logs for each in log.split("\n")} == {size}


def test_a_line_longer_than_a_message_goes_on_in_the_next():
    text = b"before\n" + b"x" * (5 << 20) + b"\nbehind\n"
    logs = logs_of([text])
    assert logs[0] == "before"
    assert "".join(logs).replace("\n", "") == text.decode().replace("\n", "")
    assert logs[-1].endswith("x\nbehind")
    assert len(logs) <= 2 + (5 << 20) // (MESSAGE_BYTES - 40_000)


def test_a_long_line_of_bytes_that_json_escapes_keeps_the_limit():
    for char in (b"\x01", b'"', b"\xff"):
        assert len("".join(logs_of([char * (1 << 20)]))) == 1 << 20


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\xff", "\ufffd"),
        (b"a\x80b", "a\ufffdb"),
        (b"\xe6\x97", "\ufffd"),
        (b"\xe6\x97\n", "\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xf0\x9f\x98\x80", "\U0001f600"),
        (b"\xc3\xa9\xc3", "é\ufffd"),
    ],
)
def test_bytes_that_are_not_utf_8_become_the_replacement_character_in_any_cuts(raw: bytes, text: str):
    for points in itertools.product(range(len(raw) + 1), repeat=2):
        assert logs_of(cut(raw, points)) == [text]


def test_messages_come_while_the_log_is_still_being_read():
    read = []

    def endless():
        for number in itertools.count():
            read.append(number)
            yield b"line\n" * 60

    first, second = itertools.islice(messages(endless()), 2)
    assert first == second
    assert len(read) <= 4
