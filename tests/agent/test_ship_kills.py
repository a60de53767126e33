"""Agents that are killed over and over, and a service that is: logs are what was written, once and in order."""

import os
import random
import re
import shlex
import signal
import threading
import time
import uuid
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from local.emulator import is_free
from tests.agent.comparing import check_days, compare
from tests.agent.hurried import Days
from tests.agent.killing import Writer, agent, kill_functions
from tests.agent.producer import Producer
from tests.local.service import Service, eventually
from tests.soak.processes import LONG

KILLS = 30 if LONG else 3  # of each agent
EVERY = 10 if LONG else 1000  # so many kills of functions to one of the service
SEEDS = [7, 8, 9] if LONG else [7]
MOST = 300 if LONG else 30  # lines that are written at once
PIPED = 2 * (1 << 16)  # bytes that may be in a pipe, and in the hand of the agent that read them

pytestmark = pytest.mark.soak


class Case(threading.Thread):
    """An agent that is killed over and over while producers write what it ships."""

    def __init__(
        self, service: Service, directory: Path, name: str, paths: str, scenarios: list[str], seed: int
    ) -> None:
        super().__init__(daemon=True)
        self.service, self.name, self.directory = service, name, directory / name
        self.record = random.Random(f"{name} {seed} {directory}").randbytes(4).hex()
        self.counts = Counter[str]()
        self.said = self.directory / "said"
        self.failed: BaseException | None = None
        self._chance = random.Random(f"{name} {seed}")
        self.logs = self.directory / "logs"
        self.logs.mkdir(parents=True)
        self.producers: dict[str, Producer] = {}
        for number, scenario in enumerate(scenarios):
            path = self.logs / paths.replace("*", f"{number}-{scenario.replace(' ', '-')}")
            path.parent.mkdir(exist_ok=True)
            self.producers[path.stem if path.parent == self.logs else path.parent.name] = Producer(
                path, scenario, seed + number, MOST
            )
        if "/" in paths:
            for each in self.producers.values():
                each.old = each.path.parent  # nothing is moved away, since all of them have the same name
        self.said.touch()
        self.days = Days(self.said.stat().st_mtime_ns)
        # A pattern has a log per file, by its name or by what the wildcard stands for.
        name = "{1}" if "/" in paths else "{stem}"
        day = "{date}" if scenarios == ["days"] else "log"
        self.arguments = [str(self.logs / paths), "--log", f"cluster/{self.record}/{name}/{day}", "--interval", "0.05"]
        self.arguments += ["--settle", "0.2", "--rotated", str(self.logs / "old")]
        if scenarios == ["days"]:
            self.arguments += ["--daily", "--seal"]
            for each in self.producers.values():
                each.stamp = lambda file: self.days.of(os.fstat(file).st_mtime_ns)
        self._writer = Writer(*self.producers.values())

    def run(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self.failed = error

    def begin(self) -> None:
        """Let an agent know the files: what is rotated before one ever had an answer is not its own."""
        with self._agent():
            assert eventually(lambda: self._words().count("begins with") == len(self.producers), 60), self._words()
        self._writer.start()

    def _run(self) -> None:
        for _ in range(KILLS):
            with self._agent() as killed:
                time.sleep(self._chance.uniform(0, 4 if LONG else 1.5))
            self.counts["kills of the agent"] += killed.returncode == -signal.SIGKILL

    def end(self) -> None:
        """Stop writing, let an agent send the rest, and compare."""
        self._writer.stop()
        if self.failed:
            raise self.failed
        assert self.counts["kills of the agent"] == KILLS, self._words()
        with self._agent("--once", "--seal") as last:
            assert last.wait(timeout=600) == 0, self._words()
        for name, producer in self.producers.items():
            prefix = f"cluster/{self.record}/{name}/"
            logs = read(self.service, prefix)
            said = "".join(line for line in self.said.read_text().splitlines(True) if str(producer.path.parent) in line)
            # A day's log may end within a line, if its file does. That of the day of an empty file is empty.
            held = b"".join(text.removesuffix(b"\n") + b"\n" for text in logs.values() if text)
            counted = compare(producer, held, said)
            self.counts += counted
            self.counts += producer.counts
            if producer.scenario == "days":
                check_days(producer, logs)
                self.counts["days"] = len(logs)

    def _agent(self, *more: str) -> Any:
        return agent(self.service, self.said, [*self.arguments, *more], begins=self.days.begins)

    def _words(self) -> str:
        return self.said.read_text()


def read(service: Service, prefix: str) -> dict[str, bytes]:
    """The logs whose ids begin so, as they are certified."""
    found: dict[str, bytes] = {}
    url = f"/v1/{service.demo['project_id']}/logs"
    with service.client() as client:
        for log in patiently(client, f"{url}?prefix={prefix}&limit=100").json()["logs"]:
            found[log["log_id"]] = text = patiently(client, f"{url}/{log['log_id']}").content
            assert (log["bytes"], log["crc32"]) == (len(text), f"{zlib.crc32(text):08x}")
    return dict(sorted(found.items()))


def patiently(client: httpx.Client, url: str) -> httpx.Response:
    """The answer, though the service may be down, or build what is asked for."""
    until = time.monotonic() + 240
    while time.monotonic() < until:
        with suppress(httpx.TransportError):
            answer = client.get(url)
            if answer.status_code == 200:
                return answer
        time.sleep(0.1)
    raise AssertionError(f"{url} is not answered")


class Killer(threading.Thread):
    """Kills functions, and now and then the service, until it is stopped."""

    def __init__(self, service: Service, seed: int, pause: float) -> None:
        super().__init__(daemon=True)
        self.counts, self.ends = Counter[str](), threading.Event()
        self._service, self._chance, self._pause = service, random.Random(seed), pause

    def run(self) -> None:
        number = 0
        while not self.ends.wait(self._chance.uniform(0.2, self._pause)) or number < 2:  # the second is of the service
            number += 1
            if number % EVERY == 2:
                self.kill_service()
                continue
            with suppress(psutil.NoSuchProcess):  # it has gone by now
                self.counts["kills of a function"] += kill_functions(self._service)

    def kill_service(self) -> None:
        self._service.stop(signal.SIGKILL)
        assert eventually(lambda: is_free(self._service.emulator_port), seconds=60)
        self._service.start()
        self.counts["kills of the service"] += 1


@contextmanager
def killing(service: Service, seed: int) -> Iterator[Counter[str]]:
    killer = Killer(service, seed, pause=4 if LONG else 2)
    killer.start()
    try:
        yield killer.counts
    finally:
        killer.ends.set()
        killer.join()
        if service.process.poll() is not None:
            service.start()


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_agents_and_killed_services_lose_and_repeat_nothing(tmp_path: Path, service: Service, seed: int) -> None:
    """One agent ships all files of a pattern; in the long form, others ship what moves, and a log a day."""
    kinds = ["rotations", "late lines", "holes", "emptied files"]
    cases = [Case(service, tmp_path, "pattern", "*.log", kinds, seed)]
    if LONG:
        cases += [
            Case(service, tmp_path, "folders", "*/app.log", ["rotations", "rotations", "late lines"], seed),
            Case(service, tmp_path, "links", "app.log", ["links"], seed),
            Case(service, tmp_path, "days", "app.log", ["days"], seed),
            Case(service, tmp_path, "one", "app.log", ["rotations"], seed),
        ]
    for case in cases:
        case.begin()
    with killing(service, seed) as counts:
        for case in cases:
            case.start()
        for case in cases:
            case.join()
    for case in cases:
        case.end()
        print(f"\nseed {seed} {case.name}: {dict(case.counts)}")
        counts += case.counts
    print(f"seed {seed}: {dict(counts)}")
    assert counts["kills of the service"]
    if LONG:  # the short form has no time for all of these
        assert counts["kills of a function"] >= 3  # of those that run just then
        often = ["lines written late", "rewrite", "sed", "gap", "copy", "link", "half"]
        assert all(counts[kind] >= 10 for kind in often), counts


def test_standard_input_of_a_killed_agent_is_sent_as_the_agent_said(tmp_path: Path, service: Service) -> None:
    """All that it had read from the pipe is in the log in the end; what the pipe held went with it."""
    chance = random.Random(3)
    counts = Counter[str]()
    with killing(service, 3) if LONG else nullcontext(Counter[str]()) as killed:
        for number in range(20 if LONG else 1):
            counts += pipe(service, tmp_path / str(number), chance)
    print(f"\nstandard input: {dict(counts + killed)}")


def pipe(service: Service, directory: Path, chance: random.Random) -> Counter[str]:
    directory.mkdir()
    log = f"build/{uuid.UUID(int=chance.getrandbits(128), version=4)}/make"
    said = directory / "said"
    text = bytearray()
    arguments = ["-", "--log", log, "--interval", "0.05"]
    source, sink = os.pipe()
    with agent(service, said, arguments, stdin=source) as killed:
        os.close(source)
        assert LONG or eventually(lambda: said.read_text(), 60)  # in the long form, some are killed before they begin
        until = time.monotonic() + chance.uniform(0.5, 5 if LONG else 1.5)
        dies = threading.Timer(until - time.monotonic(), killed.kill)
        dies.start()
        with suppress(BrokenPipeError):
            while True:
                line = b"".join(b"line %d %s\n" % (len(text) + n, b"x" * chance.choice([4, 400])) for n in range(MOST))
                text += line[: os.write(sink, line)]
                time.sleep(chance.choice([0, 0.01, 0.05]))
        os.close(sink)
        dies.join()
    words = said.read_text()
    found = re.search(r"logkeep ship (.*)$", words, re.MULTILINE)
    if not found:
        assert not words, words  # it had not begun
        return Counter({"kills before it began": 1})
    again = shlex.split(found[1])
    again_words = directory / "again"
    kills = 0
    while chance.random() < 0.5:
        with agent(service, again_words, [*again, "--settle", "0.1", "--interval", "0.05"]):
            time.sleep(chance.uniform(0.2, 1.5))
        kills += 1
    with agent(service, again_words, [*again, "--settle", "0.1"]) as last:
        assert last.wait(timeout=300) == 0, words + again_words.read_text()
    (held,) = read(service, log).values()
    assert text.startswith(held), words + again_words.read_text()
    assert len(text) - len(held) <= PIPED, (len(text), len(held), words + again_words.read_text())
    missing = Counter({"bytes that were in the pipe": len(text) - len(held)})
    return missing + Counter(
        {"kills of the agent": 1 + kills, "bytes": len(held), "files": len(list(directory.glob("logkeep-*/stdin*")))}
    )
