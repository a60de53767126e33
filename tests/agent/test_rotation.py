"""The agent when its file is rotated or truncated, while it runs and while it does not."""

import gzip
import os
import shutil

import pytest

from logkeep_agent import Refused
from logkeep_agent.names import Entry
from logkeep_agent.service import Certificate
from tests.agent.fakes import Bench

pytestmark = pytest.mark.unit

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


@pytest.mark.dates
def test_a_writer_that_leaves_the_rotated_file_late_is_waited_for(bench) -> None:
    bench.write(b"one\n")

    def rotate() -> None:
        bench.rotate()
        bench.write(b"two\n")

    assert bench.ship(rotate, lambda: bench.write(b"late\n", "app.log.1"), every=2.0, interval=0, settle=7.0, seal=True)
    assert bytes(bench.log.text) == b"one\nlate\ntwo\n"
    assert bench.lost == []


def test_late_lines_of_a_rotated_file_are_sent_after_what_was_sent_already(bench) -> None:
    bench.write(b"one\n")

    def rotate() -> None:
        bench.rotate()
        bench.write(b"two\n")

    def be_late() -> None:
        bench.write(b"late\nhal", "app.log.1")
        bench.write(b"three\n")

    assert bench.ship(rotate, be_late, lambda: bench.write(b"f\n", "app.log.1"), lambda: bench.write(b"four\n"))
    assert bytes(bench.log.text) == b"one\ntwo\nlate\nthree\nhalf\nfour\n"
    assert bench.lost == []


@pytest.mark.parametrize("is_written", [None, True, False])
def test_late_lines_are_sent_once_though_the_agent_was_down_or_killed(bench, is_written) -> None:
    bench.write(b"one\n")

    def rotate() -> None:
        bench.rotate()
        bench.write(b"two\n")

    assert bench.ship(rotate, lambda: None)
    bench.write(b"late\n", "app.log.1")
    bench.rotate()
    if is_written is not None:
        bench.killed(lambda: bench.ship(once=True), is_written)
    bench.write(b"three\n")
    bench.write(b"later\n", "app.log.2")
    assert bench.ship(once=True)
    assert sorted(bytes(bench.log.text).split()) == [b"late", b"later", b"one", b"three", b"two"]
    assert bench.lost == []


def test_late_text_waits_for_the_end_of_a_line_and_half_of_it_is_sent_at_the_end(bench) -> None:
    bench.write(b"one\n")

    def rotate() -> None:
        bench.rotate()
        bench.write(b"tw")

    assert bench.ship(rotate, lambda: bench.write(b"late\nhalf", "app.log.1"), lambda: bench.write(b"o\n"))
    assert bytes(bench.log.text) == b"one\ntwo\nlate\nhalf"
    bench.write(b"three\n")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"one\ntwo\nlate\nhalf\nthree\n"


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
    with pytest.raises(Refused, match="not a regular file"):
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


def test_a_file_that_is_truncated_before_any_of_it_was_sent_is_shipped_out_of_its_copy(bench) -> None:
    bench.path.touch()

    def truncate() -> None:
        bench.write(b"end of the one before\n")
        copy_and_truncate(bench)
        bench.write(b"a text that is longer than all of the one before was\n")

    assert bench.ship(
        lambda: setattr(bench.log, "fails", lambda: "before"),
        lambda: bench.write(b"one\n"),
        truncate,
        lambda: setattr(bench.log, "fails", lambda: None),
        lambda: None,
    )
    longer = b"a text that is longer than all of the one before was\n"
    assert bytes(bench.log.text) == b"one\nend of the one before\n" + longer
    assert bench.lost == []


def test_a_file_that_is_truncated_while_its_first_piece_is_sent_is_not_taken_for_the_old_one(bench) -> None:
    bench.write(b"one\n")
    append, texts = bench.log.append, [b"another that is longer\n"]

    def append_slowly(offset: int, piece: bytes) -> Certificate:
        told = append(offset, piece)
        if texts:
            copy_and_truncate(bench)
            bench.write(texts.pop())
        return told

    bench.log.append = append_slowly
    assert bench.ship(lambda: None)
    assert bytes(bench.log.text) == b"one\nanother that is longer\n"
    assert bench.lost == []
