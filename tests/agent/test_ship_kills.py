"""An agent that is killed over and over, and a service that is: the log is what was written, once and in order."""

import gzip
import json
import lzma
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
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


# What is done to the file, in turn with what its writer writes. A link moves in a loop of its own.
KINDS = ("rename", "copy", "sed", "half")


class Writer(threading.Thread):
    """Writes a file that it rotates and edits in several ways, and remembers what it wrote."""

    def __init__(self, path: Path, seed: int, *, is_link: bool) -> None:
        super().__init__()
        self.path, self.written, self.counts = path, bytearray(), Counter[str]()
        self.old = path.parent / "old"
        self.ends = threading.Event()
        self._chance = random.Random(seed)
        self._is_link = is_link
        self._line = self._lines = 0  # altogether, and in this file
        self._since = time.monotonic()

    def run(self) -> None:
        file = self._open()
        while not self.ends.is_set():
            for _ in range(self._chance.choice([1, 5, 1000 if LONG else 100])):
                self._write(file)
            if self._chance.random() < 0.06:
                kind = "link" if self._is_link else self._chance.choice(KINDS)
                # Of less, an agent that is down for long would not know enough to recognize the edited file.
                if kind == "sed" and (self._lines < 50 or time.monotonic() < self._since + 3):
                    kind = "rename"
                self.counts[kind] += 1
                file = getattr(self, f"_{kind}")(file)
            time.sleep(self._chance.choice([0.01, 0.05, 0.3]))
        self._write(file, end=b"the end")
        file.close()

    def _open(self) -> FileIO:
        self._lines, self._since = 0, time.monotonic()
        return FileIO(self.path, "a")

    def _write(self, file: FileIO, end: bytes = b"\n") -> None:
        self._line += 1
        self._lines += 1
        noise = self._chance.randbytes(self._chance.choice([4, 40, 300])).hex()
        line = b"2026-11-22 00:00:00,000 INFO line %d plain %s" % (self._line, noise.encode()) + end
        # Now and then an agent sees half a line.
        half = self._chance.choice([0, len(line) // 2])
        file.write(line[:half])
        file.write(line[half:])
        self.written += line

    def _shift(self) -> None:
        """Number rotated files anew. Those after the first are compressed, and those after the second moved away."""
        found = [each for directory in (self.old, self.path.parent) for each in directory.glob("app.log.*")]
        for path in sorted(found, key=lambda each: -int(each.name.split(".")[2])):
            _, _, number, *packed = path.name.split(".")
            new = path.with_name(".".join(["app.log", str(int(number) + 1), *packed]))
            path.rename(new)
            if number == "1":
                kind = self._chance.choice(["gz", "xz"])
                half = new.with_name("being-packed")
                half.write_bytes((gzip if kind == "gz" else lzma).compress(new.read_bytes()))
                shutil.copystat(new, half)
                half.rename(new.with_name(f"{new.name}.{kind}"))
                new.unlink()
            elif number == "2":
                new.rename(self.old / new.name)

    def _rename(self, file: FileIO) -> FileIO:
        self._shift()
        self.path.rename(self.path.with_name("app.log.1"))
        for _ in range(self._chance.choice([0, 1, 20])):  # it has not noticed yet
            self._write(file)
            time.sleep(self._chance.choice([0, 0, 0.02]))
        file.close()
        return self._open()

    def _half(self, file: FileIO) -> FileIO:
        """Rotate in the midst of a line. What is added in the log is a line's end."""
        self._write(file, end=b" half")
        self.written += b"\n"
        return self._rename_at_once(file)

    def _rename_at_once(self, file: FileIO) -> FileIO:
        self._shift()
        file.close()
        self.path.rename(self.path.with_name("app.log.1"))
        return self._open()

    def _copy(self, file: FileIO) -> FileIO:
        self._shift()
        shutil.copy(self.path, self.path.with_name("app.log.1"))
        file.truncate(0)
        self._lines, self._since = 0, time.monotonic()
        return file

    def _sed(self, file: FileIO) -> FileIO:
        new = self.path.with_name("sedq3Zk8W")
        lines = self.path.read_bytes().splitlines(keepends=True)
        chosen = self._chance.randrange(len(lines))
        lines[chosen] = lines[chosen].replace(b" plain ", b" EDITED ")
        new.write_bytes(b"".join(lines))
        file.close()
        new.rename(self.path)
        return FileIO(self.path, "a")

    def _link(self, file: FileIO) -> FileIO:
        """Several times at once now and then."""
        for _ in range(self._chance.choice([1, 1, 3])):
            file.close()
            self.counts["files"] += 1
            new = self.path.with_name("new")
            target = self.path.with_name(f"{self.counts['files']}.log")
            target.touch()
            new.symlink_to(target.name)
            new.rename(self.path)
            file = self._open()
            self._write(file)
        return file


@pytest.mark.parametrize("is_link", [False, *([True] if LONG else [])])
def test_killed_agents_and_killed_services_lose_and_repeat_nothing(tmp_path: Path, is_link: bool) -> None:
    chance = random.Random(7)
    counts: Counter[str] = Counter()
    path = tmp_path / "logs" / "app.log"
    writer = Writer(path, seed=11, is_link=is_link)
    writer.old.mkdir(parents=True)
    if is_link:
        path.symlink_to("0.log")
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
            assert last.wait(timeout=600 if LONG else 240) == 0, agents.read_text()
        with service.client() as client:
            url = f"/v1/{service.demo['project_id']}/logs"
            assert eventually(lambda: client.get(f"{url}/{LOG}").status_code == 200, seconds=120), "it is built"
            held = client.get(f"{url}/{LOG}").content
            (certificate,) = client.get(url, params={"prefix": LOG}).json()["logs"]
        statuses = Counter(
            f"answers {line['status']}"
            for line in map(json.loads, (service.directory / "functions.log").read_text().splitlines())
            if line.get("method") == "PATCH"
        )
    text = bytes(writer.written)
    found, lines = (Counter(each.splitlines()) for each in (held.replace(b" EDITED ", b" plain "), text))
    counts += Counter({"lost": (lines - found).total(), "doubled": (found - lines).total(), "bytes": len(text)})
    print(f"\n{dict(counts) | dict(writer.counts + statuses)}")
    assert lines == found, agents.read_text()
    assert first_difference(held.replace(b" EDITED ", b" plain "), text) is None
    assert "LOST" not in agents.read_text()
    assert counts["kills of the agent"] == KILLS
    assert (certificate["state"], certificate["bytes"]) == ("sealed", len(held))
    assert certificate["crc32"] == f"{zlib.crc32(held):08x}"


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
    command = ["ship", str(path), "--log", LOG, "--interval", "0.05", "--settle", "0.2"]
    command += ["--rotated", str(path.parent / "old"), *arguments]
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
