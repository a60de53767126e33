"""Followers against a log that others write to, in a time of their own."""

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from logkeep import follow
from logkeep.clock import Clock
from logkeep.errors import Invalid
from logkeep.follow import (
    BUSY_PAUSE,
    IDLE_AFTER,
    IDLE_PAUSE,
    TICK,
    Follower,
    cursor_at,
    offset_of,
    records,
    tail_at,
)
from logkeep.kuscia import from_restart, messages, restarts_of
from logkeep.log import Head, Totals
from logkeep.logid import LogId
from logkeep.ndjson import HEARTBEAT, with_heartbeats, within
from tests.unit.memory import MemoryLogs
from tests.unit.samples import any_bytes, cuts_of

LOG = "task/t/0/main/0"
ROUND = 1e-6  # of seconds


@dataclass
class World:
    """Logs that are written to at set times, and what a follower reads of them when."""

    writes: list[tuple[float, str, bytes | None]]  # when, which log, what; None seals it
    now: float = 0.0
    logs: MemoryLogs = field(default_factory=MemoryLogs)
    looks: list[float] = field(default_factory=list)
    searches: list[float] = field(default_factory=list)
    done: int = 0

    def __post_init__(self) -> None:
        self.writes.sort(key=lambda each: each[0])
        self.logs.append(LOG)
        self.pass_time(0)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        while self.done < len(self.writes) and self.writes[self.done][0] <= self.now:
            _, log, text = self.writes[self.done]
            self.logs.seal(log) if text is None else self.logs.append(log, text)
            self.done += 1

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.pass_time)

    def head(self, log_id: LogId) -> Head:
        self.looks.append(self.now)
        return self.logs.head(log_id)

    def texts(self, head: Head, start: int = 0) -> Iterator[bytes]:
        return self.logs.texts(head, start)

    def line(self, log_id: LogId) -> list[Head]:
        self.searches.append(self.now)
        return from_restart(log_id, self.logs.heads(log_id.owner, restarts_of(log_id)))

    def follower(self, seconds: float, log: str = LOG, **options: Any) -> Follower:
        return Follower(self, self.logs.head(LogId.parse(log)), seconds, self.clock, **options)

    def text_of(self, log: str = LOG, until: float = float("inf")) -> bytes:
        return b"".join(text or b"" for at, each, text in self.writes if each == log and at <= until)

    def taken(self, chunks: Iterator[bytes], delay: Callable[[], float] = lambda: 0) -> list[tuple[float, bytes]]:
        """What a client takes, and when; it may be slow."""
        taken = []
        for chunk in chunks:
            taken.append((self.now, chunk))
            self.pass_time(delay())
        return taken


def at(seconds: float, text: bytes | None, log: str = LOG) -> tuple[float, str, bytes | None]:
    return seconds, log, text


times = st.integers(0, 1200).map(lambda number: number / 10)
appended = st.lists(st.tuples(times, st.binary(min_size=1, max_size=12)), max_size=30)
worlds = st.builds(
    lambda some, end: World(
        [*(at(*each) for each in some if not end or each[0] < end), *([at(end, None)] if end else [])]
    ),
    appended,
    st.one_of(st.none(), times.filter(bool)),
)


@settings(max_examples=200)
@given(worlds, st.sampled_from([0.3, 7.0, 60.0, 600.0]))
def test_a_follower_gets_the_text_once_and_ends_at_the_seal_or_the_cap(world: World, seconds: float):
    follower = world.follower(seconds)
    taken = world.taken(follower.texts())
    got = b"".join(text for _, text in taken)
    sealed = next((when for when, _, text in world.writes if text is None), None)
    if follower.has_all:
        assert sealed is not None
        assert got == world.text_of()
        assert world.now <= sealed + IDLE_PAUSE + ROUND
    else:
        assert world.now == pytest.approx(seconds)
        seen = world.looks[-1] if world.looks else 0
        assert got == world.text_of(until=seen)
    assert follower.position == len(got)


