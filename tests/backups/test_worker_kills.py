"""Workers of backups that are killed, doubled and passed over, over and over: every record ends verified, or failed."""

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from signal import SIGSTOP
from typing import Any

import pytest

from functions.schedule_backups.app import lambda_handler as schedule_backups
from logkeep.backups import work_store
from tests.calls import Context
from tests.soak.clusters import Cluster
from tests.soak.crews import WORKERS, employ, sums
from tests.soak.processes import LONG, Boundary, Life, live
from tests.soak.workers import ORDERED_FOR, Pace, serve

KILLS = 200 if LONG else 4
STEP = 1 if LONG else 12  # test_runs.py stops a worker at every call, in its own process
LOGS = 4 if LONG else 2

CLUSTERS = 3 if LONG else 2
# Minutes are seconds here: a lease ends before it is ordered again.
HURRIED = Pace(small=True, time=1.2, reserve=0.2, lease_over=0.3, visibility=2, idle=60, serves=4)
# In the short form, test_runs.py alone has them put at once and in parts. To the archive all ways make the same calls.
WAYS = {"in several invocations": Pace(small=True, part=300)} | (
    {"put at once": Pace(), "in parts": Pace(small=True)} if LONG else {}
)
FROM = 0 if LONG else 5

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("aws")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("after", [False, True] if LONG else [True], ids=lambda after: "after" if after else "before")
def test_a_worker_killed_at_any_call_has_a_successor_that_ends_its_backup(way, after, objects) -> None:
    """A backup after the other, each with two orders, its worker killed a call later, until one gets through."""
    cluster, pace = Cluster("c", random.Random(7), objects, full_every=100, logs=LOGS), WAYS[way]
    counts: Counter[str] = Counter()
    steps = []
    for number in range(FROM, 200, STEP):
        cluster.grow()
        cluster.come_due(2)
        lives = [live(serve, pace, until=Boundary(number, after))]
        if lives[0].killed:
            steps.append(lives[0].last_step.split()[0])
            cluster.drip()
            cluster.expire()
            lives.append(live(serve, pace))
        counts += sums(lives) + cluster.check() + Counter(rounds=1)
        if len(lives) == 1:
            break
    counts += cluster.check_swept()
    assert counts["kills"] == counts["rounds"] - 1 >= 15 // STEP
    assert counts["SUCCESS"] == counts["kills"] + 1
    print(f"\n{dict(counts)}\nkilled {'after' if after else 'before'}: {steps}")


@pytest.mark.parametrize("way", WAYS)
def test_a_worker_that_was_passed_over_changes_nothing_any_more(way, objects) -> None:
    """It stands still behind a call while its lease ends, another finishes, and the next backup is in the middle."""
    cluster, pace = Cluster("c", random.Random(8), objects, full_every=100, logs=LOGS), WAYS[way]
    counts: Counter[str] = Counter()
    steps = []
    for number in range(0 if LONG else 6, 200, 1 if LONG else 24):
        cluster.grow()
        cluster.come_due(1)
        lives: list[Life] = []
        states: list[dict[str, Any]] = []

        def meanwhile(lives: list[Life] = lives, states: list[dict[str, Any]] = states) -> None:
            cluster.expire()
            lives.append(live(serve, pace))
            cluster.grow()
            cluster.come_due(1)
            lives.append(live(serve, replace(pace, visibility=600), until=Boundary(10)))  # whose order is not repeated
            states.append(cluster.state())

        slow = live(serve, pace, until=Boundary(number, signal=SIGSTOP), meanwhile=meanwhile)
        if states:
            assert cluster.state() == states[0], f"passed over after {slow.stopped}"
            steps.append(slow.stopped.split()[0])
            cluster.expire()
            cluster.go_on()
            lives.append(live(serve, pace))
        counts += sums([slow, *lives]) + cluster.check() + Counter(rounds=1)
        if not states:
            break
    counts += cluster.check_swept()
    assert counts["SUCCESS"] == counts["rounds"] + counts["stops"]
    print(f"\n{dict(counts)}\npassed over: {steps}")


def test_workers_killed_at_random_end_every_backup_verified_or_failed(objects, monkeypatch) -> None:
    """Several at once, on several clusters whose logs grow; every order is sent twice and some once more, late."""
    chance = random.Random(9)
    monkeypatch.setattr(work_store, "ORDERED_FOR", ORDERED_FOR)
    clusters = [Cluster(f"c{number}", random.Random(number), objects) for number in range(CLUSTERS)]
    lives: list[Life] = []
    over = threading.Event()
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        workers = [
            pool.submit(employ, HURRIED, random.Random(100 + number), lives, over, KILLS) for number in range(WORKERS)
        ]
        try:
            while sum(life.killed for life in lives) < KILLS:
                for cluster in clusters:
                    cluster.grow()
                    cluster.collect() if chance.random() < 0.3 else cluster.come_due(2)
                    if chance.random() < 0.3:
                        cluster.come_due(1)
                    cluster.come_due_again()
                _wait(clusters, chance)
                counts["rounds"] += 1
                for cluster in clusters:
                    counts += cluster.check()
        finally:
            over.set()
    for worker in workers:
        worker.result()
    lives.append(live(serve, replace(HURRIED, idle=3, serves=60)))
    for cluster in clusters:
        counts += cluster.check() + cluster.check_swept()
    counts += sums(lives)
    steps = Counter(life.last_step for life in lives if life.killed)
    print(f"\n{dict(counts)}\nkilled after: {dict(steps.most_common())}")


def _wait(clusters: list[Cluster], chance: random.Random) -> None:
    """Wait until every backup has ended; logs grow, and schedules run."""
    until = time.monotonic() + 120
    while not all(cluster.settled() for cluster in clusters):
        assert time.monotonic() < until, [list(cluster.store.records())[:3] for cluster in clusters]
        chance.choice(clusters).drip()
        schedule_backups({}, Context())  # type: ignore[arg-type]
        time.sleep(0.2 if LONG else 0.5)
