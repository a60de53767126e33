"""The agent when its file is emptied, written anew or edited, or has holes and half lines."""

import os
import random
import shutil

import pytest

from logkeep_agent import reading
from tests.agent.fakes import Bench
from tests.agent.packing import pack
from tests.agent.test_rotation import copy_and_truncate

pytestmark = pytest.mark.unit

HEADER = b"".join(b"# header line %d of a program that always writes the same\n" % n for n in range(40))

# Written anew


@pytest.mark.parametrize("is_down", [True, False])
@pytest.mark.parametrize("text", [b"new\n", b"a new text that is longer than the old one\n", b"old 1\n" * 9])
def test_a_file_that_begins_as_before_is_seen_to_be_written_anew(bench, text, is_down) -> None:
    bench.write(HEADER + b"old 1\nold 2\n")

    def rewrite() -> None:
        bench.path.write_bytes(HEADER + text)

    if is_down:
        bench.ship()
        rewrite()
        bench.ship(once=True)
    else:
        bench.ship(rewrite)
    assert bytes(bench.log.text) == HEADER + b"old 1\nold 2\n" + HEADER + text
    assert len(bench.lost) == 1


@pytest.mark.parametrize("is_down", [True, False])
def test_the_copy_of_a_file_that_begins_as_before_is_found(bench, is_down) -> None:
    bench.write(HEADER + b"old\n")

    def truncate() -> None:
        bench.write(b"end of old\n")
        copy_and_truncate(bench)
        bench.write(HEADER + b"new, and longer than the old one\n")

    if is_down:
        bench.ship()
        truncate()
        bench.ship(once=True)
    else:
        bench.ship(truncate, lambda: None)
    assert bytes(bench.log.text) == HEADER + b"old\nend of old\n" + HEADER + b"new, and longer than the old one\n"
    assert bench.lost == []


def test_what_was_written_before_a_file_is_emptied_is_sent_up_to_the_last_tick(bench) -> None:
    """Though requests are made every 30 seconds."""
    bench.write(b"0\n")
    lines = iter(range(1, 1000))
    written: list[bytes] = []

    def step() -> None:
        number = next(lines)
        if number % 20 == 0:
            bench.path.write_bytes(b"")
        written.append(b"%d\n" % number)
        bench.write(written[-1])

    assert bench.ship(*[step] * 100, every=0.5)
    assert bytes(bench.log.text) == b"0\n" + b"".join(written)
    assert len(bench.log.requests) < 10
    assert "0.2 seconds ago" in bench.lost[0] or "0.0 seconds ago" in bench.lost[0]


def test_it_reads_ahead_while_the_service_is_away_and_while_a_request_is_under_way(bench) -> None:
    bench.log.fails = lambda: "before" if 1 < bench.seconds < 200 else None
    bench.write(b"0\n")
    steps = [lambda n=n: bench.write(b"%d\n" % n) for n in range(1, 4)]
    assert bench.ship(*steps, lambda: bench.path.write_bytes(b""), *steps, lambda: None)
    assert bytes(bench.log.text) == b"0\n1\n2\n3\n1\n2\n3\n"


def test_it_reads_no_more_ahead_than_fits(bench) -> None:
    bench.log.fails = lambda: "before" if bench.seconds < 300 else None
    bench.write(b"0\n")
    text = random.Random(1).randbytes(5000).replace(b"\0", b"x")
    assert bench.ship(lambda: bench.write(text), lambda: None, every=200, ahead=1000)
    assert bytes(bench.log.text) == b"0\n" + text
    assert max(size for _, _, size in bench.log.requests) <= 1000


@pytest.mark.parametrize("then", [lambda bench: None, lambda bench: bench.rotate()], ids=["copied", "renamed, too"])
def test_a_file_of_which_nothing_was_sent_is_shipped_out_of_its_copy_after_a_stop(bench, then) -> None:
    bench.path.touch()
    bench.ship()
    bench.write(b"one\n")
    copy_and_truncate(bench)
    bench.write(b"two\n")
    then(bench)
    bench.write(b"three\n")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"one\ntwo\nthree\n"
    assert bench.lost == []


