"""The agent against a log in memory: what grows and fails meanwhile, and all that may happen at once."""

import errno
import itertools
import os
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logkeep_agent import Refused, reading, ship
from logkeep_agent.service import Certificate
from tests.agent.fakes import Bench
from tests.examples import examples

pytestmark = pytest.mark.unit

# Growing


def test_what_is_there_and_what_follows_is_shipped_as_it_is_line_or_not(bench) -> None:
    bench.write(b"one\ntw")
    assert bench.ship(lambda: bench.write(b"o\nthr"), lambda: bench.write(b"ee"))
    assert bytes(bench.log.text) == b"one\ntwo\nthree"
    assert [offset for _, offset, _ in bench.log.requests] == [0, 6, 11]


def test_a_file_that_is_not_there_yet_is_waited_for(bench) -> None:
    assert bench.ship(lambda: bench.write(b"late\n"))
    assert bytes(bench.log.text) == b"late\n"


def test_once_ends_when_all_is_sent_and_refuses_what_is_not_there(bench) -> None:
    with pytest.raises(Refused, match="no such file"):
        bench.ship(once=True)
    bench.write(b"one\n")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"one\n"
    assert bench.seconds < 1


def test_a_seal_tells_the_totals(bench) -> None:
    bench.write(b"one\n")
    assert bench.ship(once=True, seal=True)
    assert bench.log.sealed
    assert bench.ship(once=True, seal=True), "again"


@pytest.mark.parametrize(("told", "seconds"), [(3, 3), (30, 30), (None, 30), (0, 3), (900, 30)])
def test_the_service_says_how_often(bench, told, seconds) -> None:
    bench.log.interval = told
    bench.write(b"0")
    bench.ship(*[lambda: bench.write(b"x")] * 400, every=0.25)
    times = [at for at, _, _ in bench.log.requests][:-1]  # the last one is the end
    assert {later - earlier for earlier, later in itertools.pairwise(times[1:])} == {seconds}


def test_what_is_more_than_a_piece_is_sent_at_once(bench, monkeypatch) -> None:
    monkeypatch.setattr(reading, "PIECE", 1000)
    bench.write(b"x" * 10_500)
    bench.ship(lambda: None, every=10)
    assert [size for _, _, size in bench.log.requests] == [1000] * 10 + [500]
    assert [at for at, _, _ in bench.log.requests][9] == 0


# Failures


def test_a_log_that_was_deleted_gets_nothing_more_also_from_an_agent_that_is_started_again(bench) -> None:
    bench.write(b"one\n")
    assert bench.ship(once=True)

    def delete() -> None:
        bench.log.text.clear()
        bench.log.deleted = True
        bench.write(b"two\n")

    for steps in ((delete,), ()):
        with pytest.raises(Refused, match="deleted"):
            bench.ship(*steps, once=not steps)
    assert bytes(bench.log.text) == b""


def test_a_service_that_is_away_is_tried_again_and_loses_and_repeats_nothing(bench) -> None:
    chance = random.Random(1)
    bench.log.fails = lambda: chance.choice([None, "before", "after"])
    bench.ship(*[lambda n=n: bench.write(b"line %d\n" % n) for n in range(100)], every=5.0)
    bench.log.fails = lambda: None
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"".join(b"line %d\n" % n for n in range(100))


def test_tries_are_spread_and_grow_rarer(bench) -> None:
    tries: list[float] = []

    def fail() -> str:
        tries.append(bench.seconds)
        return "before"

    bench.log.fails = fail
    bench.write(b"one\n")
    assert not bench.ship(lambda: None, every=600.0)
    gaps = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert gaps[0] < 2
    assert 15 <= max(gaps) <= 31
    assert len(tries) < 80
    assert bench.told[0] == "away; will try again"
    assert len(bench.told) <= 1240 / 60, "told of once a minute"


def test_an_end_while_the_service_is_away_comes_soon_and_says_so(bench) -> None:
    bench.write(b"one\n")
    bench.log.fails = lambda: "before"
    assert not bench.ship()
    assert bench.seconds < 40 + ship.STOP_PATIENCE + 1
    bench.log.fails = lambda: None
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"one\n"


def test_a_stop_tries_once_more_at_once(bench) -> None:
    bench.write(b"one\n")
    bench.log.fails = lambda: "before" if bench.seconds < 299.5 else None
    assert bench.ship(every=300.0)
    assert bytes(bench.log.text) == b"one\n"
    assert bench.seconds < 301


def test_a_log_that_lost_its_end_gets_it_again(bench) -> None:
    bench.write(b"one\ntwo\n")

    def lose() -> None:
        del bench.log.text[4:]
        bench.write(b"three\n")

    assert bench.ship(lose)
    assert bytes(bench.log.text) == b"one\ntwo\nthree\n"


def test_bytes_of_someone_else_are_not_shipped_over(bench) -> None:
    bench.write(b"one\n")

    def other() -> None:
        bench.log.text += b"other\n"
        bench.write(b"two\n")

    with pytest.raises(Refused, match="409"):
        bench.ship(other)
    with pytest.raises(Refused, match="someone else writes"):
        bench.ship()
    assert bytes(bench.log.text) == b"one\nother\n"


