"""The agent against a log in memory: what grows, rotates, is truncated and fails meanwhile."""

import gzip
import itertools
import os
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logkeep_agent import Refused, ship
from logkeep_agent.files import Entry
from tests.agent.fakes import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


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
    monkeypatch.setattr(ship, "PIECE", 1000)
    bench.write(b"x" * 10_500)
    bench.ship(lambda: None, every=10)
    assert [size for _, _, size in bench.log.requests] == [1000] * 10 + [500]
    assert [at for at, _, _ in bench.log.requests][9] == 0


# Failures


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
    assert bench.told[0] == "away; tries again"
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


# Its own end


def test_a_successor_goes_on_where_the_log_ends(bench) -> None:
    bench.write(b"one\n")
    bench.ship()
    bench.write(b"two\n")
    bench.ship()
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
    with pytest.raises(Refused, match="is about build/a/stage1"):
        bench.ship()


def test_a_damaged_state_is_refused(bench) -> None:
    bench.write(b"one\n")
    for content in (b"", b"[]", b"{}", b'{"version": 1}', b'{"version": 2}', b"\xff"):
        bench.path.with_name(".app.log.logkeep").write_bytes(content)
        with pytest.raises(Refused, match="no state file"):
            bench.ship()
    assert not bench.log.text


# Rotation


def test_a_rotated_file_is_read_to_its_end_before_the_next(bench) -> None:
    bench.write(b"one\n")

    def rotate() -> None:
        bench.write(b"two\n")
        bench.rotate()
        bench.write(b"three\n", "app.log.1")

    assert bench.ship(rotate, lambda: bench.write(b"four\n", "app.log.1"), lambda: bench.write(b"five\n"))
    assert bytes(bench.log.text) == b"one\ntwo\nthree\nfour\nfive\n"
    assert bench.lost == []


def test_bytes_that_come_too_late_to_a_rotated_file_are_told_of(bench) -> None:
    bench.write(b"one\n")

    def rotate() -> None:
        bench.rotate()
        bench.write(b"two\n")

    assert bench.ship(rotate, lambda: bench.write(b"late\n", "app.log.1"))
    assert bytes(bench.log.text) == b"one\ntwo\n"
    assert len(bench.lost) == 1
    assert "grew by 5 bytes" in bench.lost[0]


def test_files_that_are_removed_while_the_service_is_away_are_shipped_in_order(bench) -> None:
    bench.write(b"0\n")
    bench.ship()

    def rotate(number: int) -> None:
        bench.rotate()
        bench.write(b"%d\n" % number)
        for old in bench.path.parent.glob("app.log.[3-9]"):
            old.unlink()

    def back() -> None:
        bench.log.fails = lambda: None

    steps = [lambda n=n: rotate(n) for n in range(1, 9)]
    assert bench.ship(lambda: setattr(bench.log, "fails", lambda: "before"), *steps, back, lambda: None)
    assert bytes(bench.log.text) == b"".join(b"%d\n" % n for n in range(9))
    assert bench.lost == []


def test_files_that_are_rotated_before_the_service_ever_answered_are_shipped(bench) -> None:
    bench.log.fails = lambda: "before"
    bench.write(b"one\n")

    def rotate() -> None:
        bench.rotate()
        bench.path.with_name("app.log.1").unlink()
        bench.write(b"two\n")

    assert bench.ship(lambda: None, rotate, lambda: setattr(bench.log, "fails", lambda: None))
    assert bytes(bench.log.text) == b"one\ntwo\n"


def test_several_rotations_while_it_was_down_are_caught_up_in_order(bench) -> None:
    bench.write(b"0\n")
    bench.ship()
    bench.write(b"0 more\n")
    for number in range(1, 12):
        bench.rotate(keep=20)
        bench.write(b"%d\n" % number)
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"0\n0 more\n" + b"".join(b"%d\n" % n for n in range(1, 12))
    assert bench.lost == []


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize("numbers", [(1, 2, 3, 4), (1, 9)])
def test_numbers_that_count_upwards_are_told_by_the_time_of_the_last_write(bench, numbers, is_running) -> None:
    bench.write(b"0\n")

    def rotate(number: int) -> None:
        bench.path.rename(bench.path.with_name(f"app.log.{number}"))
        bench.write(b"then %d\n" % number)

    steps = [lambda n=n: rotate(n) for n in numbers]
    if is_running:
        assert bench.ship(*steps)
    else:
        bench.ship()
        for step in steps:
            step()
        assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"0\n" + b"".join(b"then %d\n" % n for n in numbers)
    assert bench.lost == []


def test_a_rotated_file_that_is_written_late_turns_no_order(bench) -> None:
    bench.write(b"0\n")
    bench.ship()
    for number in (1, 2, 3):
        bench.rotate()
        bench.write(b"%d\n" % number)
    bench.write(b"0 late\n", "app.log.3")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"0\n0 late\n1\n2\n3\n"


@pytest.mark.parametrize("name", ["app.log-20261101-0{}", "app.log.2026-11-01_0{}", "app-2026110{}.log"])
def test_dated_names_are_found_by_the_time_of_their_last_write(bench, name) -> None:
    bench.write(b"other\n", "app-error.log")
    bench.write(b"0\n")
    bench.ship()
    for number in range(3):
        bench.write(b"%d more\n" % number)
        bench.path.rename(bench.path.with_name(name.format(number)))
        bench.write(b"%d\n" % (number + 1))
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"0\n0 more\n1\n1 more\n2\n2 more\n3\n"