@settings(max_examples=200)
@given(worlds)
def test_a_line_is_seen_within_half_a_second_while_lines_come_and_within_five_else(world: World):
    seen = {0: 0.0}  # by length of the text
    for when, piece in world.taken(world.follower(130).texts()):
        seen.setdefault(max(seen) + len(piece), when)
    written = 0
    quiet_since = 0.0  # when the follower last saw something new
    for when, _, text in world.writes:
        if text:
            written += len(text)
            got = min(at for length, at in seen.items() if length >= written)
            is_busy = quiet_since <= when < quiet_since + IDLE_AFTER - BUSY_PAUSE
            assert got - when <= (BUSY_PAUSE if is_busy else IDLE_PAUSE) + ROUND
            quiet_since = got


@settings(max_examples=200)
@given(worlds)
def test_there_are_at_most_two_looks_a_second_and_one_in_five_when_idle(world: World):
    follower = world.follower(130)
    grown = [0.0, *(when for when, text in world.taken(follower.texts()) if text)]
    for before, after in itertools.pairwise([0.0, *world.looks]):
        is_idle = before >= max(each for each in grown if each <= before) + IDLE_AFTER
        assert after - before >= (IDLE_PAUSE if is_idle else BUSY_PAUSE) - ROUND


@settings(max_examples=100)
@given(worlds, st.lists(st.integers(0, 80).map(lambda number: number / 10), min_size=1, max_size=5))
def test_a_slow_client_misses_nothing_and_is_not_read_for_in_vain(world: World, delays: list[float]):
    slowness = itertools.cycle(delays)
    follower = world.follower(600)
    taken = world.taken(follower.texts(), lambda: next(slowness))
    assert b"".join(text for _, text in taken) == world.text_of(until=world.looks[-1] if world.looks else 0)
    assert len(world.looks) <= len(taken)


@settings(max_examples=100)
@given(worlds)
def test_a_stream_is_heard_of_every_second_and_shows_life_every_fifteen(world: World):
    assume(b"\n" not in world.text_of())
    taken = world.taken(with_heartbeats(world.follower(130).texts(), world.clock))
    for before, after in itertools.pairwise([0.0, *(when for when, _ in taken)]):
        assert after - before <= TICK + ROUND
    for (before, _), (after, chunk) in itertools.pairwise([(0.0, b""), *(each for each in taken if each[1])]):
        assert after - before <= HEARTBEAT + TICK + ROUND
        assert chunk != b"\n" or after - before >= HEARTBEAT - ROUND


def test_an_idle_log_costs_a_read_in_five_seconds_and_a_beat_in_fifteen():
    world = World([])
    taken = world.taken(with_heartbeats(world.follower(600).texts(), world.clock))
    assert len(world.looks) == IDLE_AFTER / BUSY_PAUSE + (600 - IDLE_AFTER) / IDLE_PAUSE - 1
    assert [when for when, chunk in taken if chunk] == [15.0 * n for n in range(1, 41)]


def test_what_a_truncated_log_lacks_is_waited_for_until_the_log_is_idle():
    world = World([at(0, b"one\n"), at(14, b"two\n")])
    world.logs.seal(LOG, Totals(bytes=8))
    follower = world.follower(600)
    assert b"".join(follower.texts()) == b"one\n"
    assert world.now == pytest.approx(IDLE_AFTER)
    world = World([at(0, b"one\n"), at(6, b"two\n"), at(6.1, None)])
    world.logs.seal(LOG, Totals(bytes=8))
    assert b"".join(world.follower(600).texts()) == b"one\ntwo\n"
    assert world.now <= 6.1 + BUSY_PAUSE


def test_a_reader_far_behind_gets_fragments_one_by_one():
    world = World([at(0, b"x" * 10) for _ in range(50)])
    pieces = world.follower(600).texts()
    assert [next(pieces) for _ in range(50)] == [b"x" * 10] * 50
    assert world.looks == []


def test_time_ends_a_reader_far_behind_between_two_fragments_and_says_that_there_is_more():
    world = World([*(at(0, b"x" * 10) for _ in range(50)), at(0, None)])
    told = [json.loads(line) for _, line in world.taken(records(world.follower(9), 1 << 20), lambda: 1) if line]
    assert (told[-1]["end"], told[-1]["more"], told[-1]["state"]) == (True, True, "sealed")
    assert told[-1]["offset"] == 10 * (len(told) - 1) <= 100


def test_an_ended_client_ends_the_reading():
    world = World([at(0, b"x")])
    pieces = world.follower(600).texts()
    assert [next(pieces), next(pieces)] == [b"x", b""]
    pieces.close()  # type: ignore[attr-defined]  # it is a generator
    assert (world.now, world.looks) == (0.0, [])


