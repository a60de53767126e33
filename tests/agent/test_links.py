"""The agent when its path is a link, or lies below one, that moves on: also past files while nobody looks."""

import gzip
import shutil
import time
from pathlib import Path

import pytest

from logkeep_agent.names import between
from tests.agent.fakes import Bench

pytestmark = pytest.mark.unit

NAMES = {
    "a count, as of a restarted container": ["8.log", "9.log", "10.log", "11.log"],
    "days": ["app-2026-11-29.log", "app-2026-11-30.log", "app-2026-12-01.log", "app-2026-12-02.log"],
    "glog": [f"app.web1.me.log.INFO.2026112{day}-100000.{number}" for day, number in enumerate([912, 7, 31313, 5])],
    "directories": ["2026/11/29/app.log", "2026/11/30/app.log", "2026/12/01/app.log", "2027/01/01/app.log"],
    "days of months": ["29-11/app.log", "30-11/app.log", "01-12/app.log", "02-12/app.log"],
    "times without order": ["app.9.log", "app.3.log", "app.7.log", "app.1.log"],
}


def point(bench: Bench, name: str) -> None:
    """As `ln -sfn` does it."""
    new = bench.path.with_name("new")
    new.symlink_to(name)
    new.rename(bench.path)


def write(bench: Bench, name: str, text: bytes) -> None:
    path = bench.path.parent / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(text)
    time.sleep(0.01)  # files are dated by a clock that ticks so often


@pytest.mark.parametrize("is_down", [True, False])
@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_all_files_that_a_link_named_are_shipped(bench, names, is_down) -> None:
    write(bench, names[0], b"0\n")
    point(bench, names[0])

    def move() -> None:
        """Several times within a tick."""
        write(bench, names[0], b"0 more\n")
        for number, name in enumerate(names[1:], 1):
            write(bench, name, b"%d\n" % number)
            point(bench, name)

    if is_down:
        bench.ship()
        move()
        assert bench.ship(once=True)
    else:
        assert bench.ship(move, lambda: None)
    assert bytes(bench.log.text) == b"0\n0 more\n1\n2\n3\n"
    assert bench.lost == []


@pytest.mark.parametrize("is_down", [True, False])
def test_files_of_other_programs_and_of_before_are_not_shipped(bench, is_down) -> None:
    others = ["app.web2.log.INFO.20261122-1", "app.web1.log.INFO.20261121-1", "app.web1.log.ERROR.20261122-3",
              "app.web1.log.INFO.20261125-1"]  # fmt: skip
    for other in others:
        write(bench, other, b"other\n")
    names = [f"app.web1.log.INFO.2026112{day}-1" for day in (2, 3, 4)]
    write(bench, names[0], b"2\n")
    point(bench, names[0])

    def move() -> None:
        for name in names[1:]:
            write(bench, name, name[-3:-2].encode() + b"\n")
        point(bench, names[2])
        for other in others:
            write(bench, other, b"other\n")

    if is_down:
        bench.ship()
        move()
        assert bench.ship(once=True)
    else:
        assert bench.ship(move, lambda: None)
    assert bytes(bench.log.text) == b"2\n3\n4\n"


def test_rotated_files_of_all_that_a_link_named_are_shipped(bench) -> None:
    """As a kubelet rotates the logs of a container that restarts."""
    write(bench, "0.log", b"0\n")
    point(bench, "0.log")
    bench.ship()
    for number in range(3):
        write(bench, f"{number}.log", b"%d more\n" % number)
        old = bench.path.with_name(f"{number}.log")
        old.rename(old.with_name(f"{number}.log.20261122-10000{number}"))
        write(bench, f"{number}.log", b"%d new\n" % number)
    packed = bench.path.with_name("1.log.20261122-100001.gz")
    packed.write_bytes(gzip.compress(packed.with_suffix("").read_bytes()))
    shutil.copystat(packed.with_suffix(""), packed)
    packed.with_suffix("").unlink()
    point(bench, "2.log")
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"0\n0 more\n0 new\n1 more\n1 new\n2 more\n2 new\n"
    assert bench.lost == []


@pytest.mark.parametrize("is_down", [True, False])
def test_a_file_that_a_link_named_and_that_is_gone_is_named(bench, is_down) -> None:
    write(bench, "0.log", b"0\n")
    point(bench, "0.log")

    def move() -> None:
        write(bench, "2.log", b"2\n")
        write(bench, "4.log", b"4\n")
        point(bench, "4.log")

    if is_down:
        bench.ship()
        move()
        assert bench.ship(once=True)
    else:
        assert bench.ship(move, lambda: None)
    assert bytes(bench.log.text) == b"0\n2\n4\n"
    assert [Path(line.split()[1]).name for line in bench.lost] == ["1.log", "3.log"]


def test_all_is_shipped_though_what_was_being_shipped_is_gone_with_others(bench) -> None:
    write(bench, "0.log", b"0\n")
    point(bench, "0.log")
    bench.ship()
    for number in range(1, 5):
        write(bench, f"{number}.log", b"%d\n" % number)
        point(bench, f"{number}.log")
    for number in (0, 1):
        bench.path.with_name(f"{number}.log").unlink()
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"0\n2\n3\n4\n"
    assert sorted(Path(line.split()[1]).name for line in bench.lost) == ["0.log", "1.log"]


@pytest.mark.parametrize("kills", range(6))
def test_an_agent_that_is_killed_while_it_catches_up_skips_nothing(bench, kills) -> None:
    """Though the files that it has begun since were written last before it began with them."""
    write(bench, "0.log", b"0\n")
    point(bench, "0.log")
    bench.ship()
    for number in range(1, 6):
        write(bench, f"{number}.log", b"%d\n" % number)
        point(bench, f"{number}.log")
    for number in range(kills):
        bench.killed(lambda: bench.ship(once=True), is_written=number % 2 == 0)
    assert bench.ship(once=True)
    assert bytes(bench.log.text) == b"0\n1\n2\n3\n4\n5\n"
    assert bench.lost == []


def test_names_of_another_form_have_nothing_between_them() -> None:
    for one, two in (("app.log", "app2.log"), ("a/1.log", "1.log"), ("blue-1.log", "green-3.log")):
        assert between(Path("/none", one), Path("/none", two)) == []


@pytest.mark.parametrize("is_down", [True, False])
def test_a_path_below_a_link_that_moves_is_followed(bench, is_down) -> None:
    """As releases are switched (fluent-bit 1118)."""
    current = bench.path.with_name("current")
    releases = ["v1.2.3", "v1.2.4", "v1.10.0"]
    for release in releases:
        bench.path.with_name(release).mkdir()
    current.symlink_to(releases[0])
    write(bench, "current/app.log", b"0\n")

    def switch() -> None:
        for number, release in enumerate(releases[1:], 1):
            current.unlink()
            current.symlink_to(release)
            write(bench, "current/app.log", b"%d\n" % number)

    if is_down:
        bench.ship(path=current / "app.log")
        switch()
        assert bench.ship(once=True, path=current / "app.log")
    else:
        assert bench.ship(switch, lambda: None, path=current / "app.log")
    assert bytes(bench.log.text) == b"0\n1\n2\n"
    assert bench.lost == []
