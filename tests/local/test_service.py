"""`make run` and `make ingest` as their user sees them."""

import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import httpx
import pytest

from local import ROOT
from local.emulator import Emulator, free_port, is_free
from local.ingest import PIECE
from tests.calls import RECORD, a_build, a_check
from tests.local.service import Service, eventually, running

EXAMPLES = 6


@pytest.fixture
def a_file(tmp_path: Path) -> Path:
    """A little more than two pieces: one that gzip makes longer, then text."""
    chance = random.Random(1)
    text = "".join(f"2026-11-22 05:00:00,{n % 1000:03d} [main] INFO  line {n} übrig\n" for n in range(120_000))
    file = tmp_path / "build.log"
    file.write_bytes(chance.randbytes(PIECE) + text.encode())
    return file


def read(service: Service, log_id: str) -> bytes:
    with service.client() as client:
        answer = client.get(f"/v1/{service.demo['project_id']}/logs/{log_id}")
        assert answer.status_code == 200
        return answer.content


def curl(command: str, directory: Path) -> bytes:
    """Run a command that was printed to be pasted; what it gives."""
    return subprocess.run(shlex.split(command), cwd=directory, capture_output=True, check=True).stdout  # noqa: S603 - ours


# make run


def test_the_printed_commands_can_be_pasted(service: Service, tmp_path: Path) -> None:
    commands = [line.strip() for line in service.output.splitlines() if line.startswith("  curl ")]
    assert len(commands) == EXAMPLES
    for command in commands:
        printed = curl(f"{command} --fail", tmp_path)
        # One command alone saves what it gets.
        assert (tmp_path / "check-logs.zip").stat().st_size if "check-logs.zip" in command else printed, command


def test_one_project_does_not_see_the_other(service: Service) -> None:
    with service.client(**{"X-Auth-Token": "logkeep-other-token"}) as client:
        assert client.get(f"/v1/{service.demo['project_id']}/logs").status_code == 403


def test_agents_and_browsers_prove_themselves_by_what_they_know(service: Service) -> None:
    """At the HTTP API and at a function URL. Agents send a password at once, others after a 401 that asks for one."""
    token, project = service.demo["token"], service.demo["project_id"]
    log = f"/v1/{project}/logs/build/{RECORD}/stage1"
    for address in (f"http://127.0.0.1:{service.port}{log}", service.demo["streams"] + log):
        with httpx.Client(trust_env=False) as client:
            found = client.get(address, auth=("grafana", token))
            assert (found.status_code, bool(found.content)) == (200, True)
            by_bearer = client.get(address, headers={"Authorization": f"Bearer {token}"})
            assert (by_bearer.status_code, by_bearer.content) == (200, found.content)
            refused = client.get(address, auth=(token, ""))
            assert (refused.status_code, refused.json()["error_code"]) == (401, "APIGW.0301")
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, address, project, token)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPBasicAuthHandler(passwords)
        )
        with opener.open(address) as answer:
            assert answer.read() == found.content
        passwords.add_password(None, address, project, "guess")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            opener.open(address)