# Restarts


def restart(number: int) -> str:
    return f"task/t/0/main/{number}"


@st.composite
def restarts(draw: st.DrawFn) -> World:
    """Each log ends before the next begins; some are sealed, and some open and empty for a while."""
    writes: list[tuple[float, str, bytes | None]] = []
    now = 0.0
    for number in sorted({0, *draw(st.sets(st.integers(1, 12), max_size=4))}):
        if number and draw(st.booleans()):
            writes.append(at(now, b"", restart(number)))
            now += draw(times) / 10
        for text in draw(st.lists(st.binary(min_size=1, max_size=8), min_size=not number, max_size=4)):
            writes.append(at(now, text, restart(number)))
            now += draw(st.sampled_from([0.0, 0.1, 3.0]))
        writes.append(at(now, b"", restart(number)))
        if draw(st.booleans()):
            writes.append(at(now, None, restart(number)))
    writes.append(at(now, None, max((each[1] for each in writes), key=lambda log: int(log.rpartition("/")[2]))))
    return World(writes)


@settings(max_examples=300)
@given(restarts())
def test_the_restarts_of_a_container_are_followed_in_order_each_from_its_beginning(world: World):
    follower = world.follower(2000, line=world.line)
    got = b"".join(follower.texts())
    logs = sorted({log for _, log, _ in world.writes}, key=lambda log: int(log.rpartition("/")[2]))
    # What begins after its predecessor was sealed and read to the end comes too late.
    followed = logs[: logs.index(str(follower.head.log_id)) + 1]
    expected = b""
    for number, log in enumerate(followed):
        text = world.text_of(log)
        expected += text + (b"\n" if text and not text.endswith(b"\n") and number < len(followed) - 1 else b"")
    assert got == expected
    if followed != logs:
        assert any(log == followed[-1] and text is None for _, log, text in world.writes)


@settings(max_examples=100)
@given(restarts())
def test_restarts_are_looked_for_every_five_seconds_and_at_the_end(world: World):
    follower = world.follower(60, line=world.line)
    taken = world.taken(follower.texts())
    looks = sorted(world.looks + world.searches)
    turns = len({log for _, log, _ in world.writes})
    # Besides the pace: one look from afar where a log is over, and one at a log whose successor has begun.
    assert len(looks) <= taken[-1][0] / BUSY_PAUSE + 3 * turns + 1
    assert len(world.searches) <= taken[-1][0] / IDLE_PAUSE + 2 * turns + 1


def test_what_the_older_log_gained_until_its_successor_was_seen_comes_first():
    world = World([at(0, b"a\n"), at(7.2, b"b"), at(7.4, b"new\n", restart(1)), at(7.4, None, restart(1))])
    assert b"".join(world.follower(600, line=world.line).texts()) == b"a\nb\nnew\n"


def test_what_the_older_log_gained_while_the_heads_were_read_is_not_left_behind():
    world = World([at(0, b"a\n"), at(7, b"b\n"), at(7, b"new\n", restart(1)), at(8, None, restart(1))])
    stale = world.logs.head(LogId.parse(LOG))

    def line(log_id: LogId) -> list[Head]:
        return [stale if head.log_id == stale.log_id else head for head in world.line(log_id)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow, "BUSY_PAUSE", 4.0)  # so that nothing but the turn reads the head in between
        assert b"".join(world.follower(600, line=line).texts()) == b"a\nb\nnew\n"


def test_a_container_that_has_not_started_again_is_waited_for():
    world = World(
        [at(0, b"a\n"), at(1, None), at(1, b"", restart(1)), at(40, b"b\n", restart(1)), at(41, None, restart(1))]
    )
    assert b"".join(world.follower(600, line=world.line).texts()) == b"a\nb\n"
    assert world.now <= 41 + IDLE_PAUSE + BUSY_PAUSE


# Records


def joined(lines: list[bytes]) -> tuple[bytes, dict[str, Any]]:
    """What a client makes of records, and the last of them; each is checked on the way."""
    *told, last = [json.loads(line) for line in lines if line]
    text = b""
    for each in told:
        assert each.keys() in ({"cursor", "offset", "text"}, {"cursor", "offset", "data"})
        text += each["text"].encode() if "text" in each else base64.b64decode(each["data"], validate=True)
    assert last.keys() == {"cursor", "offset", "end", "more", "state"}
    return text, last


