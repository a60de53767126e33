"""Processes that call the functions, tell what they do, and are killed while they do it."""

import itertools
import multiprocessing
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from signal import SIGCONT, SIGKILL, SIGSTOP, Signals
from typing import Any

import psutil

from logkeep.aws import clients
from logkeep.aws.logger import logger
from tests.calls import forget_aws
from tests.examples import LONG as LONG

# Every process is forked off one that has imported the functions and done nothing else: a start takes milliseconds.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.soak.producers", "tests.soak.workers"])
_PATIENCE = 120  # seconds in which a process that is not killed ends
# A start also asks how other processes ended, and of two threads that ask about one, one gets a wrong answer.
_REAPING = threading.Lock()

type Tell = Callable[[str, Any], None]  # what happened, and a fact about it


@dataclass(frozen=True)
class Moment:
    """When a process is killed: so many seconds after a word of its, or as soon as it says a step so many times."""

    seconds: float | None = None
    since: str = "begins"
    step: str = ""
    count: int = 1

    @classmethod
    def drawn(cls, chance: random.Random) -> "Moment":
        if chance.random() < 0.5:
            return cls(seconds=chance.uniform(0, 0.5))
        operation = chance.choice(["PutObject", "TransactWriteItems", "TransactWriteItems", "GetItem", "UpdateItem"])
        return cls(step=f"{operation} {chance.choice(['begins', 'ended'])}", count=chance.randint(1, 6))


@dataclass(frozen=True)
class Boundary:
    """Where a process sends itself a signal: before its call of AWS of that number, counted from 0, or behind it."""

    call: int
    after: bool = True
    signal: Signals = SIGKILL


@dataclass
class Life:
    """What became of a process."""

    killed: bool
    last_step: str = "nothing"
    stopped: str = ""  # the step behind which it stood still
    told: Counter[str] = field(default_factory=Counter)  # sums of what it told, by kind
    latest: dict[str, Any] = field(default_factory=dict)


def live(
    work: Callable[..., None],
    *arguments: Any,
    until: Moment | Boundary | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> Life:
    """Run work(tell, *arguments) in a process of its own, and kill it at a moment; fail if it failed by itself.

    `meanwhile` is done while a process has stopped itself at a boundary; then it goes on.
    """
    boundary, moment = (until, None) if isinstance(until, Boundary) else (None, until)
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_begin, args=(work, sender, dict(os.environ), boundary, arguments))
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
            if moment and moment.seconds is not None and kind == moment.since:
                deadline = time.monotonic() + moment.seconds
            if kind == "step":
                life.last_step = value
                heard += moment is not None and value == moment.step
                if moment and heard == moment.count and not life.killed:
                    process.kill()
                    life.killed = True
            elif kind != "begins":
                life.latest[kind] = value
                life.told[kind] += value
            if kind == "stops":
                life.stopped = life.last_step
                _pass_over(process, meanwhile)
                deadline = time.monotonic() + _PATIENCE
        else:
            process.kill()
            life.killed = moment is not None and moment.seconds is not None
    with _REAPING:
        process.join()
    ended = process.exitcode
    process.close()
    expected = life.killed or (boundary is not None and boundary.signal is SIGKILL)
    assert ended == 0 or (ended == -SIGKILL and expected), f"a process ended with {ended}: see its output"
    life.killed = ended != 0  # it may have been done a moment before
    return life


def _pass_over(process: Any, meanwhile: Callable[[], None]) -> None:
    """Do what is done while the process stands still, and let it go on."""
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.001)
    try:
        meanwhile()
    finally:
        os.kill(process.pid, SIGCONT)


def _begin(
    work: Callable[..., None],
    sender: Any,
    environment: dict[str, str],
    boundary: Boundary | None,
    arguments: tuple[Any, ...],
) -> None:
    os.environ |= environment
    forget_aws()

    def tell(kind: str, value: Any) -> None:
        sender.send((kind, value))

    logger.setLevel("ERROR")
    begun, ended = itertools.count(), itertools.count()

    def step(name: str, numbers: Iterator[int], *, after: bool) -> None:
        tell("step", f"{name} {'ended' if after else 'begins'}")
        if boundary and boundary.after == after and next(numbers) == boundary.call:
            if boundary.signal is SIGSTOP:
                tell("stops", 1)
            os.kill(os.getpid(), boundary.signal)

    for client in (clients.s3(), clients.dynamodb(), clients.functions()):
        events = client.meta.events
        events.register_first("before-call.*.*", lambda model, **_: step(model.name, begun, after=False))
        events.register_first("after-call.*.*", lambda model, **_: step(model.name, ended, after=True))
    tell("begins", None)
    work(tell, *arguments)
