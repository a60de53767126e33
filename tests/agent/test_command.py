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