def test_files_that_were_compressed_while_it_was_down_are_shipped(bench) -> None:
    bench.write(b"before\n")
    bench.rotate()
    bench.write(b"0\n")
    bench.ship()
    bench.write(b"0 more\n")
    for number in (1, 2, 3):
        bench.rotate()
        bench.write(b"%d\n" % number)
    for number in (2, 3, 4):
        plain = bench.path.with_name(f"app.log.{number}")
        packed = plain.with_name(plain.name + ".gz")
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        shutil.copystat(plain, packed)
        plain.unlink()
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"0\n0 more\n1\n2\n3\n", "and not what was there before it began"
    assert bench.lost == []


def test_what_a_program_that_keeps_no_times_compresses_is_not_shipped_again(bench) -> None:
    bench.write(b"one\n")

    def compress() -> None:
        bench.write(b"two\n")
        packed = bench.path.with_name("app.log.1.gz")
        packed.write_bytes(gzip.compress(bench.path.read_bytes()))
        bench.path.unlink()
        bench.write(b"three\n")

    assert bench.ship(compress, lambda: None)
    assert bytes(bench.log.text) == b"one\ntwo\nthree\n"
    assert bench.lost == []


def test_a_rotated_file_that_cannot_be_read_is_told_of_and_waited_for(bench, monkeypatch) -> None:
    bench.write(b"one\n")
    readable = Entry.open
    forbidden = {bench.path.with_name("app.log.1"), bench.path.with_name("app.log.2")}

    def guarded(self):
        if self.path in forbidden:
            raise PermissionError(13, "Permission denied", str(self.path))
        return readable(self)

    monkeypatch.setattr(Entry, "open", guarded)

    def rotate() -> None:
        for number in (2, 3):
            bench.rotate()
            bench.write(b"%d\n" % number)

    assert bench.ship(rotate, lambda: bench.write(b"4\n"), lambda: forbidden.clear())
    assert bytes(bench.log.text) == b"one\n2\n3\n4\n"
    assert sum("Permission denied" in line for line in bench.told) == 1


def test_a_pipe_is_refused(bench) -> None:
    os.mkfifo(bench.path)
    with pytest.raises(Refused, match="no regular file"):
        bench.ship()


def test_a_file_that_is_gone_is_told_of_and_the_next_is_begun(bench) -> None:
    bench.write(b"one\n")
    bench.ship()
    bench.write(b"lost\n")
    bench.path.unlink()
    bench.write(b"two\n")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"one\ntwo\n"
    assert len(bench.lost) == 1


def test_a_writer_that_stays_with_the_rotated_file_is_stayed_with(bench) -> None:
    bench.write(b"one\n")
    assert bench.ship(
        lambda: bench.rotate(), *[lambda: bench.write(b"more\n", "app.log.1")] * 5, lambda: bench.write(b"new\n")
    )
    assert bytes(bench.log.text) == b"one\n" + b"more\n" * 5 + b"new\n"


def test_a_link_is_followed_to_the_next_file(bench) -> None:
    link = bench.path.with_name("current.log")
    bench.write(b"one\n")
    link.symlink_to("app.log")

    def switch() -> None:
        bench.write(b"two\n")
        bench.write(b"three\n", "app2.log")
        link.unlink()
        link.symlink_to("app2.log")

    assert bench.ship(switch, lambda: None, path=link)
    assert bytes(bench.log.text) == b"one\ntwo\nthree\n"


# Truncation


def copy_and_truncate(bench: Bench) -> None:
    """As logrotate's copytruncate does it."""
    for number in (3, 2, 1):
        old = bench.path.with_name(f"app.log.{number}")
        if old.exists():
            old.rename(bench.path.with_name(f"app.log.{number + 1}"))
    shutil.copy(bench.path, bench.path.with_name("app.log.1"))
    bench.path.write_bytes(b"")


@pytest.mark.parametrize("new", [b"new\n", b"a new text that is longer than the old one\n", b"ONE\ntwo\nthree\n"])
@pytest.mark.parametrize("running", [True, False])
def test_what_a_copy_holds_of_a_truncated_file_is_shipped_before_the_new_text(bench, new, running) -> None:
    bench.write(b"one\ntwo\n")

    def truncate() -> None:
        bench.write(b"three\n")
        copy_and_truncate(bench)
        bench.write(new)

    if running:
        assert bench.ship(truncate, lambda: None)
    else:
        bench.ship()
        truncate()
        assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"one\ntwo\nthree\n" + new
    assert bench.lost == []


def test_a_file_truncated_twice_while_it_was_down(bench) -> None:
    bench.write(b"one\n")
    bench.ship()
    for text in (b"two\n", b"three\n"):
        bench.write(b"end of the one before\n")
        copy_and_truncate(bench)
        bench.write(text)
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"one\nend of the one before\ntwo\nend of the one before\nthree\n"


def test_a_truncation_without_a_copy_begins_anew_and_says_so(bench) -> None:
    bench.write(b"one\ntwo\n")
    assert bench.ship(lambda: bench.path.write_bytes(b"new\n"), lambda: bench.write(b"more\n"))
    assert bytes(bench.log.text) == b"one\ntwo\nnew\nmore\n"
    assert len(bench.lost) == 1


# All at once


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
