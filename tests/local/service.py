"""The local service as a user runs it: a process of its own, on ports of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from local import ROOT
from local.emulator import free_port


class Service:
    def __init__(self, directory: Path, **environment: str) -> None:
        self.directory = directory
        # Lambda's speed of streams would keep tests waiting.
        self._environment = {"STREAM_RATE": "0"} | environment
        self.port, self.emulator_port = free_ports(), free_port()
        self.output = ""
        self._process: subprocess.Popen[str] | None = None

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process
        return self._process

    @property
    def demo(self) -> dict[str, Any]:
        return json.loads((self.directory / "demo.json").read_text())

    @property
    def environment(self) -> dict[str, str]:
        ports = {"PORT": str(self.port), "EMULATOR_PORT": str(self.emulator_port)}
        return {**os.environ, **ports, "LOGKEEP_DATA": str(self.directory), **self._environment}

    def start(self) -> None:
        """Start it and wait for `Ready`; what it prints before is kept."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout
        self.output = ""
        for line in self._process.stdout:
            self.output += line
            if line == "Ready\n":
                return
        raise AssertionError(f"it did not start: {self.output}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status. A Ctrl-C reaches all processes of a terminal."""
        if how is signal.SIGINT:
            os.killpg(self.process.pid, how)
        else:
            self.process.send_signal(how)
        self.output += self.process.communicate(timeout=30)[0]
        return self.process.returncode

    def run(self, module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One of the local commands, next to the service."""
        return subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def client(self, **headers: str) -> httpx.Client:
        """Of the demo credential."""
        headers = {"X-Auth-Token": self.demo["token"], **headers}
        url = f"http://127.0.0.1:{self.port}"
        return httpx.Client(base_url=url, headers=headers, trust_env=False, follow_redirects=True, timeout=60)


def free_ports() -> int:
    """The first of three free ports that are neighbours."""
    while True:
        with socket.socket() as first, socket.socket() as second, socket.socket() as third:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            with suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                third.bind(("127.0.0.1", port + 2))
                return port


@contextmanager
def running(directory: Path, **environment: str) -> Iterator[Service]:
    service = Service(directory, **environment)
    service.start()
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.stop()


def eventually(holds: Any, seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
