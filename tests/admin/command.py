"""The script as a user runs it, beside a service, or its commands one after the other in one process."""

import json
import subprocess
import sys
from typing import Any, Final, Self

from local import ROOT
from tests.local.service import Service

# Answers a line of arguments (JSON) with a line of what the command printed and how it ended. To start Python and to
# import boto3 takes a command much longer than to do its work.
_COMMANDS: Final = """
import contextlib, io, json, sys
from admin.__main__ import main
from tests.calls import forget_aws
lines, sys.stdin = sys.stdin, io.StringIO()
for line in lines:
    out, err, status = io.StringIO(), io.StringIO(), 0
    sys.argv[1:] = json.loads(line)
    forget_aws()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            if isinstance(ended.code, str):
                print(ended.code, file=err)
    print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)
"""


class Admin:
    def __init__(self, service: Service) -> None:
        self.service = service
        self._commands: subprocess.Popen[str] | None = None

    def script(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own script
            [ROOT / "logkeep-admin", *arguments],
            env=self.service.environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """As the script does; in a process that commands share, unless it has an environment of its own."""
        if environment:
            return self.script(*arguments, **environment)
        if self._commands is None:
            self._commands = subprocess.Popen(  # noqa: S603 - our own code
                [sys.executable, "-c", _COMMANDS],
                env=self.service.environment,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._commands.stdin
        assert self._commands.stdout
        self._commands.stdin.write(json.dumps(arguments) + "\n")
        self._commands.stdin.flush()
        status, printed, said = json.loads(self._commands.stdout.readline())
        return subprocess.CompletedProcess([*arguments], status, printed, said)

    def told(self, *arguments: str) -> Any:
        """The JSON that a command prints, which succeeds."""
        return json.loads(self.done(*arguments))

    def done(self, *arguments: str) -> str:
        done = self.run(*arguments, "--local")
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process that commands share."""
        if self._commands:
            self._commands.communicate(timeout=30)
            self._commands = None