def test_a_file_that_is_emptied_between_two_looks_before_it_was_read_is_shipped_out_of_its_copy(bench) -> None:
    bench.path.touch()
    bench.ship()

    def truncate() -> None:
        bench.write(b"one\n")
        copy_and_truncate(bench)
        bench.write(b"two\n")

    assert bench.ship(truncate, lambda: None)
    assert bytes(bench.log.text) == b"one\ntwo\n"
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"one\ntwo\n", "again"


# Edited


def sed(bench: Bench, old: bytes, new: bytes) -> None:
    """As `sed -i` does it."""
    other = bench.path.with_name("sedq3Zk8W")
    other.write_bytes(bench.path.read_bytes().replace(old, new))
    other.rename(bench.path)


LINES = [b"2026-11-22 08:00:%02d INFO line %d\n" % (n % 60, n) for n in range(100)]


@pytest.mark.parametrize("is_down", [True, False])
@pytest.mark.parametrize(
    ("old", "new"),
    [(b"line 7\n", b"LINE 7\n"), (b"line 99\n", b"secret\n"), (LINES[50], b""), (LINES[50], LINES[50] * 2),
     (b"line 1", b"line one"), (b"nowhere", b"")],
)  # fmt: skip
def test_a_file_that_was_edited_is_not_sent_again(bench, old, new, is_down) -> None:
    bench.write(b"".join(LINES))

    def edit() -> None:
        sed(bench, old, new)
        bench.write(b"next\n")

    if is_down:
        bench.ship()
        edit()
        bench.ship(once=True)
    else:
        bench.ship(edit, lambda: None)
    assert bytes(bench.log.text) == b"".join(LINES) + b"next\n"
    assert bench.lost == []
    if old != b"nowhere" or not is_down:
        assert sum("was edited" in line for line in bench.told) == 1
    bench.write(b"and on\n")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"".join(LINES) + b"next\nand on\n"


@pytest.mark.parametrize("is_down", [True, False])
def test_a_short_file_and_half_a_line_are_known_again_too(bench, is_down) -> None:
    bench.write(b"one\ntwo\nthree\nhal")

    def edit() -> None:
        sed(bench, b"two", b"TWO")
        bench.write(b"f\nfour\n")

    if is_down:
        bench.ship()
        edit()
        bench.ship(once=True)
    else:
        bench.ship(edit, lambda: None)
    assert bytes(bench.log.text) == b"one\ntwo\nthree\nhalf\nfour\n"


@pytest.mark.parametrize("is_down", [True, False])
@pytest.mark.parametrize("text", [HEADER + b"new\n", b"tick\n" * 30, b"starts\nlistens\n", b"".join(LINES[:30])])
def test_another_file_of_the_same_program_is_sent_whole(bench, text, is_down) -> None:
    """Removed and begun again: it has the lines that the program always writes."""
    old = (text if text != b"".join(LINES[:30]) else b"") + b"".join(LINES)
    bench.write(old if not text.startswith(b"tick") else b"tick\n" * 40)
    old = bench.path.read_bytes()

    def replace() -> None:
        bench.path.unlink()
        bench.write(text)

    if is_down:
        bench.ship()
        replace()
        bench.ship(once=True)
    else:
        bench.ship(replace, lambda: None)
    assert bytes(bench.log.text) == old + text


# Holes


@pytest.mark.parametrize("size", [3, 700, 5000, 3_000_000_000])
@pytest.mark.parametrize("is_down", [True, False])
def test_the_hole_of_a_writer_that_does_not_append_is_skipped_with_a_word(bench, size, is_down) -> None:
    bench.write(b"one\n")

    def truncate() -> None:
        bench.path.write_bytes(b"")
        with bench.path.open("r+b") as file:
            file.seek(size)
            file.write(b"two\n")

    if is_down:
        bench.ship()
        truncate()
        bench.ship()
    else:
        bench.ship(truncate, lambda: bench.write(b"three\n"))
    bench.write(b"four\n")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"one\ntwo\n" + b"three\n" * (not is_down) + b"four\n"
    assert any(f"skips {size} NUL bytes" in line for line in bench.told)


