"""An agent that is killed over and over, and a service that is: the log is what was written, once and in order."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from local import ROOT
from local.emulator import is_free
from tests.local.service import Service, eventually, running
from tests.other_days import clock
from tests.soak.processes import LONG

KILLS = 200 if LONG else 6
SERVICE_KILLS = 8 if LONG else 1
LOG = "build/6f1c2d3e-0000-4000-8000-0000000000ff/stage1"

pytestmark = pytest.mark.soak


class Writer(threading.Thread):
    """Writes a file that it rotates by renaming, and remembers what it wrote."""

    def __init__(self, path: Path, seed: int) -> None:
        super().__init__()
        self.path, self.written, self.rotations = path, bytearray(), 0
        self.ends = threading.Event()
        self._chance = random.Random(seed)
        self._line = 0

    def run(self) -> None:
        file = self.path.open("ab", buffering=0)
        while not self.ends.is_set():
            for _ in range(self._chance.choice([1, 5, 100])):
                self._write(file)
            if self._chance.random() < 0.06:
                self._rename()
                for _ in range(self._chance.choice([0, 1, 20])):  # it has not noticed yet
                    self._write(file)
                    time.sleep(self._chance.choice([0, 0, 0.02]))
                file.close()
                file = self.path.open("ab", buffering=0)
            time.sleep(self._chance.choice([0.01, 0.05, 0.3]))
        self._write(file, end=b"the end")
        file.close()

    def _write(self, file, end: bytes = b"\n") -> None:
        self._line += 1
        noise = self._chance.randbytes(self._chance.choice([4, 40, 300])).hex()
        line = b"2026-11-22 00:00:00,000 INFO line %d %s" % (self._line, noise.encode()) + end
        # Now and then an agent sees half a line.
        half = self._chance.choice([0, len(line) // 2])
        file.write(line[:half])
        file.write(line[half:])
        self.written += line

    def _rename(self) -> None:
        self.rotations += 1
        for number in range(self.rotations, 1, -1):
            self.path.with_name(f"app.log.{number - 1}").rename(self.path.with_name(f"app.log.{number}"))
        self.path.rename(self.path.with_name("app.log.1"))


def test_killed_agents_and_killed_services_lose_and_repeat_nothing(tmp_path: Path) -> None:
    chance = random.Random(7)
    counts: Counter[str] = Counter()
    path = tmp_path / "logs" / "app.log"
    path.parent.mkdir()
    writer = Writer(path, seed=11)
    with running(tmp_path / "service") as service:
        # What is rotated before an agent ever had an answer is not its own.
        agents = tmp_path / "agents"
        path.touch()
        with agent(service, path, agents):
            assert eventually(lambda: "begins with" in agents.read_text(), seconds=60)
        writer.start()
        try:
            service_dies = set(chance.sample(range(5, KILLS), SERVICE_KILLS))
            for number in range(KILLS):
                with agent(service, path, agents) as killed:
                    time.sleep(chance.uniform(0, 1.2))
                    if number in service_dies:
                        service.stop(signal.SIGKILL)
                        assert eventually(lambda: is_free(service.emulator_port), seconds=60)
                        service.start()
                        counts["kills of the service"] += 1
                        time.sleep(chance.uniform(0, 2))
                    elif chance.random() < 0.4:
                        counts["kills of a function"] += kill_functions(service)
                        time.sleep(chance.uniform(0, 1.2))
                counts["kills of the agent"] += killed.returncode == -signal.SIGKILL
        finally:
            writer.ends.set()
            writer.join()
        with agent(service, path, agents, "--once", "--seal") as last:
            assert last.wait(timeout=240) == 0, agents.read_text()
        text = bytes(writer.written)
        with service.client() as client:
            url = f"/v1/{service.demo['project_id']}/logs"
            assert eventually(lambda: client.get(f"{url}/{LOG}").status_code == 200, seconds=120), "it is built"
            assert first_difference(client.get(f"{url}/{LOG}").content, text) is None
            (certificate,) = client.get(url, params={"prefix": LOG}).json()["logs"]
        statuses = Counter(
            f"answers {line['status']}"
            for line in map(json.loads, (service.directory / "functions.log").read_text().splitlines())
            if line.get("method") == "PATCH"
        )
    assert counts["kills of the agent"] == KILLS
    assert "LOST" not in agents.read_text()
    assert (certificate["state"], certificate["bytes"]) == ("sealed", len(text))
    assert certificate["crc32"] == f"{zlib.crc32(text):08x}"
    counts += Counter({"rotations": writer.rotations, "bytes": len(text)}) + statuses
    print(f"\n{dict(counts)}")


def first_difference(one: bytes, other: bytes) -> int | None:
    if one == other:
        return None
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


@contextmanager
def agent(service: Service, path: Path, told: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """An agent, killed in the end; what it says goes behind what those before it said."""
    demo = service.demo
    environment = os.environ | {
        "LOGKEEP_ENDPOINT": f"http://127.0.0.1:{service.port}",
        "LOGKEEP_PROJECT": demo["project_id"],
        "LOGKEEP_TOKEN": demo["token"],
        **clock(ROOT / "agent"),
    }
    command = ["ship", str(path), "--log", LOG, "--interval", "0.05", "--settle", "0.2", *arguments]
    with told.open("ab") as stderr:
        process = subprocess.Popen(  # noqa: S603 - our own agent
            [sys.executable, "-m", "logkeep_agent", *command], env=environment, stderr=stderr
        )
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
