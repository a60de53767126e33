"""The programs of README's "Bring your client" run as they stand, but for the port."""

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from local.__main__ import PORT
from tests.local.service import Service

README = Path(__file__).parents[2] / "README.md"
SECTION = README.read_text().partition("\n## Bring your client\n")[2].partition("\n## ")[0]
PROGRAMS = dict(re.findall(r"^\*\*(\w[\w ]*)\*\*.*?^```python\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL))


def test_every_api_has_its_program() -> None:
    assert PROGRAMS.keys() == {"CSS", "CodeArts Build", "CodeArts Check", "ModelArts", "Kuscia"}


@pytest.mark.parametrize("api", PROGRAMS)
def test_the_program_prints_what_the_service_holds(api: str, service: Service) -> None:
    program = PROGRAMS[api].replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{service.port}")
    assert program != PROGRAMS[api]
    ran = subprocess.run(  # noqa: S603 - our own README
        [sys.executable, "-c", program],
        env=service.environment | {"no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    expected = {
        "CSS": "clusterLogRecord",
        "CodeArts Build": "Apache Maven",
        "CodeArts Check": "checkstyle.log WARN",
        "ModelArts": "normal",
        "Kuscia": '"status":{"message":"success"}',
    }
    assert expected[api] in ran.stdout


def follower(service: Service) -> str:
    section = README.read_text().partition("\n## Follow a log\n")[2].partition("\n## ")[0]
    (program,) = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return program.replace(f"http://127.0.0.1:{PORT + 1}", service.demo["streams"])


def test_the_program_that_follows_prints_the_log(service: Service) -> None:
    program = follower(service)
    ran = subprocess.run(  # noqa: S603 - our own README
        [sys.executable, "-c", program],
        env=service.environment | {"no_proxy": "127.0.0.1"},
        capture_output=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    with service.client() as client:
        url = f"/v1/{service.demo['project_id']}/logs/build/{service.demo['record_id']}/stage1"
        assert ran.stdout == client.get(url).content


def test_the_program_that_follows_shows_a_line_at_once(service: Service) -> None:
    log_id = "build/shown-at-once/stage1"
    with service.client() as client:
        url = f"/v1/{service.demo['project_id']}/logs/{log_id}"
        client.patch(url, content=b"a line\n", headers={"Content-Type": "application/octet-stream"}).raise_for_status()
    program = follower(service).replace(f"build/{service.demo['record_id']}/stage1", log_id)
    environment = {name: value for name, value in service.environment.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(  # noqa: S603 - our own README
        [sys.executable, "-c", program], env=environment | {"no_proxy": "127.0.0.1"}, stdout=subprocess.PIPE
    ) as running_on:
        assert running_on.stdout
        too_late = threading.Timer(20, running_on.kill)
        too_late.start()
        assert running_on.stdout.readline() == b"a line\n"
        too_late.cancel()
        running_on.kill()
