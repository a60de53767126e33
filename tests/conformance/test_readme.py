"""The programs of README's "Bring your client" run as they stand, but for the port."""

import re
import subprocess
import sys
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


def test_the_program_that_follows_prints_the_log(service: Service) -> None:
    section = README.read_text().partition("\n## Follow a log\n")[2].partition("\n## ")[0]
    (program,) = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    program = program.replace(f"http://127.0.0.1:{PORT + 1}", service.demo["streams"])
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
