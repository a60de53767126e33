"""Many files of one command, standard input, and a log a day."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from logkeep_agent import Refused
from logkeep_agent.patterns import daily, files_of, log_id_of
from logkeep_agent.pipe import Pump
from tests.agent.fakes import Bench

pytestmark = pytest.mark.unit


def test_a_pattern_finds_files_and_not_what_was_rotated_from_them(tmp_path) -> None:
    for name in ("a.log", "b.log", "a.log.1", "a-20261122.log", "b.log.2.gz", "c.log.gz", "day-20261121.log",
                 "day-20261122.log", ".a.log.logkeep"):  # fmt: skip
        (tmp_path / name).touch()
    (tmp_path / "d.log").mkdir()
    found = files_of(str(tmp_path / "*"))
    assert [each.name for each in found] == ["a.log", "b.log", "day-20261121.log", "day-20261122.log"]
    (tmp_path / "a.log").unlink()
    assert tmp_path / "a-20261122.log" not in files_of(str(tmp_path / "*.log"), [tmp_path / "a.log"])


@pytest.mark.parametrize(
    ("form", "log_id"),
    [
        ("check/s/{name}", "check/s/0.log"),
        ("task/{1}/0/{2}/{stem}", "task/ns-web_1-a-/0/app/0"),
        ("build/r/stage1", "build/r/stage1"),
        ("check/{date}/{2}", "check/2026-11-22/app"),
    ],
)
def test_the_id_of_a_log_names_its_file(form, log_id) -> None:
    path = Path("pods/ns-web_1(a)/app/0.log")
    assert log_id_of(form, path, "pods/*/*/*.log", "2026-11-22") == log_id


@pytest.mark.parametrize("form", ["check/s/{nam}", "check/s/{4}", "check/s/{}", "check/{date}"])
def test_a_placeholder_that_is_none_is_refused_with_those_there_are(form) -> None:
    with pytest.raises(Refused, match=re.escape("{name}, {stem}, {date}, {1} to {9}")):
        log_id_of(form, Path("a/b.log"), "*/*.log")


def test_the_day_comes_after_the_second_part_or_last_in_kind_app_unless_it_is_said_where() -> None:
    assert daily("task/web/0/app/0") == "task/web-{date}/0/app/0"
    assert daily("check/sub") == "check/sub-{date}"
    assert daily("check/sub/{date}.log") == "check/sub/{date}.log"
    assert daily("app/shop/web") == "app/shop/web/{date}"
    assert daily("app/{date}/web") == "app/{date}/web"


@pytest.mark.parametrize("is_down", [True, False])
def test_a_log_a_day_holds_what_was_written_on_it_and_no_half_line(bench, is_down) -> None:
    def write(text: bytes, day: int) -> None:
        bench.write(text)
        time = datetime(2026, 11, day, 12, tzinfo=UTC).timestamp()
        os.utime(bench.path, (time, time))

    options = {"log_id": "build/{}/stage1".format, "zone": UTC}
    write(b"0\nhal", 22)
    steps = [lambda: write(b"f\n1\n", 23), lambda: write(b"2\n", 23), lambda: write(b"3\n", 26)]
    if is_down:
        for step in steps:
            bench.ship(**options)
            step()
        bench.killed(lambda: bench.ship(**options), is_written=False)
        bench.ship(**options)
    else:
        bench.ship(*steps, seal=True, **options)
    held = {name: bytes(log.text) for name, log in bench.log.others.items()}
    assert held == {
        "build/2026-11-22/stage1": b"0\nhalf\n",
        "build/2026-11-23/stage1": b"1\n2\n",
        "build/2026-11-26/stage1": b"3\n",
    }
    sealed = {name for name, log in bench.log.others.items() if log.sealed}
    assert sealed == (set() if is_down else {"build/2026-11-22/stage1", "build/2026-11-23/stage1"})


def test_a_pipe_is_copied_to_files_until_it_ends(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("logkeep_agent.pipe._FILE_MAX", 10)
    source, sink = os.pipe()
    ended: list[bool] = []
    pump = Pump(source, tmp_path / "stdin", print, lambda: ended.append(True))
    pump.start()
    for text in (b"0123456789", b"\n", b"next\n"):
        os.write(sink, text)
    os.close(sink)
    pump.join(timeout=30)
    os.close(source)
    assert ended == [True]
    assert b"".join(each.read_bytes() for each in sorted(tmp_path.iterdir(), reverse=True)) in {
        b"0123456789\nnext\n", b"next\n0123456789\n"}  # fmt: skip


def test_a_pipe_stays_in_one_file_until_the_agent_has_a_state(tmp_path, monkeypatch) -> None:
    """It would not know files that were begun before the last one as its own."""
    monkeypatch.setattr("logkeep_agent.pipe._FILE_MAX", 10)
    source, sink = os.pipe()
    pump = Pump(source, tmp_path / "stdin", print, lambda: None, may_turn=(tmp_path / "state").exists)
    pump.start()
    os.write(sink, b"0123456789 and more\n")
    os.close(sink)
    pump.join(timeout=30)
    os.close(source)
    assert [each.name for each in tmp_path.iterdir()] == ["stdin"]


def test_files_of_a_pipe_are_removed_when_they_were_sent(bench: Bench) -> None:
    bench.write(b"1\n")

    def turn(number: int) -> None:
        bench.path.rename(bench.path.with_name(f"app.log.{number:06d}"))
        bench.write(b"%d\n" % (number + 1))

    assert bench.ship(*[lambda n=n: turn(n) for n in range(1, 4)], lambda: None, settle=0, discard=True)
    assert bytes(bench.log.text) == b"1\n2\n3\n4\n"
    assert sorted(each.name for each in bench.path.parent.glob("app.log*")) == ["app.log"]
