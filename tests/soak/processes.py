"""Processes that call the functions, tell what they do, and are killed while they do it."""

import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from logkeep.aws import clients
from logkeep.web.http import logger
from tests.calls import forget_aws

LONG = bool(os.environ.get("LOGKEEP_SOAK"))
# Every process is forked off one that has imported the functions and done nothing else: a start takes milliseconds.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.soak.producers"])
_PATIENCE = 120  # seconds in which a process that is not killed ends
# A start also asks how other processes ended, and of two threads that ask about one, one gets a wrong answer.
_REAPING = threading.Lock()

type Tell = Callable[[str, Any], None]  # what happened, and a fact about it


@dataclass(frozen=True)
class Moment:
    """When a process is killed: so many seconds after its first word, or as soon as it says a step so many times."""

    seconds: float | None = None
    step: str = ""
    count: int = 1

    @classmethod
    def drawn(cls, chance: random.Random) -> "Moment":
        if chance.random() < 0.5:
            return cls(seconds=chance.uniform(0, 0.5))
        operation = chance.choice(["PutObject", "TransactWriteItems", "TransactWriteItems", "GetItem", "UpdateItem"])
        return cls(step=f"{operation} {chance.choice(['begins', 'ended'])}", count=chance.randint(1, 6))


@dataclass
class Life:
    """What became of a process."""

    killed: bool
    last_step: str = "nothing"
    told: Counter[str] = field(default_factory=Counter)  # sums of what it told, by kind
    latest: dict[str, Any] = field(default_factory=dict)


def live(work: Callable[..., None], *arguments: Any, until: Moment | None = None) -> Life:
    """Run work(tell, *arguments) in a process of its own, and kill it at a moment; fail if it failed by itself."""
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_begin, args=(work, sender, dict(os.environ), arguments))
    with _REAPING:
        process.start()
    sender.close()
    life = Life(killed=False)
    deadline = time.monotonic() + _PATIENCE
    heard = 0
    with receiver:
        while receiver.poll(max(0, deadline - time.monotonic())):
            try:
                kind, value = receiver.recv()
            except EOFError:
                break
            if kind == "begins" and until and until.seconds is not None:
                deadline = time.monotonic() + until.seconds
            if kind == "step":
                life.last_step = value
                heard += until is not None and value == until.step
                if until and heard == until.count and not life.killed:
                    process.kill()
                    life.killed = True
            elif kind != "begins":
                life.latest[kind] = value
                life.told[kind] += value
        else:
            process.kill()
            life.killed = until is not None and until.seconds is not None
    with _REAPING:
        process.join()
    ended = process.exitcode
    process.close()
    assert ended == 0 or (ended == -signal.SIGKILL and life.killed), f"a producer ended with {ended}: see its output"
    life.killed = ended != 0  # it may have been done a moment before
    return life


def _begin(work: Callable[..., None], sender: Any, environment: dict[str, str], arguments: tuple[Any, ...]) -> None:
    os.environ |= environment
    forget_aws()

    def tell(kind: str, value: Any) -> None:
        sender.send((kind, value))

    logger.setLevel("ERROR")
    for client in (clients.s3(), clients.dynamodb()):
        for event, verb in (("before-call", "begins"), ("after-call", "ended")):
            client.meta.events.register_first(
                f"{event}.*.*", lambda model, verb=verb, **_: tell("step", f"{model.name} {verb}")
            )
    tell("begins", None)
    work(tell, *arguments)
