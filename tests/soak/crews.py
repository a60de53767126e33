"""Several workers at once, each followed by another, and what they did."""

import random
import threading
import time
from collections import Counter
from signal import SIGSTOP
from typing import Final

from tests.soak.processes import LONG, Boundary, Life, Moment, live
from tests.soak.workers import Pace, serve

WORKERS: Final = 3


def employ(pace: Pace, chance: random.Random, lives: list[Life], over: threading.Event, kills: int) -> None:
    """One worker after the other: most are killed, some are passed over, some are left alone.

    In the suite all are left alone once so many of the lives were killed.
    """
    while not over.is_set():
        until: Moment | Boundary | None = None
        fate = chance.random() if LONG or sum(life.killed for life in lives) < kills else 1
        if fate < 0.4:
            until = Moment(seconds=chance.uniform(0, 0.5), since="messages")
        elif fate < 0.8:
            until = Boundary(chance.randrange(25), chance.random() < 0.5)
        elif fate < 0.9:
            until = Boundary(chance.randrange(30), chance.random() < 0.5, SIGSTOP)
        lives.append(live(serve, pace, until=until, meanwhile=lambda: time.sleep(3)))


def sums(lives: list[Life]) -> Counter[str]:
    counts: Counter[str] = Counter(workers=len(lives), kills=sum(life.killed for life in lives))
    for life in lives:
        counts += life.told
    return counts