@settings(max_examples=300)
@given(cuts_of(any_bytes), st.integers(4, 100), st.booleans())
def test_records_give_the_bytes_back_however_they_came(pieces: list[bytes], size: int, sealed: bool):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow, "MESSAGE_RAW", size)
        end = [at(len(pieces), None)] if sealed else []
        world = World([*(at(number, piece) for number, piece in enumerate(pieces)), *end])
        lines = list(records(world.follower(60), 1 << 20))
    text, last = joined(lines)
    whole = b"".join(pieces)
    assert whole.startswith(text)
    assert last["offset"] == len(text) == offset_of(LogId.parse(LOG), last["cursor"])
    assert (last["more"], last["state"]) == ((False, "sealed") if sealed else (True, "open"))
    if sealed:
        assert text == whole
    else:  # at most half a character waits
        assert len(whole) - len(text) <= 3
    for line in lines:
        assert len(line.decode().splitlines()) <= 1


short = cuts_of(st.one_of(st.binary(max_size=80), st.text(max_size=40).map(str.encode)))


@settings(max_examples=300)
@given(
    short,
    st.lists(st.tuples(st.integers(600, 2000), st.integers(1, 12)), min_size=1, max_size=4),
)
def test_a_reader_that_is_cut_anywhere_goes_on_at_its_cursor(pieces: list[bytes], cuts: list[tuple[int, int]]):
    world = World([*(at(number / 3, piece) for number, piece in enumerate(pieces)), at(len(pieces) / 3, None)])
    log, text, cursor = LogId.parse(LOG), b"", None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow, "MESSAGE_RAW", 10)
        for room, taken in itertools.cycle(cuts):
            position = offset_of(log, cursor) if cursor else 0
            stream = records(world.follower(2, position=position), room)
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
        lines = list(records(world.follower(60), room))
    assert sum(map(len, lines)) <= room
    text, last = joined(lines)
    assert content.startswith(text)
    assert last["more"] == (text != content)


def test_bytes_that_are_no_text_come_in_base64_as_far_as_the_line_goes():
    world = World([at(0, b"ok\n\xff\xfe\n\xe6\x97"), at(1, b"\xa5\n\xe6"), at(2, None)])
    told = [json.loads(line) for line in records(world.follower(60), 1 << 20) if line]
    assert [each.get("text", each.get("data")) for each in told[:-1]] == [
        base64.b64encode(b"ok\n\xff\xfe\n").decode(),
        "日\n",
        base64.b64encode(b"\xe6").decode(),
    ]


@given(st.integers(0, 10**15))
def test_a_cursor_is_of_its_log(offset: int):
    log, other = LogId.parse(LOG), LogId.parse(restart(1))
    cursor = cursor_at(log, offset)
    assert offset_of(log, cursor) == offset
    with pytest.raises(Invalid):
        offset_of(other, cursor)


@pytest.mark.parametrize("cursor", ["", "0", "5-00000000", "-", "x" * 64, "1" * 14 + "-00000000", "\N{SNOWMAN}"])
def test_what_was_never_a_cursor_is_invalid(cursor: str):
    with pytest.raises(Invalid):
        offset_of(LogId.parse(LOG), cursor)


@pytest.mark.parametrize("other", ["00", "0", "A", " ", "\n"])
def test_a_cursor_has_one_form(other: str):
    cursor = cursor_at(LogId.parse(LOG), 10)
    for changed in (other + cursor, cursor + other, cursor.upper()):
        with pytest.raises(Invalid):
            offset_of(LogId.parse(LOG), changed)


@pytest.mark.parametrize(
    ("size", "start"), [(0, 12), (1, 11), (3, 11), (4, 8), (5, 8), (6, 8), (8, 4), (9, 4), (12, 0), (99, 0)]
)
def test_a_tail_begins_with_a_line(size: int, start: int):
    world = World([at(0, b"aaa\nbbb\n"), at(0, b"ccc\n")])
    assert tail_at(world, world.logs.head(LogId.parse(LOG)), size) == start or size in {1, 3}


# Kuscia's messages


@settings(max_examples=200)
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
