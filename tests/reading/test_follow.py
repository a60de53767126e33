"""Followers against a log that others write to, in a time of their own."""

import itertools
import json
from collections.abc import Iterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from logkeep.errors import Corrupt, Invalid
from logkeep.logid import LogId
from logkeep.logs.head import Head, Totals
from logkeep.ndjson import HEARTBEAT, with_heartbeats
from logkeep.reading.cursors import place_of
from logkeep.reading.follow import BUSY_PAUSE, IDLE_AFTER, IDLE_PAUSE, TICK, json_lines
from tests.examples import examples
from tests.reading.following import LOG, ROUND, World, at, restart

pytestmark = pytest.mark.unit

times = st.integers(0, 1200).map(lambda number: number / 10)
appended = st.lists(st.tuples(times, st.binary(min_size=1, max_size=12)), max_size=30)
worlds = st.builds(
    lambda some, end: World(
        [*(at(*each) for each in some if not end or each[0] < end), *([at(end, None)] if end else [])]
    ),
    appended,
    st.one_of(st.none(), times.filter(bool)),
)


@examples(40)
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


@examples(40)
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


@examples(40)
@given(worlds)
def test_there_are_at_most_two_looks_a_second_and_one_in_five_when_idle(world: World):
    follower = world.follower(130)
    grown = [0.0, *(when for when, text in world.taken(follower.texts()) if text)]
    for before, after in itertools.pairwise([0.0, *world.looks]):
        is_idle = before >= max(each for each in grown if each <= before) + IDLE_AFTER
        assert after - before >= (IDLE_PAUSE if is_idle else BUSY_PAUSE) - ROUND


@given(worlds, st.lists(st.integers(0, 80).map(lambda number: number / 10), min_size=1, max_size=5))
def test_a_slow_client_misses_nothing_and_is_not_read_for_in_vain(world: World, delays: list[float]):
    slowness = itertools.cycle(delays)
    follower = world.follower(600)
    taken = world.taken(follower.texts(), lambda: next(slowness))
    assert b"".join(text for _, text in taken) == world.text_of(until=world.looks[-1] if world.looks else 0)
    assert len(world.looks) <= len(taken)


@given(worlds)
def test_a_stream_is_heard_of_every_second_and_shows_life_every_fifteen(world: World):
    assume(b"\n" not in world.text_of())
    taken = world.taken(with_heartbeats(world.follower(130).texts(), world.clock))
    if taken and [chunk for _, chunk in taken if chunk] == [taken[-1][1]] == [b"\n"]:
        taken.pop()  # of a stream that would end without a byte
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
    told = [json.loads(line) for _, line in world.taken(json_lines(world.follower(9), 1 << 20), lambda: 1) if line]
    assert (told[-1]["end"], told[-1]["more"], told[-1]["state"]) == (True, True, "sealed")
    assert told[-1]["offset"] == 10 * (len(told) - 1) <= 100


def test_an_ended_client_ends_the_reading():
    world = World([at(0, b"x")])
    pieces = world.follower(600).texts()
    assert [next(pieces), next(pieces)] == [b"x", b""]
    pieces.close()  # type: ignore[attr-defined]  # it is a generator
    assert (world.now, world.looks) == (0.0, [])


# Restarts


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


@examples(75)
@given(restarts())
def test_the_restarts_of_a_container_are_followed_in_order_each_from_its_beginning(world: World):
    follower = world.follower(2000, with_successors=world.line)
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


@given(restarts())
def test_restarts_are_looked_for_every_five_seconds_and_at_the_end(world: World):
    follower = world.follower(60, with_successors=world.line)
    taken = world.taken(follower.texts())
    looks = sorted(world.looks + world.searches)
    turns = len({log for _, log, _ in world.writes})
    # Besides the pace: one look from afar where a log is over, and one at a log whose successor has begun.
    assert len(looks) <= taken[-1][0] / BUSY_PAUSE + 3 * turns + 1
    assert len(world.searches) <= taken[-1][0] / IDLE_PAUSE + 2 * turns + 1


def test_what_the_older_log_gained_until_its_successor_was_seen_comes_first():
    world = World([at(0, b"a\n"), at(7.2, b"b"), at(7.4, b"new\n", restart(1)), at(7.4, None, restart(1))])
    assert b"".join(world.follower(600, with_successors=world.line).texts()) == b"a\nb\nnew\n"


def test_what_the_older_log_gains_after_its_successor_began_comes_first():
    new = [at(7, b"new\n", restart(1)), at(60, None, restart(1))]
    world = World([at(0, b"a\n"), at(9, b"b\n"), at(18, b"c\n"), *new])
    assert b"".join(world.follower(600, with_successors=world.line).texts()) == b"a\nb\nc\nnew\n"


