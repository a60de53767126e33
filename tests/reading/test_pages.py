"""Pages against a model that joins the logs and cuts the whole text."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logkeep.limits import ANSWER_MAX, FRAGMENT_MAX, PAGE_MAX
from logkeep.logs import fragment
from logkeep.logs.head import Head, State, Totals
from logkeep.reading.pages import (
    BYTES_MIN,
    PLACE,
    Page,
    PageQuery,
    StretchQuery,
    Strip,
    backward,
    forward,
    shown,
)
from tests.memory import MemoryLogs

pytestmark = pytest.mark.unit

FAR = PLACE * 10**6
_pieces = st.lists(st.sampled_from(["a", "b\n", "\n", "é", "文\n", "😀", "long line " * 8, "x\ny\nz\n"]), max_size=12)
utf8 = _pieces.map(lambda pieces: "".join(pieces).encode())
texts = st.one_of(utf8, st.binary(max_size=60))
rooms = st.sampled_from([BYTES_MIN, 5, 7, 16, 64, PAGE_MAX])
line_counts = st.sampled_from([1, 2, 3, 1000])


@pytest.fixture(autouse=True, params=[FRAGMENT_MAX, 16], ids=["FRAGMENT_MAX as it is", "FRAGMENT_MAX of 16 bytes"])
def _raw_max(request: pytest.FixtureRequest):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fragment, "FRAGMENT_MAX", request.param)
        yield


def strip_of(bodies: list[bytes], *, is_open: bool = False, logs: MemoryLogs | None = None) -> tuple[MemoryLogs, Strip]:
    """A log of each body, at every second place."""
    logs = logs or MemoryLogs()
    heads = [logs.append(f"build/0123/stage{number}", body) for number, body in enumerate(bodies, 1)]
    heads = heads if is_open else [head.seal(Totals()) for head in heads]
    return logs, Strip.of((index * 2, head) for index, head in enumerate(heads))


def whole(bodies: list[bytes]) -> bytes:
    bodies = [body for body in bodies if body]
    joined = [body if body.endswith(b"\n") else body + b"\n" for body in bodies[:-1]]
    return b"".join([*joined, *bodies[-1:]])


def ahead(logs: MemoryLogs, strip: Strip, room: int, lines: int | None) -> Iterator[Page]:
    page = Page(0, 0, b"", has_more=True)
    for _ in range(10_000):
        page = forward(logs, strip, page.end, FAR, room, lines)
        yield page
        if not page.has_more:
            return
    raise AssertionError("it does not get on")


def back(logs: MemoryLogs, strip: Strip, room: int, lines: int) -> Iterator[Page]:
    page = Page(strip.end, 0, b"", has_more=True)
    for _ in range(10_000):
        page = backward(logs, strip, 0, page.start, room, lines)
        yield page
        if not page.has_more:
            return
    raise AssertionError("it does not get on")


@given(st.lists(texts, max_size=4), rooms, line_counts)
@example([b"ab", b"c" * 40, b"d\n"], 16, 2)
def test_pages_forwards_are_the_whole_text_and_of_whole_lines(bodies: list[bytes], room: int, lines: int):
    pages = list(ahead(*strip_of(bodies), room, lines))
    assert b"".join(page.text for page in pages) == whole(bodies)
    for page in pages:
        assert len(page.text) <= room
        assert page.text.count(b"\n") <= lines
        assert page.text.endswith(b"\n") or b"\n" not in page.text or page is pages[-1]
    assert all(page.text for page in pages[:-1])


@given(st.lists(texts, max_size=4), rooms, line_counts)
@example([b"c" * 40, b"d\n"], 16, 2)
@example([b"ab\n", b"c" * 40, b"d\ne"], 16, 2)
def test_pages_backwards_are_the_whole_text_and_of_whole_lines(bodies: list[bytes], room: int, lines: int):
    pages = list(back(*strip_of(bodies), room, lines))
    text = b"".join(page.text for page in reversed(pages))
    assert text == whole(bodies)
    begin = len(text)
    for page in pages:
        begin -= len(page.text)
        assert len(page.text) <= room
        assert page.text.removesuffix(b"\n").count(b"\n") < lines
        assert begin == 0 or text[begin - 1 : begin] == b"\n" or b"\n" not in page.text.removesuffix(b"\n")


@given(st.lists(utf8, max_size=4), rooms, line_counts)
def test_no_character_is_cut(bodies: list[bytes], room: int, lines: int):
    logs, strip = strip_of(bodies)
    for pages in (ahead(logs, strip, room, lines), ahead(logs, strip, room, None), back(logs, strip, room, lines)):
        for page in pages:
            page.text.decode()


@given(st.lists(texts, max_size=4), rooms)
def test_stretches_are_the_whole_text(bodies: list[bytes], room: int):
    pages = list(ahead(*strip_of(bodies), room, None))
    assert b"".join(page.text for page in pages) == whole(bodies)
    assert all(room - 3 <= len(page.text) <= room for page in pages[:-1])


@given(st.lists(texts, max_size=4), rooms, st.data())
def test_what_stands_between_two_positions_is_the_same_from_either_side(bodies: list[bytes], room: int, data):
    logs, strip = strip_of(bodies)
    ends = [0, *(page.end for page in ahead(logs, strip, room, 1))]
    first, last = sorted(data.draw(st.lists(st.integers(0, len(ends) - 1), min_size=2, max_size=2)))
    ahead_of = forward(logs, strip, ends[first], ends[last] or FAR, PAGE_MAX, 1000)
    before = backward(logs, strip, ends[first], ends[last] or FAR, PAGE_MAX, 1000)
    assert ahead_of.text == before.text
    assert not ahead_of.has_more
    assert not before.has_more
    assert whole(bodies).find(ahead_of.text) >= 0


@given(st.lists(texts, max_size=3), st.integers(0, 6 * PLACE), st.integers(0, 6 * PLACE), rooms, line_counts)
@example([b"ab", b"cd"], 5, 2 * PLACE + 1, 16, 1)
def test_any_numbers_are_positions(bodies: list[bytes], start: int, end: int, room: int, lines: int):
    logs, strip = strip_of(bodies)
    ranges = [(start, end), (start % 70, end), (start % 70, end % 70), (end % 70, 2 * PLACE + start % 70)]
    for low, high in ranges:
        for page in (forward(logs, strip, low, high, room, lines), backward(logs, strip, low, high, room, lines)):
            assert page.text in whole(bodies) + b"\n"
            if low > high:
                assert not page.text


@given(st.lists(st.tuples(utf8, utf8), min_size=1, max_size=3), rooms, line_counts)
def test_a_reader_at_the_end_goes_on_with_what_is_appended(grown: list[tuple[bytes, bytes]], room: int, lines: int):
    """The last log grows, byte after byte of a character included."""
    *earlier, (first, second) = grown
    logs, strip = strip_of([body for body, _ in earlier])
    heads = [(part.start // PLACE, part.head) for part in strip.parts]
    text, position = b"", 0
    for cut in (first[: len(first) // 2], first[len(first) // 2 :], second):
        head = logs.append("build/0123/stage9", cut)
        page = Page(position, position, b"", has_more=True)
        for _ in range(500):
            page = forward(logs, Strip.of([*heads, (100, head)]), page.end, FAR, room, lines)
            text += page.text
            page.text.decode()
            assert page.has_more, "the log is open"
            if not page.text:
                break
        position = page.end
    assert text == whole([*(body for body, _ in earlier), first + second])


def test_a_log_is_passed_only_once_it_is_closed_so_that_nothing_in_it_is_missed():
    logs, strip = strip_of([b"one\n", b"two\n"], is_open=True)
    page = forward(logs, strip, 0, FAR, PAGE_MAX, 1000)
    assert (page.text, page.has_more) == (b"one\n", True)
    assert backward(logs, strip, 0, FAR, PAGE_MAX, 1000).text == b"one\ntwo\n"
    logs, strip = strip_of([b"grown\n", b"three\n"], logs=logs)
    page = forward(logs, strip, page.end, FAR, PAGE_MAX, 1000)
    assert (page.text, page.has_more) == (b"grown\ntwo\nthree\n", False)


def test_half_a_character_at_the_end_of_an_open_log_is_held_back_until_the_rest_is_there():
    head = "文".encode()
    logs, strip = strip_of([b"a\n" + head[:2]], is_open=True)
    for page in (forward(logs, strip, 0, FAR, 99, 9), backward(logs, strip, 0, FAR, 99, 9)):
        assert (page.text, page.end) == (b"a\n", 2)
    logs, strip = strip_of([head[2:]], is_open=True, logs=logs)
    assert forward(logs, strip, 2, FAR, 99, 9).text == head
    logs, strip = strip_of([b"a\n" + head[:2]])
    assert forward(logs, strip, 0, FAR, 99, 9).text == b"a\n" + head[:2], "nothing more will come"


def test_more_is_told_in_the_direction_of_reading():
    logs, strip = strip_of([b"a\nb\n", b"", b"c\n"])
    assert forward(logs, strip, 0, FAR, 99, 2).has_more
    assert not forward(logs, strip, 2, FAR, 99, 2).has_more
    assert backward(logs, strip, 0, FAR, 99, 1).has_more
    assert not backward(logs, strip, 0, 2, 99, 1).has_more
    logs, strip = strip_of([b"a\nb\n", b""], is_open=True)
    assert forward(logs, strip, 4, FAR, 99, 2) == Page(4, 4, b"", has_more=True)
    assert not forward(logs, strip, 0, 4, 99, 2).has_more
    assert not backward(logs, strip, 0, FAR, 99, 2).has_more


def test_no_logs_and_empty_ones_are_an_empty_page():
    for bodies in ([], [b"", b""]):
        logs, strip = strip_of(bodies)
        assert forward(logs, strip, 0, FAR, 99, 9) == backward(logs, strip, 0, FAR, 99, 9) == Page(0, 0, b"", False)


class CountingLogs(MemoryLogs):
    read = 0

    def texts(self, head: Head, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        for text in super().texts(head, start, end):
            self.read += len(text)
            yield text


@pytest.mark.parametrize("_raw_max", [FRAGMENT_MAX, 1000], indirect=True)
@pytest.mark.parametrize("sort", ["ASC", "DESC"])
def test_a_page_reads_no_more_than_a_page_however_long_the_logs_are(sort: str, monkeypatch):
    monkeypatch.setattr("logkeep.reading.pages.PAGE_MAX", 20_000)
    logs = CountingLogs()
    body = (b"x" * 99 + b"\n") * 2000
    heads = [logs.append(f"build/0123/stage{number}", body) for number in (1, 2)]
    query = PageQuery.model_validate({"sort": sort, "start_offset": 0, "end_offset": PLACE + 100_000, "size": 100})
    page = query.page(logs, Strip.of(enumerate(replace(head, state=State.SEALED) for head in heads)))
    assert page.text == body[:10_000]
    assert logs.read <= 20_000


@pytest.mark.parametrize("_raw_max", [FRAGMENT_MAX, 20_000], indirect=True)
@pytest.mark.parametrize("query", [PageQuery(), PageQuery(sort="DESC"), StretchQuery()])
def test_a_page_of_bytes_that_json_must_escape_still_fits_an_answer(query: PageQuery | StretchQuery):
    logs, strip = strip_of([b"\x01" * 1_100_000])
    page = query.page(logs, strip)
    assert page.has_more
    assert len(page.text) >= 250_000
    assert len(json.dumps(shown(page.text))) < ANSWER_MAX


def test_zero_lines_and_zero_bytes_are_as_many_as_a_page_holds():
    logs, strip = strip_of([b"x\n" * 3000])
    assert PageQuery(size=0).page(logs, strip).text == b"x\n" * 1000
    assert PageQuery(size=0, sort="DESC").page(logs, strip).text == b"x\n" * 1000
    assert StretchQuery(length=0).page(logs, strip).text == b"x\n" * 3000
    assert StretchQuery(length=1).page(logs, strip).text == b"x\nx\n"
    assert StretchQuery(length=10**17).page(logs, strip).text == b"x\n" * 3000