def test_a_restart_keeps_the_data_and_leaves_nothing_running(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.start()
    demo = service.demo
    with service.client() as client:
        url = f"/v1/{demo['project_id']}/logs/{a_check('mine')}"
        client.patch(url, content=b"kept", headers={"Content-Type": "application/octet-stream"}).raise_for_status()
    assert service.stop(signal.SIGINT) == 0
    assert service.output.endswith("Stopped\n")
    assert is_free(service.port)
    assert is_free(service.port + 1)
    assert is_free(service.emulator_port)

    service.start()
    try:
        with service.client() as client:
            assert client.get(url).content == b"kept"
        assert service.demo == demo
    finally:
        # Even without a chance to stop it, its emulator goes, its data saved.
        assert service.stop(signal.SIGKILL) == -signal.SIGKILL
    assert eventually(lambda: is_free(service.emulator_port))


def test_it_ends_when_its_emulator_does(tmp_path: Path) -> None:
    """Else it would answer everything with a 500."""
    with running(tmp_path) as service:
        os.kill(int((tmp_path / "emulator.pid").read_text().split()[0]), signal.SIGKILL)
        service.output += service.process.communicate(timeout=30)[0]
    assert service.process.returncode == 1
    assert service.output.endswith("Stopped\n")


@pytest.mark.parametrize("name", ["PORT", "EMULATOR_PORT"])
def test_a_taken_port_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        told = Service(tmp_path).run("local", **{name: str(port)})
    assert told.returncode == 1
    assert told.stderr == f"Port {port} is taken. Choose another: {name}={port + 1} make run\n"


def test_an_emulator_that_was_left_over_is_named_and_not_ended(tmp_path: Path) -> None:
    with Emulator(tmp_path) as emulator:
        told = Service(tmp_path).run("local")
        assert told.returncode == 1
        assert told.stderr.endswith(f"end it with: kill {os.getpid()}\n"), "us, whom the emulator goes with"
        assert not is_free(emulator.port)


# make ingest


def test_a_file_comes_back_byte_for_byte_with_its_certificate(service: Service, tmp_path: Path, a_file: Path) -> None:
    told = service.run("local.ingest", str(a_file), a_build("round", "trip"))
    assert told.returncode == 0, told.stderr
    assert '"state": "sealed"' in told.stdout
    assert f'"crc32": "{zlib.crc32(a_file.read_bytes()):08x}"' in told.stdout
    command = told.stdout.splitlines()[-1]
    assert curl(command, tmp_path) == a_file.read_bytes()

    assert service.run("local.ingest", str(a_file), a_build("round", "trip")).stdout == told.stdout


def test_a_killed_ingest_goes_on_where_it_was(service: Service, tmp_path: Path, a_file: Path) -> None:
    large = tmp_path / "large.log"
    large.write_bytes(a_file.read_bytes() * 4)
    ingest = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "local.ingest", str(large), a_build("killed", "once")],
        cwd=ROOT,
        env=service.environment,
        stderr=subprocess.DEVNULL,
    )
    with service.client() as client:

        def held() -> int:
            page = client.get(f"/v1/{service.demo['project_id']}/logs?prefix={a_build('killed', '')}").json()
            return page["logs"][0]["bytes"] if page["logs"] else 0

        assert eventually(lambda: held() > 0)
        ingest.kill()
        ingest.wait()
        assert held() < large.stat().st_size
    assert service.run("local.ingest", str(large), a_build("killed", "once")).returncode == 0
    assert read(service, a_build("killed", "once")) == large.read_bytes()


def test_a_log_that_holds_something_else_is_left_as_it_is(service: Service, tmp_path: Path) -> None:
    for name, text in (("first.log", b"one\n"), ("second.log", b"two\nthree\n")):
        (tmp_path / name).write_bytes(text)
    assert service.run("local.ingest", str(tmp_path / "first.log"), a_check("other")).returncode == 0
    told = service.run("local.ingest", str(tmp_path / "second.log"), a_check("other"))
    assert told.returncode == 1
    assert told.stderr.endswith(f"{a_check('other')} already holds 4 bytes, and this file does not begin with them\n")
    assert read(service, a_check("other")) == b"one\n"


@pytest.mark.parametrize(
    ("file", "log_id", "message"),
    [
        ("nowhere.log", a_check("a"), "nowhere.log: No such file or directory"),
        (os.devnull, "nothing/a", "nothing/a is not a log id"),
    ],
)
def test_a_wrong_argument_is_told_in_one_line(service: Service, file: str, log_id: str, message: str) -> None:
    told = service.run("local.ingest", file, log_id)
    assert told.returncode == 1
    assert told.stderr.startswith(message)
    assert told.stderr.count("\n") == 1


def test_a_refused_token_is_told(service: Service) -> None:
    told = service.run("local.ingest", os.devnull, a_check("a"), LOGKEEP_TOKEN="nobody's")  # noqa: S106 - opens nothing
    assert told.stderr.startswith("the service refused with 401")


def test_a_service_that_does_not_run_is_told(service: Service) -> None:
    told = service.run("local.ingest", os.devnull, a_check("a"), LOGKEEP_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    assert told.stderr.startswith("no service answers at http://127.0.0.1")
