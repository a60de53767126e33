"""Faults put between the steps of a write, and counts of the requests that reach AWS."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from local.faults import Faults, cut_off, refusal
from logkeep.aws import clients
from tests.examples import LONG

# Whether it dies after a call took effect or before it begins. Nothing is written between two calls, so that to die
# before one is to die after the one before it: each place is there once in the suite, and twice in `make soak`.
SIDES: Final = pytest.mark.parametrize(
    "after", [False, True] if LONG else [True], ids=lambda after: "after" if after else "before"
)
# A loop in which each worker dies a call later than the one before stops at every third call in the suite.
STEP: Final = 1 if LONG else 3
of_all: Faults | None = None  # what --faults puts everywhere


class Killed(BaseException):
    """The function ends here, as if its process had been killed: nothing that catches Exception sees it."""


@contextmanager
def killed(client: Any, operation: str, *, after: bool, passing: int = 0) -> Iterator[None]:
    """Die at the first call of a boto3 operation that is not passed, before it reaches AWS or after it took effect."""
    name = f"{'after-call' if after else 'before-call'}.{client.meta.service_model.service_name}.{operation}"
    left = [passing]

    def die(**_: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed(name)

    client.meta.events.register_first(name, die)
    try:
        yield
    finally:
        client.meta.events.unregister(name, die)


@contextmanager
def answering(client: Any, operation: str, code: str, *, times: int) -> Iterator[None]:
    """Let AWS refuse so many calls of a boto3 operation with an error, before they have an effect."""
    name, left = f"before-call.{client.meta.service_model.service_name}.{operation}", [times]

    def refuse(**_: Any) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise ClientError({"Error": {"Code": code, "Message": "as the test has it"}}, operation)

    client.meta.events.register_first(name, refuse)
    try:
        yield
    finally:
        client.meta.events.unregister(name, refuse)


@contextmanager
def lost(client: Any, operation: str, *, first: str = "", repeated: str = "") -> Iterator[list[str]]:
    """Lose the answer to a request that had its effect: botocore sends it again.

    With `first` it has no effect, and is answered 200 with that error in the body; with `repeated` AWS refuses the
    second try with that code. Yields the answers as they come.
    """
    name = f"before-send.{client.meta.service_model.service_name}.{operation}"
    service, answers = client.meta.service_model.service_name, list[str]()

    def lose(request: Any, **_: Any) -> Any:
        if not answers:
            answers.append(first or "lost")
            if first:
                return refusal(200, service, first, request.url)
            client._endpoint.http_session.send(request)
            raise ConnectionClosedError(endpoint_url=request.url)
        answers.append(repeated or "true")
        if len(answers) == 2 and repeated:
            return refusal(500 if repeated == "InternalError" else 404, service, repeated, request.url)
        return None

    client.meta.events.register(name, lose)
    try:
        yield answers
    finally:
        client.meta.events.unregister(name, lose)


@contextmanager
def cut(client: Any, *, times: int) -> Iterator[list[Any]]:
    """Cut off the bodies of so many objects that are read. Yields all answers as they come."""
    answers: list[Any] = []

    def halve(request: Any, **_: Any) -> Any:
        answer = client._endpoint.http_session.send(request)
        answers.append(cut_off(answer) if len(answers) < times else answer)
        return answers[-1]

    client.meta.events.register("before-send.s3.GetObject", halve)
    try:
        yield answers
    finally:
        client.meta.events.unregister("before-send.s3.GetObject", halve)


@contextmanager
def killed_at(number: int, *, after: bool) -> Iterator[None]:
    """Die at that call of S3, DynamoDB or SNS, counted from 0, before it reaches AWS or after it took effect there."""
    name, left = f"{'after-call' if after else 'before-call'}.*.*", [number]

    def die(**_: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed(name)

    used = (clients.s3(), clients.dynamodb(), clients.sns())
    for client in used:
        client.meta.events.register_first(name, die)
    try:
        yield
    finally:
        for client in used:
            client.meta.events.unregister(name, die)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Requests to AWS by operation. None of them meets a fault of --faults, which would add to them."""
    counts: Counter[str] = Counter()
    paused = of_all if of_all and of_all.on else None

    def count(model: Any, **_: Any) -> None:
        counts[model.name] += 1

    used = (clients.s3(), clients.dynamodb(), clients.kms(), clients.secretsmanager())
    for client in used:
        client.meta.events.register("before-call.*.*", count)
    if paused:
        paused.on = False
    try:
        yield counts
    finally:
        if paused:
            paused.on = True
        for client in used:
            client.meta.events.unregister("before-call.*.*", count)


def at_once[T](*work: Callable[[], T]) -> list[T]:
    """Run all in threads that start together; their results in order."""
    barrier = threading.Barrier(len(work))

    def run(each: Callable[[], T]) -> T:
        barrier.wait()
        return each()

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(run, work))