def test_a_successor_is_turned_to_at_once_where_the_log_before_is_sealed_and_else_when_it_is_idle():
    for sealed, seen in ((7, 7), (None, 10)):
        ends = [at(sealed, None)] if sealed else []
        world = World([at(0, b"a\n"), at(6, b"new\n", restart(1)), *ends, at(60, None, restart(1))])
        taken = world.taken(world.follower(600, with_successors=world.line).texts())
        assert next(when for when, text in taken if text == b"new\n") <= seen + BUSY_PAUSE + ROUND


def test_what_the_older_log_gained_while_the_heads_were_read_is_not_left_behind():
    world = World([at(0, b"a\n"), at(7, b"new\n", restart(1)), at(9.9, b"b\n"), at(20, None, restart(1))])
    stale = world.logs.head(LogId.parse(LOG))

    def line(log_id: LogId) -> list[Head]:
        return [stale if head.log_id == stale.log_id else head for head in world.line(log_id)]

    assert b"".join(world.follower(600, with_successors=line).texts()) == b"a\nb\nnew\n"


def test_a_container_that_has_not_started_again_is_waited_for():
    world = World(
        [at(0, b"a\n"), at(1, None), at(1, b"", restart(1)), at(40, b"b\n", restart(1)), at(41, None, restart(1))]
    )
    assert b"".join(world.follower(600, with_successors=world.line).texts()) == b"a\nb\n"
    assert world.now <= 41 + IDLE_PAUSE + BUSY_PAUSE


def test_restarts_that_came_and_were_sealed_at_once_are_read_to_the_last():
    later = [
        write
        for number in (1, 2, 3)
        for write in (at(0.2, b"%d\n" % number, restart(number)), at(0.2, None, restart(number)))
    ]
    world = World([at(0, b"0\n"), at(0.3, None), *later])
    follower = world.follower(60, with_successors=world.line)
    assert b"".join(text for _, text in world.taken(follower.texts())) == b"0\n1\n2\n3\n"
    assert follower.has_all


class Deleted(World):
    """The log is deleted when the time is 10 s, and has begun anew when it is 12 s."""

    def pass_time(self, seconds: float) -> None:
        before, after = self.now, self.now + seconds
        super().pass_time(seconds)
        if before < 10 <= after:
            self.logs.delete(LOG)
        if before < 12 <= after:
            self.logs.append(LOG, b"another log, which is longer\n")


@pytest.mark.parametrize("step", [0.25, 3.0])
def test_a_follower_of_a_log_that_is_deleted_ends_and_says_so(step: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("logkeep.reading.follow.TICK", step)
    world = Deleted([at(1, b"one\n"), at(9, b"two\n")])
    follower = world.follower(600)
    text, last = b"", {}
    for line in filter(None, json_lines(follower, 1 << 20)):
        last = json.loads(line)
        text += last.get("text", "").encode()
    assert text == b"one\ntwo\n"
    assert (last["state"], last["more"], last["offset"]) == ("deleted", False, 8)
    assert world.now < 20
    world.pass_time(12)
    with pytest.raises(Invalid):
        place_of(world.logs.head(LogId.parse(LOG)), last["cursor"])


def test_a_follower_that_reads_the_rows_of_a_deleted_log_ends(monkeypatch: pytest.MonkeyPatch):
    world = World([at(0, b"one\n")])
    follower = world.follower(600)

    def texts(*_: object) -> Iterator[bytes]:
        yield b"on"
        world.logs.delete(LOG)
        raise Corrupt("no row holds byte 2")

    monkeypatch.setattr(world, "texts", texts)
    assert b"".join(follower.texts()) == b"on"
    assert follower.is_deleted


def test_a_follower_of_a_deleted_log_ends_although_its_container_was_restarted():
    world = Deleted([at(1, b"one\n"), at(8, b"next\n", restart(1)), at(30, None, restart(1))])
    text = b"".join(world.follower(600, with_successors=world.line).texts())
    assert text == b"one\n"


def test_lost_rows_of_a_log_that_is_there_are_an_error(monkeypatch: pytest.MonkeyPatch):
    world = World([at(0, b"one\n")])

    def texts(*_: object) -> Iterator[bytes]:
        raise Corrupt("no row holds byte 0")
        yield b""

    monkeypatch.setattr(world, "texts", texts)
    with pytest.raises(Corrupt):
        list(world.follower(600).texts())
