"""`logkeep ship` as its user runs it, against the local service."""

import os
import signal
import subprocess
import sys
import time
import zlib

import pytest

from local import ROOT
from local.sample import OTHER_TOKEN
from tests.local.service import Service, eventually


def environment_of(service: Service) -> dict[str, str]:
    return service.environment | {
        "LOGKEEP_ENDPOINT": service.demo["endpoint"],
        "LOGKEEP_PROJECT": service.demo["project_id"],
        "LOGKEEP_TOKEN": service.demo["token"],
        "no_proxy": "127.0.0.1",
    }


def ship(service: Service, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own script
        [ROOT / "logkeep", "ship", *arguments],
        env=environment_of(service) | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def certificate(service: Service, log_id: str) -> dict[str, object]:
    with service.client() as client:
        found = client.get(f"/v1/{service.demo['project_id']}/logs", params={"prefix": log_id, "limit": 1})
        return found.json()["logs"][0]


def read(service: Service, log_id: str) -> bytes:
    with service.client() as client:
        return client.get(f"/v1/{service.demo['project_id']}/logs/{log_id}").content


def test_a_file_is_shipped_once_and_sealed(service, tmp_path, a_log_id) -> None:
    path = tmp_path / "app.log"
    text = os.urandom(5_000_000) + b"2026-11-22 05:00:00,000 INFO done"
    path.write_bytes(text)
    done = ship(service, str(path), "--log", a_log_id, "--once", "--seal")
    assert done.returncode == 0, done.stderr
    assert f"is sealed: {len(text)} bytes, crc32 {zlib.crc32(text):08x}" in done.stderr
    assert certificate(service, a_log_id)["state"] == "sealed"
    assert read(service, a_log_id) == text
    assert ship(service, str(path), "--log", a_log_id, "--once", "--seal").returncode == 0, "again"
    with path.open("ab") as file:
        file.write(b"more")
    refused = ship(service, str(path), "--log", a_log_id, "--once")
    assert refused.returncode == 1
    assert f"409: the log is sealed at {len(text)} bytes" in refused.stderr


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_sends_what_is_there(service, tmp_path, a_log_id, stop) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"one\n")
    agent = subprocess.Popen(  # noqa: S603 - our own script
        [ROOT / "logkeep", "ship", path, "--log", a_log_id],
        env=environment_of(service),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert eventually(lambda: read(service, a_log_id) == b"one\n")
    with path.open("ab") as file:
        file.write(b"two")
    time.sleep(0.5)
    assert read(service, a_log_id) == b"one\n", "it comes again in 30 seconds"
    other = ship(service, str(path), "--log", a_log_id)
    assert (other.returncode, "another agent is using" in other.stderr) == (1, True)
    agent.send_signal(stop)
    told = agent.communicate(timeout=30)[1]
    assert agent.returncode == 0, told
    assert read(service, a_log_id) == b"one\ntwo"


def test_a_token_comes_from_a_file_too(service, tmp_path, a_log_id) -> None:
    path, token = tmp_path / "app.log", tmp_path / "token"
    path.write_bytes(b"one\n")
    token.write_text(service.demo["token"] + "\n")
    arguments = (str(path), "--log", a_log_id, "--once")
    assert ship(service, *arguments, LOGKEEP_TOKEN="", LOGKEEP_TOKEN_FILE=str(token)).returncode == 0
    token.write_bytes(b"\xff\xfe")
    damaged = ship(service, *arguments, LOGKEEP_TOKEN_FILE=str(token))
    assert (damaged.returncode, damaged.stderr.count("\n")) == (1, 1), damaged.stderr
    missing = ship(service, *arguments, LOGKEEP_TOKEN="")
    assert (missing.returncode, "there is no token" in missing.stderr) == (1, True)


def test_a_token_that_is_refused_is_waited_for_until_its_file_is_replaced(service, tmp_path, a_log_id) -> None:
    path, token = tmp_path / "app.log", tmp_path / "token"
    path.write_bytes(b"one\n")
    token.write_text("expired")
    agent = subprocess.Popen(  # noqa: S603 - our own script
        [ROOT / "logkeep", "ship", path, "--log", a_log_id, "--once", "--token-file", token],
        env=environment_of(service),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert agent.stderr
    assert "another token is waited for" in agent.stderr.readline()
    token.write_text(service.demo["token"])
    told = agent.communicate(timeout=60)[1]
    assert agent.returncode == 0, told
    assert read(service, a_log_id) == b"one\n"


def test_labels_of_the_command_are_those_of_the_log(service, tmp_path, a_log_id) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"a line\n")
    done = ship(service, str(path), "--log", a_log_id, "--label", "service=web", "--label", "city=Köln, Ost", "--once")
    assert done.returncode == 0, done.stderr
    labels = certificate(service, a_log_id)["labels"]
    assert isinstance(labels, dict)
    assert (labels["service"], labels["city"]) == ("web", "Köln, Ost")
    refused = ship(service, str(path), "--log", a_log_id, "--label", "service=other", "--once")
    assert refused.returncode == 1
    assert "labels of its first append" in refused.stderr
    assert ship(service, str(path), "--log", a_log_id, "--label", "service").returncode == 2


def test_files_of_a_pattern_have_a_log_each_and_one_that_fails_does_not_stop_the_others(
    service, tmp_path, a_log_id
) -> None:
    record = a_log_id.split("/")[1]
    for name in ("a b.log", "c.log", "c.log.1", "d.log"):
        (tmp_path / name).write_text(f"{name}\n")
    arguments = (str(tmp_path / "*.log"), "--log", f"build/{record}/{{1}}", "--state", str(tmp_path / "states"))
    (tmp_path / "states").mkdir()
    ship(service, str(tmp_path / "c.log.1"), "--log", f"build/{record}/d", "--once")
    done = ship(service, *arguments, "--once")
    assert done.returncode == 1
    assert f"{tmp_path}/d.log: build/{record}/d holds 8 bytes" in done.stderr
    assert [read(service, f"build/{record}/{name}") for name in ("a-b", "c", "d")] == [
        b"a b.log\n",
        b"c.log\n",
        b"c.log.1\n",
    ]
    same = ship(service, str(tmp_path / "*.log"), "--log", a_log_id, "--once")
    assert (same.returncode, "would both be" in same.stderr) == (1, True)
    none = ship(service, str(tmp_path / "*.none"), "--log", f"build/{record}/{{1}}", "--once")
    assert (none.returncode, "no such file" in none.stderr) == (1, True)


@pytest.mark.parametrize("seal", [[], ["--seal"]])
def test_standard_input_is_shipped_to_its_end(service, tmp_path, a_log_id, seal) -> None:
    text = b"".join(b"line %d\n" % n for n in range(1000)) + b"\0no line"
    done = subprocess.run(  # noqa: S603 - our own script
        [ROOT / "logkeep", "ship", "-", "--log", a_log_id, *seal],
        env=environment_of(service) | {"TMPDIR": str(tmp_path)},
        input=text,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert read(service, a_log_id) == text
    assert certificate(service, a_log_id)["state"] == ("sealed" if seal else "open")
    assert list(tmp_path.iterdir()) == []


def test_standard_input_that_could_not_be_sent_is_kept_and_it_is_said_where(service, tmp_path, a_log_id) -> None:
    done = subprocess.run(  # noqa: S603 - our own script
        [ROOT / "logkeep", "ship", "-", "--log", a_log_id],
        env=environment_of(service) | {"TMPDIR": str(tmp_path), "LOGKEEP_TOKEN": "wrong"},
        input=b"text\n",
        capture_output=True,
        timeout=60,
    )
    (directory,) = tmp_path.iterdir()
    again = f"logkeep ship {directory}/stdin --log {a_log_id} --once"
    assert (done.returncode, again in done.stderr.decode()) == (1, True)
    assert ship(service, *again.split()[2:]).returncode == 0
    assert read(service, a_log_id) == b"text\n"


def test_a_day_without_daily_and_input_beside_files_are_wrong_commands(service) -> None:
    for arguments, text in [
        (("a.log", "--log", "check/{date}"), "needs --daily"),
        (("-", "a.log", "--log", "check/a"), "alone"),
    ]:
        told = ship(service, *arguments)
        assert (told.returncode, text in told.stderr) == (2, True), told.stderr


def test_what_is_refused_is_told_in_one_line(service, tmp_path, a_log_id) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"one\n")

    def refusal(*arguments: str, **environment: str) -> tuple[int, str]:
        done = ship(service, *arguments, "--once", **environment)
        line = done.stderr.strip()
        assert len(line.splitlines()) == 1, line
        return done.returncode, line

    log = ("--log", a_log_id)
    for arguments, environment, status, text in [
        ((str(path), *log), {"LOGKEEP_TOKEN": "wrong"}, 1, "401"),
        ((str(path), *log), {"LOGKEEP_TOKEN": OTHER_TOKEN}, 1, "403"),
        ((str(path), "--log", "no/such/kind"), {}, 1, "400: log_id: "),
        ((str(path), *log), {"LOGKEEP_ENDPOINT": "nowhere"}, 1, "is not an http:// or https:// address"),
        ((str(path), *log), {"LOGKEEP_ENDPOINT": "", "LOGKEEP_PROJECT": ""}, 2, "--endpoint or LOGKEEP_ENDPOINT"),
        ((str(path), *log), {"LOGKEEP_TOKEN": "two\nlines"}, 1, "is no token"),
        ((str(tmp_path / "missing.log"), *log), {}, 1, "no such file"),
        ((str(tmp_path), *log), {}, 1, "Is a directory"),
        ((str(tmp_path / "old.gz"), *log), {}, 1, "is compressed"),
        ((str(tmp_path / "none" / "app.log"), *log), {}, 1, "cannot be written: No such file or directory"),
    ]:
        assert (status, True) == ((told := refusal(*arguments, **environment))[0], text in told[1]), told


@pytest.mark.parametrize("value", ["soon", "-1", "nan"])
def test_a_time_that_is_none_is_told_with_what_fits(service, value) -> None:
    told = ship(service, "app.log", "--log", "build/a/stage1", "--settle", value)
    assert (told.returncode, f"'{value}' is not a number of seconds from 0 to 86400" in told.stderr) == (2, True)


def test_it_runs_without_the_libraries_of_the_service(tmp_path) -> None:
    """As on a machine that has nothing but Python."""
    program = """if True:
        import sys
        sys.path.insert(0, sys.argv[1])
        sys.argv[1:] = ["ship", "--help"]
        from logkeep_agent.__main__ import main
        main()"""
    done = subprocess.run(  # noqa: S603 - our own agent
        [sys.executable, "-I", "-S", "-c", program, str(ROOT / "agent")],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "--log ID" in done.stdout