@pytest.mark.parametrize(("more", "bits"), [(1, 0), (-1, 0), (0, 1)])
def test_an_answer_that_vouches_for_other_bytes_than_were_sent_ends_it(bench, more, bits) -> None:
    append = bench.log.append

    def answer(offset: int, piece: bytes) -> Certificate:
        told = append(offset, piece)
        return Certificate(told.bytes + more, told.crc32 ^ bits)

    bench.log.append = answer
    bench.write(b"one\n")
    with pytest.raises(Refused, match="someone else writes"):
        bench.ship(lambda: bench.write(b"two\n"))
    assert bytes(bench.log.text) == b"one\n"


# Its own end


def test_a_successor_goes_on_where_the_log_ends(bench) -> None:
    bench.write(b"one\n")
    bench.ship()
    bench.write(b"two\n")
    bench.ship()
    assert bytes(bench.log.text) == b"one\ntwo\n"


@pytest.mark.parametrize("is_written", [True, False])
def test_a_piece_that_was_under_way_when_the_agent_was_killed_is_known_as_its_own(bench, is_written) -> None:
    """Also where no file is left to compare the log with."""
    bench.write(b"one\n")
    bench.ship()
    bench.write(b"two\n")
    append = bench.log.append

    def be_killed(offset: int, piece: bytes) -> None:
        if is_written:
            append(offset, piece)
        raise KeyboardInterrupt

    bench.log.append = be_killed
    with pytest.raises(KeyboardInterrupt):
        bench.ship()
    bench.log.append = append
    bench.path.unlink()
    bench.write(b"three\n")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"one\n" + b"two\n" * is_written + b"three\n"
    assert len(bench.lost) == 1


@pytest.mark.parametrize(("held", "append"), [(b"", False), (b"before\n", True)])
def test_a_file_that_was_begun_is_its_own_though_nothing_of_it_was_sent(bench, held, append) -> None:
    bench.log.text += held
    bench.path.touch()
    bench.ship(append=append)
    bench.write(b"one\n")
    bench.rotate()
    bench.write(b"two\n")
    assert bench.ship(once=True, append=append)
    assert bytes(bench.log.text) == held + b"one\ntwo\n"


def test_a_disk_that_is_full_ends_it_before_it_sends_what_it_could_not_find_again(bench, monkeypatch) -> None:
    bench.write(b"one\n")
    with monkeypatch.context() as full:

        def fail(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def fill() -> None:
            full.setattr(os, "fsync", fail)
            bench.write(b"two\n")

        with pytest.raises(Refused, match="cannot be written: No space left"):
            bench.ship(fill)
    assert bytes(bench.log.text) == b"one\n"
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"one\ntwo\n"


def test_without_a_state_the_log_must_hold_the_beginning_of_the_file(bench) -> None:
    bench.write(b"one\ntwo\n")
    bench.log.text += b"one\n"
    bench.ship()
    assert bytes(bench.log.text) == b"one\ntwo\n"
    bench.path.with_name(".app.log.logkeep").unlink()
    bench.path.write_bytes(b"ONE\ntwo\nthree\n")
    with pytest.raises(Refused, match="does not begin with them"):
        bench.ship()
    assert bench.ship(append=True)
    assert bytes(bench.log.text) == b"one\ntwo\nONE\ntwo\nthree\n"
    bench.write(b"four\n")
    assert bench.ship(append=True), "the state counts from now on"
    assert bytes(bench.log.text) == b"one\ntwo\nONE\ntwo\nthree\nfour\n"


def test_a_state_of_another_log_or_of_a_log_that_is_gone_is_refused(bench) -> None:
    bench.write(b"one\n")
    bench.ship(lambda: bench.rotate(), lambda: bench.write(b"two\n"))
    kept = bytes(bench.log.text)
    bench.log.text.clear()
    with pytest.raises(Refused, match="lost what was sent before"):
        bench.ship()
    bench.log.text += kept
    bench.log.log_id = "build/other/stage1"
    with pytest.raises(Refused, match="is for build/a/stage1"):
        bench.ship()


def test_a_damaged_state_is_refused(bench) -> None:
    bench.write(b"one\n")
    for content in (b"", b"[]", b"{}", b'{"version": 1}', b'{"version": 2}', b"\xff"):
        bench.path.with_name(".app.log.logkeep").write_bytes(content)
        with pytest.raises(Refused, match="not a state file"):
            bench.ship()
    assert not bench.log.text


# All at once


@settings(examples(12), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_happens_the_log_is_what_was_written(tmp_path_factory, data) -> None:
    """Against the plainest model: everything that was written, in order."""
    bench = Bench(tmp_path_factory.mktemp("any"))
    written = bytearray()
    chance = data.draw(st.randoms(use_true_random=False))

    def act() -> None:
        kind = chance.choice(["write", "write", "write", "rotate", "fail", "back"])
        if kind == "write" or not bench.path.exists():
            text = b"%d %s\n" % (len(written), b"x" * chance.choice([1, 50, 3000]))
            written.extend(text)
            bench.write(text)
        elif kind == "rotate" and bench.path.stat().st_size:
            bench.rotate(keep=60)
        elif kind in {"fail", "back"}:
            bench.log.fails = (lambda: chance.choice([None, "before", "after"])) if kind == "fail" else lambda: None

    bench.ship(act)  # before it began, nothing is its own
    for _ in range(data.draw(st.integers(1, 6))):
        act()  # while it is down
        act()
        bench.ship(*[act] * chance.randint(0, 8), every=chance.choice([0.25, 7.0, 40.0]))
    bench.log.fails = lambda: None
    bench.write(b"end\n")
    assert bench.ship(once=True, seal=True)
    assert bytes(bench.log.text) == bytes(written) + b"end\n"
    assert bench.lost == []
