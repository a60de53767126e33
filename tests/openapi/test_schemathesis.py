"""schemathesis sends what docs/openapi.json allows and what it forbids, to a service of its own."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from local import ROOT
from tests.examples import LONG
from tests.local.service import running

# The service has no status for a method that a path lacks: such a route does not exist.
_LEFT_OUT = "unsupported_method,allow_header_conformance"


@pytest.mark.soak
def test_the_service_answers_all_of_it_as_documented(tmp_path: Path) -> None:
    seed = secrets.randbits(32) if LONG else 1
    print(f"--seed {seed}")
    with running(tmp_path, LOGKEEP_PARAMETERS="ProjectRate=100000 ProjectBurst=100000") as service:
        demo = service.demo
        command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file"]
        command += [str(ROOT / "tests/openapi/schemathesis.toml"), "run", str(ROOT / "docs/openapi.json")]
        command += ["--url", demo["endpoint"], "-H", f"X-Auth-Token: {demo['token']}"]
        command += ["-H", f"Token: {demo['kuscia_token']}", "--exclude-checks", _LEFT_OUT]
        command += ["--phases", "coverage,fuzzing", "--max-examples", "100" if LONG else "1", "--seed", str(seed)]
        command += ["--generation-database", "none", "--warnings", "off", "--no-color", "--workers", "2"]
        command += ["--continue-on-failure"] if LONG else ["--max-failures", "5"]
        ran = subprocess.run(  # noqa: S603 - our own command
            command,
            cwd=tmp_path,
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "SCHEMATHESIS_HOOKS": "tests.openapi.hooks",
                "FUZZED_SERVICE": json.dumps(demo),
                "FUZZED_SHARE": "1" if LONG else "8",
            },
            capture_output=True,
            text=True,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
