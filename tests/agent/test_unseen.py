"""The agent when files are emptied, edited or moved away before it has sent any of them, or has an answer."""

import os
import shutil
import time

import pytest

from tests.agent.fakes import Bench
from tests.agent.packing import pack
from tests.agent.test_edits import LINES, sed
from tests.agent.test_rotation import copy_and_truncate

pytestmark = pytest.mark.unit

AGAIN = [line.replace(b"line", b"another") for line in LINES]


def wait_for_the_clock_of_files() -> None:
    time.sleep(0.01)


def move(bench: Bench, name: str) -> None:
    """To a directory that the agent does not know."""
    elsewhere = bench.path.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    bench.path.with_name(name).rename(elsewhere / name)


# Emptied


@pytest.mark.parametrize("rotation", ["kept", "compressed"])
def test_a_file_that_waits_and_is_copied_and_emptied_between_two_looks_is_shipped(bench, rotation) -> None:
    """While the agent reads the file before it, which is compressed at the same time."""
    bench.write(b"one\n")

    def rotate() -> None:
        bench.rotate()

    def fill_and_empty() -> None:
        wait_for_the_clock_of_files()
        bench.write(b"two\n")
        copy_and_truncate(bench)
        if rotation == "compressed":
            pack(bench.path.with_name("app.log.2"), "gz")
        bench.write(b"three\n")

    assert bench.ship(rotate, fill_and_empty, lambda: None)
    assert bytes(bench.log.text) == b"one\ntwo\nthree\n"
    assert bench.lost == []


@pytest.mark.parametrize("is_emptied", [True, False])
def test_what_may_have_been_written_is_sent_as_it_was_until_there_is_an_answer(bench, is_emptied) -> None:
    """So a killed agent knows the log's end, also if the file is not there any more that could prove it."""
    bench.write(b"one\n")
    bench.ship()
    answers = iter(["after", "before", "before"])
    bench.seconds = 0
    bench.log.fails = lambda: next(answers, "before") if bench.seconds >= 40 else None
    bench.ship(lambda: bench.write(b"two\n"), lambda: bench.write(b"three\n"), lambda: None)
    assert bytes(bench.log.text) == b"one\ntwo\n"
    bench.log.fails = lambda: None
    if is_emptied:
        bench.path.write_bytes(b"four\n")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == (b"one\ntwo\nfour\n" if is_emptied else b"one\ntwo\nthree\n")
    assert len(bench.lost) == is_emptied


@pytest.mark.parametrize("is_copied", [True, False])
def test_a_file_of_which_nothing_was_sent_is_known_by_what_it_began_with(bench, is_copied) -> None:
    bench.write(b"one\n")
    bench.killed(lambda: bench.ship(once=True), is_written=False)
    bench.write(b"end of one\n")
    if is_copied:
        shutil.copy(bench.path, bench.path.with_name("app.log.1"))
    bench.path.write_bytes(b"two, which is longer than one was\n")
    assert bench.ship(once=True)
    one = b"one\nend of one\n" if is_copied else b""
    assert bytes(bench.log.text) == one + b"two, which is longer than one was\n"
    assert len(bench.lost) == (not is_copied)


def test_a_file_that_begins_with_a_hole_is_known_by_what_comes_after_it(bench) -> None:
    def begin(size: int, text: bytes) -> None:
        with bench.path.open("r+b") as file:
            file.truncate(0)
            file.seek(size)
            file.write(text)

    bench.path.touch()
    bench.ship()
    begin(5000, b"one\n")
    bench.killed(lambda: bench.ship(once=True), is_written=False)
    bench.killed(lambda: bench.ship(once=True), is_written=False)
    copy_and_truncate(bench)
    begin(9000, b"two\n")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"one\ntwo\n"
    assert bench.lost == []


# Edited


@pytest.mark.parametrize("kind", ["gz", ""])
@pytest.mark.parametrize("is_down", [True, False])
def test_a_file_that_was_edited_and_rotated_then_is_not_sent_again(bench, is_down, kind) -> None:
    bench.write(b"".join(LINES))

    def edit() -> None:
        sed(bench, b"line 7\n", b"LINE 7\n")
        bench.write(b"next\n")
        bench.rotate()
        if kind:
            pack(bench.path.with_name("app.log.1"), kind)
        bench.write(b"".join(AGAIN))

    if is_down:
        bench.ship()
        edit()
        bench.ship(once=True)
    else:
        bench.ship(edit, lambda: None)
    assert bytes(bench.log.text) == b"".join(LINES) + b"next\n" + b"".join(AGAIN)
    assert bench.lost == []


def test_a_rotated_file_that_is_removed_is_not_taken_for_an_edited_one(bench) -> None:
    """Though the file after it has the same lines."""
    bench.write(b"".join(LINES))

    def rotate() -> None:
        bench.rotate()

    def remove() -> None:
        bench.path.with_name("app.log.1").unlink()
        bench.write(b"".join(LINES))

    assert bench.ship(rotate, remove, lambda: None)
    assert bytes(bench.log.text) == b"".join(LINES) * 2


# Moved away


@pytest.mark.parametrize("begins_with", [b"", b"one\n"])
def test_what_was_moved_away_before_any_of_it_was_sent_is_lost_by_its_name(bench, begins_with) -> None:
    bench.write(begins_with)
    bench.killed(lambda: bench.ship(once=True), is_written=False) if begins_with else bench.ship()
    for text in (b"one, too\n", b"two\n", b"three\n"):
        bench.write(text)
        bench.rotate()
        wait_for_the_clock_of_files()
    move(bench, "app.log.3")
    pack(bench.path.with_name("app.log.2"), "gz")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"two\nthree\n"
    assert len(bench.lost) == 1
    assert f"{bench.path} " in bench.lost[0]
    assert ("unless" in bench.lost[0]) == (not begins_with), "an empty file cannot be known again"


@pytest.mark.parametrize("begins_with", [b"", b"one\n"])
def test_what_was_compressed_before_any_of_it_was_sent_is_not_called_lost(bench, begins_with) -> None:
    bench.write(b"zero\n")
    bench.ship()
    bench.rotate()
    bench.write(begins_with)
    bench.ship(lambda: None, every=2.0, settle=0) if begins_with else bench.ship()
    bench.log.text[:] = b"zero\n" if not begins_with else bench.log.text
    for text in (b"one, too\n", b"two\n"):
        bench.write(text)
        bench.rotate()
        wait_for_the_clock_of_files()
    for number in (3, 2, 1):
        pack(bench.path.with_name(f"app.log.{number}"), "gz")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"zero\n" + begins_with + b"one, too\ntwo\n"
    assert bench.lost == []


def test_a_compressed_file_stays_the_one_that_is_shipped_though_an_older_one_was_written_late(bench) -> None:
    bench.write(b"zero\n")
    bench.ship()
    for text in (b"one\n", b"two\n", b"three\n"):
        bench.rotate()
        bench.write(text)
        wait_for_the_clock_of_files()
    late = bench.path.with_name("app.log.3")
    written = bench.path.with_name("app.log.1").stat().st_mtime_ns
    os.utime(late, ns=(written, written))
    for number in (3, 2):
        pack(bench.path.with_name(f"app.log.{number}"), "gz")
    appended = bench.log.append

    def die_at_one(offset: int, piece: bytes) -> object:
        if piece.startswith(b"one"):
            raise KeyboardInterrupt
        return appended(offset, piece)

    bench.log.append = die_at_one
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            bench.ship(once=True)
    bench.log.append = appended
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"zero\none\ntwo\nthree\n"
    assert bench.lost == []
