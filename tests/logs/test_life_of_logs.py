"""A random life of logs and their neighbours, with kills: what should be gone is gone, and all else is as it was."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from logkeep.clock import DAY, HOUR
from logkeep.errors import Conflict
from logkeep.logid import LogId
from logkeep.logs.deletion_store import deleting
from logkeep.logs.many_store import orders_of
from logkeep.logs.pack_store import packer
from logkeep.logs.retention import GOING, is_below
from logkeep.logs.store import log_store
from tests.calls import PROJECT
from tests.examples import LONG
from tests.faults import Killed, killed_at
from tests.logs.test_deletion import NOISE, about, everything, store  # noqa: F401 - a fixture
from tests.logs.test_expiry import NOW, Time, time  # noqa: F401 - a fixture

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("aws")]
NAMES = ("app/a", "app/a/b", "app/ab", "check/s", "check/s/f.log", "build/r/stage1", "build/r/stage10")
LOGS = [LogId.parse(name) for name in NAMES]
KILLS = 200 if LONG else 2
STEPS = 40 if LONG else 14


@dataclass
class Known:
    """What a log must be."""

    text: bytes
    birth: str
    last: int
    own: int | None
    hold: bool = False


@dataclass
class Life:
    chance: random.Random
    time: Time
    logs: dict[LogId, Known] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)  # births
    days: dict[str, int | None] = field(default_factory=dict)
    set_at: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def step(self) -> None:
        log_id = self.chance.choice(LOGS)
        done = self.chance.choice(
            [
                self.append,
                self.append,
                self.append,
                self.delete,
                self.hold,
                self.pack,
                self.many,
                self.settle,
                self.wait,
            ]
        )
        done(log_id)
        self.counts[done.__name__] += 1
        self.check()

    def append(self, log_id: LogId) -> None:
        text = self.chance.choice([b"one\n", NOISE])
        known = self.logs.get(log_id)
        own = known.own if known else self.chance.choice([None, None, 2])
        head, _ = log_store(PROJECT).append(log_id, (text,).__iter__, None, retention=None if known else own)
        if known is None:
            self.logs[log_id] = Known(text, head.birth, self.time.now, own)
        else:
            assert head.birth == known.birth, "it is revived whole"
            known.text, known.last = known.text + text, self.time.now

    def delete(self, log_id: LogId) -> None:
        known = self.logs.get(log_id)
        if known is None:
            return
        try:
            self.killed(lambda: deleting(PROJECT).delete(log_id, "a"))
        except Conflict:
            assert known.hold
        else:
            assert not known.hold
            self.gone(log_id)

    def many(self, log_id: LogId) -> None:
        orders = orders_of(PROJECT)
        order = orders.advance(orders.plan("a", str(log_id), None, ()), 1e12)
        below = [each for each in self.logs if is_below(each, str(log_id))]
        free = [each for each in below if not self.logs[each].hold]
        assert (order.logs, order.held) == (len(free), len(below) - len(free))
        if self.chance.random() < 0.5:
            self.killed(lambda: orders.advance(orders.begin(order.token), 1e12))
            assert orders.find(order.token).deleted == len(free)
            for each in free:
                self.gone(each)

    def hold(self, log_id: LogId) -> None:
        if known := self.logs.get(log_id):
            known.hold = not known.hold
            log_store(PROJECT).hold(log_id, on=known.hold)

    def pack(self, log_id: LogId) -> None:
        if log_id in self.logs:
            head = log_store(PROJECT).find(log_id)
            assert head
            packer(PROJECT).pack(head, 1e12)

    def settle(self, log_id: LogId) -> None:
        self.days = {str(log_id): self.chance.choice([None, 1, 4])} | {"app": self.chance.choice([None, 9])}
        self.set_at = self.time.now
        log_store(PROJECT).expiry.set({}, self.days)

    def wait(self, _: LogId) -> None:
        for _hour in range(self.chance.randint(1, 3)):
            self.time.now += self.chance.choice([HOUR, 2 * HOUR, DAY, 2 * DAY])
            self.killed(lambda: self.time.tend(self.time.now))

    def killed(self, work: Callable[[], object]) -> None:
        """Do something, killed some times before it is done."""
        while self.chance.random() < 0.4:
            try:
                with killed_at(self.chance.randint(0, 40), after=self.chance.random() < 0.5):
                    work()
            except Killed:
                self.counts["kills"] += 1
            else:
                return
        work()

    def gone(self, log_id: LogId) -> None:
        self.dead.add(self.logs.pop(log_id).birth)

    def expires_at(self, log_id: LogId) -> int | None:
        known = self.logs[log_id]
        fitting = [each for each in self.days if is_below(log_id, each)]
        days = self.days[max(fitting, key=len)] if fitting else None
        days = days if known.own is None else known.own
        return None if known.hold or days is None else known.last + days * DAY

    def check(self) -> None:
        """Readers find what has not expired, byte for byte; only what had expired for days was deleted."""
        logs = log_store(PROJECT)
        for log_id, known in [*self.logs.items()]:
            head, at = logs.find(log_id), self.expires_at(log_id)
            if head is None:
                assert at is not None
                assert at + GOING <= self.time.now
                self.gone(log_id)
                self.counts["expired"] += 1
                continue
            assert head.birth == known.birth
            assert b"".join(logs.texts(head)) == known.text
            visible = {each.log_id for each in logs.heads(log_id.owner)}
            assert (log_id in visible) == (at is None or at > self.time.now)

    def end(self) -> None:
        """When everything is removed that should be, nothing bears a birth that is gone."""
        for _ in range(3):
            self.time.now += 3 * HOUR
            self.time.tend(self.time.now)
        self.check()
        found = everything()
        for birth in self.dead:
            assert about(found, birth) == []
        births = {known.birth for known in self.logs.values()}
        assert all(key.split("@")[1].split("/")[0] in births for key in found if key.startswith("logs/"))


def test_a_random_life_leaves_what_it_should_and_nothing_else(store, time) -> None:  # noqa: F811 - a fixture
    counts = Counter[str]()
    seed = 0
    while counts["kills"] < KILLS:
        life = Life(random.Random(seed), time)
        for log_id in LOGS:
            if store.find(log_id):
                store.hold(log_id, on=False)
                deleting(PROJECT).delete(log_id, "a")
        store.expiry.set({}, {})
        time.now = max(time.now, NOW) + DAY
        for _ in range(STEPS):
            life.step()
        life.end()
        counts += life.counts
        seed += 1
    print(f"\n{dict(counts)} in {seed} lives")
