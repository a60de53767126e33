"""The agent and rotated files that are compressed or moved elsewhere."""

import shutil
import time
from pathlib import Path

import pytest

from tests.agent.packing import PACKERS, pack, path_with_zstd

pytestmark = pytest.mark.unit


@pytest.fixture
def zstd_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", path_with_zstd(tmp_path / "bin"))


@pytest.mark.parametrize("kind", PACKERS)
def test_files_that_were_compressed_in_any_way_while_it_was_down_are_shipped(bench, zstd_program, kind) -> None:
    bench.write(b"0\n")
    bench.ship()
    bench.write(b"0 more\n")
    for number in (1, 2, 3):
        bench.rotate()
        bench.write(b"%d\n" % number)
    for number in (2, 3):
        pack(bench.path.with_name(f"app.log.{number}"), kind)
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"0\n0 more\n1\n2\n3\n"
    assert bench.lost == []


@pytest.mark.parametrize("kind", ["zst", "lz4"])
def test_what_cannot_be_read_is_lost_by_the_name_that_it_has_now(bench, monkeypatch, kind) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    bench.write(b"0\n")
    bench.ship()
    for number in (1, 2, 3):
        bench.rotate()
        bench.write(b"%d\n" % number)
    for number in (2, 1):
        path = bench.path.with_name(f"app.log.{number}")
        path.rename(path.with_name(f"{path.name}.{kind}"))
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"0\n3\n"
    why = "there is no program zstd on this machine" if kind == "zst" else "the agent does not read .lz4 files"
    assert bench.lost == [
        f"LOST: {bench.path}.{number}.{kind} cannot be read, because {why}; it was not sent" for number in (2, 1)
    ]


def test_a_file_that_is_compressed_unreadably_while_it_is_held_open_is_sent_and_not_lost(bench, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    bench.write(b"0\n")

    def pack_unreadably() -> None:
        bench.write(b"0 more\n")
        bench.path.rename(bench.path.with_name("app.log.1"))
        bench.write(b"1\n")

    def go() -> None:
        bench.path.with_name("app.log.1").unlink()
        bench.write(b"packed", "app.log.1.zst")

    assert bench.ship(pack_unreadably, go, lambda: None)
    assert bytes(bench.log.text) == b"0\n0 more\n1\n"
    assert bench.lost == []


@pytest.mark.parametrize("is_down", [True, False])
@pytest.mark.parametrize("kind", ["", "xz"])
def test_files_that_are_moved_elsewhere_are_found_there(bench, kind, is_down) -> None:
    """As logrotate's olddir does it."""
    old = bench.path.parent / "old"
    old.mkdir()
    bench.write(b"0\n")

    def rotate() -> None:
        for number in (1, 2, 3):
            for other in sorted(old.iterdir(), reverse=True):
                other.rename(old / other.name.replace(f".{number - 1}", f".{number}"))
            bench.write(b"%d more\n" % (number - 1))
            for name in (f"app.log.{n}" for n in range(3, 0, -1)):
                found = [*old.glob(name), *old.glob(f"{name}.*")]
                for each in found:
                    each.rename(old / each.name.replace(name, f"app.log.{int(name[-1]) + 1}"))
            bench.path.rename(old / "app.log.1")
            if kind:
                pack(old / "app.log.1", kind)
            bench.write(b"%d\n" % number)

    if is_down:
        bench.ship(rotated=(old,))
        rotate()
        assert bench.ship(once=True, rotated=(old,))
    else:
        assert bench.ship(rotate, lambda: None, rotated=(old,))
    assert bytes(bench.log.text) == b"0\n0 more\n1\n1 more\n2\n2 more\n3\n"
    assert bench.lost == []


def test_files_that_are_renamed_and_compressed_while_agents_are_killed_before_they_send_any_are_shipped(bench) -> None:
    bench.path.touch()
    bench.ship()

    def rotate(number: int) -> None:
        bench.write(b"%d\n" % number)
        time.sleep(0.01)  # files are dated by a clock that ticks so often
        names = [path.name.split(".") for path in bench.path.parent.glob("app.log.*")]
        for _, _, old, *packed in sorted(names, key=lambda name: -int(name[2])):
            rest = ".".join(["", *packed])
            path = bench.path.with_name(f"app.log.{old}{rest}")
            path.rename(bench.path.with_name(f"app.log.{int(old) + 1}{rest}"))
        bench.path.rename(bench.path.with_name("app.log.1"))

    for number in range(12):
        rotate(number)
        if number == 4:
            bench.killed(lambda: bench.ship(once=True), is_written=False)
            pack(bench.path.with_name("app.log.5"), "xz")
        if number in {5, 6, 8, 9, 10}:
            bench.killed(lambda: bench.ship(once=True), is_written=number % 2 == 0)
            for plain in bench.path.parent.glob(f"app.log.{number - 2}"):
                pack(plain, "xz")
    bench.write(b"end\n")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"".join(b"%d\n" % number for number in range(12)) + b"end\n"
    assert bench.lost == []


@pytest.mark.parametrize("is_written", [None, True, False])
def test_late_lines_of_a_file_that_was_compressed_while_it_was_down_are_sent(bench, is_written) -> None:
    bench.write(b"one\n")

    def rotate() -> None:
        bench.rotate()
        bench.write(b"two\n")

    assert bench.ship(rotate, lambda: None)
    bench.write(b"late\nhalf", "app.log.1")
    if is_written is not None:
        bench.killed(lambda: bench.ship(once=True), is_written)
    bench.rotate()
    bench.write(b"three\n")
    pack(bench.path.with_name("app.log.2"), "gz")
    assert bench.ship(once=True)
    assert sorted(bytes(bench.log.text).split()) == [b"half", b"late", b"one", b"three", b"two"]
    assert bench.ship(once=True), "again"
    assert len(bytes(bench.log.text).split()) == 5
    assert bench.lost == []