def test_a_hole_between_texts_is_skipped_and_few_nul_bytes_are_text(bench) -> None:
    bench.write(b"a\0b\0\0\n" + b"\0" * 10_000 + b"two\0" + b"\0" * 100 + b"\n")
    with bench.path.open("r+b") as file:
        file.seek(50_000_000)
        file.write(b"end\0")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"a\0b\0\0\ntwo\0" + b"\0" * 100 + b"\nend\0"


def test_nul_bytes_that_a_program_writes_ahead_are_not_sent(bench) -> None:
    bench.path.write_bytes(b"one\n" + b"\0" * 100_000)

    def fill(text: bytes) -> None:
        with bench.path.open("r+b") as file:
            file.seek(len(bench.path.read_bytes().rstrip(b"\0")))
            file.write(text)

    def rotate() -> None:
        bench.rotate()
        bench.write(b"three\n")

    assert bench.ship(lambda: fill(b"two\n"), rotate, lambda: None)
    assert bytes(bench.log.text) == b"one\ntwo\nthree\n"
    assert bench.lost == []


def test_few_nul_bytes_at_the_end_of_what_fits_may_begin_a_hole(bench) -> None:
    """While the service is away, the agent reads until its memory is full, here within the hole."""
    bench.log.fails = lambda: "before" if 1 < bench.seconds < 300 else None
    bench.write(b"0\n")
    text = b"x" * 990 + b"\n"

    def leave() -> None:
        bench.write(text)

    assert bench.ship(leave, lambda: bench.write(b"\0" * 5000 + b"end\n"), lambda: None, every=120, ahead=1000)
    assert bytes(bench.log.text) == b"0\n" + text + b"end\n"


def test_two_files_that_begin_with_holes_are_not_taken_for_each_other(bench) -> None:
    def begin(text: bytes) -> None:
        with bench.path.open("wb") as file:
            file.seek(5000)
            file.write(text)

    begin(b"one\n" * 400)
    bench.ship()
    for text in (b"two\n", b"three\n"):
        bench.rotate()
        begin(text * 400)
    for number in (1, 2):
        pack(bench.path.with_name(f"app.log.{number}"), "gz")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"one\n" * 400 + b"two\n" * 400 + b"three\n" * 400
    assert bench.lost == []


# Seams


@pytest.mark.parametrize("is_down", [True, False])
@pytest.mark.parametrize("kind", ["rename", "truncate", "copy", "gone"])
def test_half_a_line_does_not_swallow_the_first_record_of_the_next_file(bench, kind, is_down) -> None:
    bench.write(b"one\nhalf")

    def turn() -> None:
        if kind == "rename":
            bench.rotate()
        elif kind == "copy":
            bench.write(b" of")
            copy_and_truncate(bench)
        elif kind == "gone":
            bench.path.unlink()
        else:
            bench.path.write_bytes(b"")
        bench.write(b"two\n")

    if is_down:
        bench.ship()
        turn()
        for is_written in (False, True):
            bench.killed(lambda: bench.ship(once=True), is_written) if kind != "copy" else None
        bench.ship(once=True)
    else:
        bench.ship(turn, lambda: None)
    assert bytes(bench.log.text) == b"one\nhalf" + b" of" * (kind == "copy") + b"\ntwo\n"
    assert sum("ended within a line" in line for line in bench.told) == (not is_down or kind == "copy")
    bench.write(b"three\n")
    assert bench.ship(once=True)
    assert bytes(bench.log.text).endswith(b"\ntwo\nthree\n")


def test_the_copy_of_a_file_continues_its_line(bench) -> None:
    bench.write(b"one\nhal")

    def truncate() -> None:
        bench.write(b"f\n")
        shutil.copy(bench.path, bench.path.with_name("app.log.1"))
        os.truncate(bench.path, 0)
        bench.write(b"two\n")

    assert bench.ship(truncate, lambda: None)
    assert bytes(bench.log.text) == b"one\nhalf\ntwo\n"


def test_pieces_of_any_size_come_to_the_same(bench, monkeypatch) -> None:
    monkeypatch.setattr(reading, "PIECE", 7)
    bench.write(b"one\ntwo\n\0\0three")
    bench.rotate()
    bench.write(b"four\n")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"four\n"
    bench.write(b"x" * 20)
    bench.rotate()
    bench.write(b"five and more\n")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"four\n" + b"x" * 20 + b"\nfive and more\n"
