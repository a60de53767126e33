"""Agents as processes that are killed, what they say, and the functions of a service that are killed, too."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from local import ROOT
from tests.agent.packing import path_with_zstd
from tests.agent.producer import Producer
from tests.local.service import Service
from tests.other_days import clock


class Writer(threading.Thread):
    """Lets producers of one folder write until it is stopped."""

    def __init__(self, *producers: Producer) -> None:
        super().__init__(daemon=True)
        self._producers, self._ends = producers, threading.Event()
        self.failed: BaseException | None = None
        for each in producers:
            each.pause, each.edits_after = time.sleep, 1.5
            each.often = 0.08 * len(producers)  # so that a file is used for about as many seconds in each case

    def run(self) -> None:
        try:
            self._write()
        except BaseException as error:
            self.failed = error

    def _write(self) -> None:
        waits = 0
        while not self._ends.is_set():
            for each in self._producers:
                each.step()
                waits += 1
                time.sleep([0.01, 0.05, 0.3][waits % 3])

    def stop(self) -> None:
        self._ends.set()
        self.join()
        if self.failed:
            raise self.failed
        for each in self._producers:
            each.close()


@contextmanager
def agent(
    service: Service, said: Path, arguments: Sequence[str], *, begins: int = 0, **how: object
) -> Iterator[subprocess.Popen[bytes]]:
    """An agent, killed in the end; what it says comes after what those before it said."""
    demo = service.demo
    environment = os.environ | {
        "LOGKEEP_ENDPOINT": f"http://127.0.0.1:{service.port}",
        "LOGKEEP_PROJECT": demo["project_id"],
        "LOGKEEP_TOKEN": demo["token"],
        "PATH": path_with_zstd(said.parent / "bin"),
        "TMPDIR": str(said.parent),
        "DAYS_BEGIN": str(begins),
        **clock(ROOT / "agent", ROOT),
    }
    command = [sys.executable, "-m", "tests.agent.hurried", "ship", *arguments]
    with said.open("ab") as stderr:
        process = subprocess.Popen(command, env=environment, stderr=stderr, **how)  # type: ignore[call-overload] # noqa: S603 - our own agent
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def kill_functions(service: Service) -> int:
    """Kill the processes that functions run in, in the midst of whatever they do."""
    killed = 0
    for child in psutil.Process(service.process.pid).children():
        if "multiprocessing.forkserver" in " ".join(child.cmdline()):
            for sandbox in child.children():
                sandbox.kill()
                killed += 1
    return killed
