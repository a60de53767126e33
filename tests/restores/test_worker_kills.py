"""Workers of restores that are killed and passed over, over and over: the logs come back byte for byte, once."""

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from signal import SIGSTOP

import pytest

from functions.schedule_backups.app import lambda_handler as schedule_backups
from logkeep.backups import work_store
from tests.calls import Context
from tests.conftest import Objects
from tests.soak.clusters import Cluster
from tests.soak.crews import WORKERS, employ, sums
from tests.soak.processes import LONG, Boundary, Life, live
from tests.soak.workers import ORDERED_FOR, Pace, serve

KILLS = 100 if LONG else 3
STEP = 1 if LONG else 14  # test_kills.py stops a worker at every other call, in its own process
BACKUPS, LOGS = (2, 4) if LONG else (1, 1)
HURRIED = Pace(
    restores=True, small=True, time=1.2, reserve=0.2, lease_over=0.3, visibility=2, idle=60, serves=4, tries=1000
)
WAYS = {"in several invocations": Pace(restores=True, small=True, part=300)} | (
    {"at once": Pace(restores=True)} if LONG else {}
)

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("aws")]


def backed_up(name: str, objects: Objects, backups: int, logs: int = 4) -> Cluster:
    """A cluster with a chain of backups."""
    cluster = Cluster(name, random.Random(name), objects, logs=logs)
    for _ in range(backups):
        cluster.grow()
        cluster.come_due(1)
        live(serve, Pace())
    cluster.check()
    return cluster


@pytest.mark.parametrize("way", WAYS)
def test_a_worker_killed_at_any_call_has_a_successor_that_ends_its_restore(way, objects) -> None:
    """A restore after the other, each with two orders, its worker killed a call later, until one gets through."""
    cluster, pace = backed_up("c", objects, BACKUPS, LOGS), WAYS[way]
    counts: Counter[str] = Counter()
    steps = []
    for number in range(0, 400, STEP):
        cluster.restore(f"r{number}-")
        lives = [live(serve, pace, until=Boundary(number))]
        if lives[0].killed:
            steps.append(lives[0].last_step.split()[0])
            cluster.check_restoring(f"r{number}-")
            lives.append(live(serve, pace))
        counts += sums(lives) + cluster.check_restored(f"r{number}-")
        if len(lives) == 1:
            break
    assert counts["restores"] == counts["kills"] + 1 == number // STEP + 1 > 25 // STEP
    print(f"\n{dict(counts)}\nkilled after: {steps}")


@pytest.mark.dates
@pytest.mark.parametrize("way", WAYS)
def test_a_worker_that_was_passed_over_writes_nothing_twice(way, objects) -> None:
    """It stands still behind a call while another restores all, and goes on then."""
    cluster, pace = backed_up("c", objects, BACKUPS, LOGS), WAYS[way]
    counts: Counter[str] = Counter()
    for number in range(1, 400, 1 if LONG else 24):
        cluster.restore(f"r{number}-")
        lives: list[Life] = []

        def meanwhile(lives: list[Life] = lives) -> None:
            lives.append(live(serve, pace))

        slow = live(serve, pace, until=Boundary(number, signal=SIGSTOP), meanwhile=meanwhile)
        counts += sums([slow, *lives]) + cluster.check_restored(f"r{number}-")
        if not lives:
            break
    assert counts["restores"] == counts["stops"] + 1
    print(f"\n{dict(counts)}")


def test_workers_killed_at_random_restore_everything(objects, monkeypatch) -> None:
    monkeypatch.setattr(work_store, "ORDERED_FOR", ORDERED_FOR)
    clusters = [backed_up(f"c{number}", objects, 3 if LONG else 2) for number in range(2 if LONG else 1)]
    lives: list[Life] = []
    over = threading.Event()
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        workers = [
            pool.submit(employ, HURRIED, random.Random(200 + number), lives, over, KILLS) for number in range(WORKERS)
        ]
        try:
            while sum(life.killed for life in lives) < KILLS:
                prefix = f"r{counts['rounds']}-"
                for cluster in clusters:
                    cluster.restore(prefix)
                until = time.monotonic() + 120
                while any(cluster.restore_state() == "running" for cluster in clusters):
                    assert time.monotonic() < until
                    schedule_backups({}, Context())  # type: ignore[arg-type]
                    time.sleep(0.2 if LONG else 0.5)
                for cluster in clusters:
                    counts += cluster.check_restored(prefix)
                counts["rounds"] += 1
        finally:
            over.set()
    for worker in workers:
        worker.result()
    lives.append(live(serve, replace(HURRIED, idle=3, serves=60)))
    for cluster in clusters:
        for number in range(counts["rounds"]):
            cluster.check_restoring(f"r{number}-")
    counts += sums(lives)
    print(f"\n{dict(counts)}\nkilled after: {Counter(life.last_step for life in lives if life.killed).most_common()}")
