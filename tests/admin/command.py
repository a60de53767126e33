"""The script as a user runs it, beside a service."""

import json
import subprocess
from typing import Any

from local import ROOT
from tests.local.service import Service


class Admin:
    def __init__(self, service: Service) -> None:
        self.service = service

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own script
            [ROOT / "logkeep-admin", *arguments],
            env=self.service.environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def told(self, *arguments: str) -> Any:
        """The JSON that a command prints, which succeeds."""
        done = self.run(*arguments, "--local")
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    def done(self, *arguments: str) -> str:
        done = self.run(*arguments, "--local")
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout
