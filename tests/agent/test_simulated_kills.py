"""The agent against a log in memory and all that programs do to files, killed wherever it does anything."""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from logkeep_agent.ship import Options, Shipper
from logkeep_agent.state import State
from tests.agent.comparing import compare
from tests.agent.fakes import FakeClock, FakeLog
from tests.agent.producer import SCENARIOS, Producer
from tests.examples import LONG

KILLS = 20 if LONG else 10
SEEDS = range(3 if LONG else 1)
_BEGINS: Final = 1_800_000_000 * 10**9  # epoch ns

pytestmark = [pytest.mark.unit, pytest.mark.soak]


class Killed(BaseException):
    """As SIGKILL: nothing is done any more."""


class World:
    """A program, a log, and agents that come and go, in a time of their own."""

    def __init__(self, directory: Path, scenario: str, seed: int) -> None:
        self.chance = random.Random(f"{scenario} {seed}")
        self.log = FakeLog()
        self.log.fails = self._fails
        self.path = directory / "app.log"
        self.said: list[str] = []
        self.ns = _BEGINS
        self.steps = 0  # that the agent may take before it is killed
        self.clock = WorldClock(self)
        self.is_away = False
        self.is_quiet = True  # nothing is written, and the agent is not killed
        self.scenario = scenario
        self.producer = Producer(self.path, scenario, seed, most=10)
        self.producer.often, self.producer.stamp, self.producer.pause = 0.12, self.stamp, self.sleep
        self.producer.packed = ("gz", "xz")  # for zstd, a program is started each time
        self.options: dict[str, Any] = {"rotated": (self.producer.old,), "settle": 1.0}
        if scenario == "days":
            self.options |= {"zone": UTC, "log_id": "build/{}/stage1".format, "seal": True}

    def stamp(self, file: int) -> str:
        """Files are dated by this world's clock."""
        self.ns += 1_000_000
        os.utime(file, ns=(self.ns, self.ns))
        return datetime.fromtimestamp(self.ns / 1e9, UTC).strftime("%Y-%m-%d")

    def sleep(self, seconds: float) -> None:
        self.ns += int(seconds * 1e9)

    def step(self) -> None:
        """Count a step of the agent; it is killed after the last one."""
        self.steps -= 1
        if not self.steps:
            raise Killed

    def tick(self) -> None:
        """Do what happens between two looks of the agent."""
        self.step()
        if self.is_quiet:
            return
        for _ in range(self.chance.choice([0, 0, 1, 1, 3])):
            self.producer.step()
        if self.chance.random() < 0.05:
            self.is_away = not self.is_away
        if self.scenario == "days" and self.chance.random() < 0.05:
            self.sleep(self.chance.choice([3600, 50_000, 200_000]))

    def ship(self, steps: int, **options: Any) -> None:
        """Run an agent until it has taken so many steps: ticks, and before and after what it writes or sends."""
        self.steps = steps
        state = self.path.with_name(".app.log.logkeep")
        options = {"interval": self.chance.choice([0, 1, 7, None]), **self.options, **options}
        shipper = Shipper(self.log, self.path, state, Options(**options), self.said.append, self.clock)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FakeLog, "append", stepping(self, FakeLog.append))
            patch.setattr(State, "save", stepping(self, State.save))
            patch.setattr(FakeLog, "seal", stepping(self, FakeLog.seal))
            try:
                with suppress(Killed):
                    is_done = shipper.run()
                    assert is_done or self.is_away
            finally:
                shipper.close()

    def _fails(self) -> str | None:
        return self.chance.choice([None, "before", "after"]) if self.is_away else None

    @property
    def held(self) -> dict[str, bytes]:
        logs = {self.log.log_id: self.log} | self.log.others
        # A day's log may end within a line, if its file does.
        return {name: bytes(log.text).removesuffix(b"\n") + b"\n" for name, log in sorted(logs.items()) if log.text}


class WorldClock(FakeClock):
    def __init__(self, world: World) -> None:
        self._world = world

    def monotonic(self) -> float:
        return self._world.ns / 1e9

    def wall(self) -> int:
        return self._world.ns

    def sleep(self, seconds: float) -> None:
        self._world.sleep(seconds)
        self._world.tick()


def stepping(world: World, call: Callable[..., Any]) -> Callable[..., Any]:
    def stepped(*arguments: Any) -> Any:
        world.step()
        result = call(*arguments)
        world.step()
        return result

    return stepped


def play(world: World) -> None:
    world.ship(10)  # what is rotated before an agent ever had an answer is not its own
    world.is_quiet = False
    for _ in range(KILLS):
        for _ in range(world.chance.choice([0, 0, 1, 10])):  # while no agent looks
            world.producer.step()
            world.sleep(world.chance.choice([0, 0.1, 5]))
        world.ship(world.chance.choice([1, 2, 3, 5, 10, 20]))
    world.is_away, world.is_quiet = False, True
    world.producer.close()
    world.ship(0, once=True)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_agents_lose_and_repeat_nothing_whatever_is_done_to_the_file(
    tmp_path, monkeypatch, scenario, seed
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(random, "uniform", lambda _, most: most)  # of the agent's pauses
    world = World(tmp_path / "logs", scenario, seed)
    play(world)
    said = "\n".join(world.said)
    counts = compare(world.producer, b"".join(world.held.values()), said)
    print(f"\n{scenario} {seed}: {dict(counts | world.producer.counts)}")
