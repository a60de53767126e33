"""What users of other agents reported about files that rotate, tried with this one."""

import gzip
import shutil

import pytest

from tests.agent.fakes import Bench

pytestmark = pytest.mark.unit


def numbered(*numbers: int) -> bytes:
    return b"".join(b"2026-11-22 08:00:00 INFO line %d\n" % number for number in numbers)


def overwrite(bench: Bench, text: bytes) -> None:
    """As `> app.log` does."""
    bench.path.write_bytes(text)


def copy_and_truncate(bench: Bench, name: str) -> None:
    shutil.copy(bench.path, bench.path.with_name(name))
    overwrite(bench, b"")


def test_a_file_that_is_overwritten_at_every_tenth_line_is_shipped_whole(bench) -> None:
    """fluent/fluent-bit#9580"""

    def write(number: int) -> None:
        (overwrite if number % 10 == 0 else Bench.write)(bench, numbered(number))

    assert bench.ship(*(lambda number=number: write(number) for number in range(1, 51)), every=0.5, interval=0)
    assert bytes(bench.log.text) == numbered(*range(1, 51))
    assert len(bench.lost) == 5, "what may have been written since the last look, a quarter of a second before"


def test_a_new_file_with_the_number_of_a_removed_one_is_read_from_its_start(bench) -> None:
    """fluent/fluent-bit#4895, #8025: the inode is the same, the place that was kept for it is not."""
    bench.write(numbered(1, 2, 3))
    assert bench.ship(once=True)
    overwrite(bench, numbered(*range(100, 120)))
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == numbered(1, 2, 3, *range(100, 120))


def test_a_rotated_file_is_not_shipped_again_after_a_restart(bench) -> None:
    """elastic/beats#1010, #1528: both files begin with the same line."""
    bench.write(b"START\n" + numbered(1))
    assert bench.ship(once=True)
    bench.path.rename(bench.path.with_name("app.1.log"))
    bench.write(b"START\n" + numbered(2, 3))
    for _ in range(3):
        assert bench.ship(once=True)
    bench.write(numbered(4))
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"START\n" + numbered(1) + b"START\n" + numbered(2, 3, 4)


@pytest.mark.parametrize("is_down", [True, False])
def test_a_copy_of_a_truncated_file_is_not_shipped_again(bench, is_down) -> None:
    """elastic/beats#39731"""
    bench.write(numbered(1, 2))
    steps = [lambda: copy_and_truncate(bench, "app.log.1"), lambda: bench.write(numbered(3))]
    if is_down:
        assert bench.ship(once=True)
        for step in steps:
            step()
        assert bench.ship(once=True)
    else:
        assert bench.ship(*steps)
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == numbered(1, 2, 3)
    assert bench.lost == []


def test_a_file_truncated_while_the_agent_was_down_is_shipped_once_however_often_it_starts(bench) -> None:
    """elastic/beats#36541, #38070"""
    bench.write(numbered(*range(100)))
    assert bench.ship(once=True)
    overwrite(bench, numbered(200))
    for number in range(201, 205):
        assert bench.ship(once=True)
        bench.write(numbered(number))
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == numbered(*range(100), *range(200, 205))


def test_a_program_that_empties_its_file_at_its_start_and_writes_more_than_before_is_shipped_once(bench) -> None:
    """vectordotdev/vector#23619"""
    bench.write(numbered(*range(10)))
    assert bench.ship(lambda: overwrite(bench, numbered(*range(50, 150))), lambda: bench.write(numbered(150)))
    assert bytes(bench.log.text) == numbered(*range(10), *range(50, 151))
    assert len(bench.lost) == 1, "as above"


def test_compressed_files_of_before_are_not_shipped_again(bench) -> None:
    """vectordotdev/vector#7990, #5085, fluent/fluent-bit#2110: and their numbers are given to new files."""
    bench.write(numbered(1, 2))

    def compress() -> None:
        old = bench.path.with_name("app.log.1")
        bench.path.with_name("app.log.2.gz").write_bytes(gzip.compress(old.read_bytes()))
        old.unlink()

    def rotate() -> None:
        bench.rotate()
        bench.write(numbered(3, 4))

    assert bench.ship(rotate, compress)
    bench.write(numbered(5))
    for _ in range(3):
        assert bench.ship(once=True)
    assert bytes(bench.log.text) == numbered(1, 2, 3, 4, 5)
    assert bench.lost == []


def test_the_file_after_one_that_was_not_written_for_long_is_shipped_from_its_start(bench) -> None:
    """fluent/fluent-bit#11828"""
    bench.write(numbered(1, 2))

    def rotate() -> None:
        bench.path.rename(bench.path.with_name("app.log.1"))
        for number in (3, 4, 5):
            bench.write(numbered(number))

    assert bench.ship(rotate, every=4000.0)
    assert bytes(bench.log.text) == numbered(1, 2, 3, 4, 5)


def test_two_rotations_by_copies_while_the_agent_was_down_are_shipped_in_their_order(bench) -> None:
    """elastic/beats#45300: the older copy is compressed."""
    bench.write(numbered(*range(50)))
    assert bench.ship(once=True)
    bench.write(numbered(50, 51))
    bench.path.with_name("app.log.2.gz").write_bytes(gzip.compress(bench.path.read_bytes()))
    overwrite(bench, numbered(*range(60, 110)))
    copy_and_truncate(bench, "app.log.1")
    bench.write(numbered(*range(120, 150)))
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == numbered(*range(52), *range(60, 110), *range(120, 150))
    assert bench.lost == []


def test_a_line_is_never_begun_in_its_middle_after_a_rotation(bench) -> None:
    """fluent/fluent-bit#5382"""
    bench.write(numbered(1)[:-9])

    def rotate() -> None:
        bench.rotate()
        bench.write(numbered(1)[-9:], "app.log.1")
        bench.write(numbered(2))

    assert bench.ship(rotate, every=2.0, interval=0)
    assert bytes(bench.log.text) == numbered(1, 2)


def test_many_rotations_within_moments_lose_nothing(bench) -> None:
    """fluent/fluent-bit#1108, elastic/beats#1956"""

    bench.write(b"first\n")

    def burst(first: int) -> None:
        for number in range(first, first + 5):
            bench.write(numbered(number))
            bench.rotate(keep=60)

    assert bench.ship(*(lambda first=first: burst(first) for first in range(0, 50, 5)), every=1.0, interval=0)
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"first\n" + numbered(*range(50))
    assert bench.lost == []


def test_an_agent_that_is_stopped_moments_after_a_rotation_sends_the_new_file_or_names_it(bench) -> None:
    bench.write(numbered(1))

    def rotate() -> None:
        bench.rotate()
        bench.write(numbered(2))

    assert bench.ship(rotate, every=2.0, interval=0, settle=3600)
    assert bytes(bench.log.text) == numbered(1)
    assert bench.told[-1] == f"{bench.path} was not sent yet; start again to send it"
    assert bench.ship(every=2.0, interval=0)
    assert bytes(bench.log.text) == numbered(1, 2)
