"""Asynchronous invocations of the local service, as Lambda has them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.__main__ import listen
from local.emulator import Emulator, values_of
from local.invocations import CONCURRENCY, HOPS_MAX, Invocations
from local.sandbox import FunctionFailed, FunctionTimedOut
from local.template import Template
from tests.local.service import eventually

pytestmark = pytest.mark.usefixtures("aws")
ORDER = {"kind": "run", "project": "p", "cluster": "c"}


class Functions:
    """Notes calls; each fails until there were enough."""

    def __init__(self, *failures: FunctionFailed, gate: threading.Event | None = None) -> None:
        self.calls: list[tuple[str, Any, str]] = []
        self.traces: list[str] = []
        self.running = self.most = 0
        self._failures = list(failures)
        self._gate = gate
        self._lock = threading.Lock()

    def invoke(self, function: Any, event: Any, request_id: str, seconds: float, trace: str = "") -> None:
        with self._lock:
            self.calls.append((function.name, event, request_id))
            self.traces.append(trace)
            self.running += 1
            self.most = max(self.most, self.running)
        if self._gate:
            self._gate.wait(20)
        with self._lock:
            self.running -= 1
            if self._failures:
                raise self._failures.pop(0)


@contextmanager
def serving(emulator: Emulator, functions: Functions, **changes: Any) -> Iterator[Any]:
    """A client of Lambda; the worker of backups has other settings of failures, if there are changes."""
    template = Template.load()
    worker = template.functions["RunBackup"]
    template.functions["RunBackup"] = replace(worker, failures=replace(worker.failures, **changes))
    with listen(0) as listening:
        invocations = Invocations(template, functions, emulator, listening, (0.01, 0.02))  # type: ignore[arg-type]  # a fake
        with invocations:
            yield boto3.client("lambda", endpoint_url="http://{}:{}".format(*listening.getsockname()))


def invoke(client: Any, order: Any = ORDER, name: str = "RunBackup") -> None:
    answer = client.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(order))
    assert answer["StatusCode"] == 202


def letters(emulator: Emulator) -> list[Any]:
    sqs, url = emulator.client("sqs"), values_of(Template.load(), emulator.endpoint)["DeadLetters"]
    return [json.loads(each["Body"]) for each in sqs.receive_message(QueueUrl=url).get("Messages", [])]


def buried(emulator: Emulator) -> list[Any]:
    """The letters, once there are some."""
    found: list[Any] = []

    def look() -> bool:
        found.extend(letters(emulator))
        return bool(found)

    assert eventually(look)
    return found


def test_an_order_is_handed_over_once_by_name_or_by_arn(emulator) -> None:
    functions = Functions()
    with serving(emulator, functions) as client:
        invoke(client)
        invoke(client, name="arn:aws:lambda:us-east-1:123456789012:function:RunRestore")
        assert eventually(lambda: len(functions.calls) == 2)
    assert {(name, event["kind"]) for name, event, _ in functions.calls} == {
        ("RunBackup", "run"),
        ("RunRestore", "run"),
    }


def test_one_that_fails_is_repeated_with_its_id_and_then_done(emulator) -> None:
    functions = Functions(FunctionFailed("Busy", "no step"), FunctionTimedOut(900))
    with serving(emulator, functions) as client:
        invoke(client)
        assert eventually(lambda: len(functions.calls) == 3)
    assert len({call[2] for call in functions.calls}) == 1
    assert letters(emulator) == []


def test_one_that_no_attempt_carries_out_is_among_the_dead_letters_with_the_reason(emulator) -> None:
    functions = Functions(*[FunctionFailed("ValidationError", "paint is no order")] * 3)
    with serving(emulator, functions) as client:
        invoke(client, {"kind": "paint"})
        (letter,) = buried(emulator)
    assert letter["requestPayload"] == {"kind": "paint"}
    assert letter["responsePayload"] == {"errorType": "ValidationError", "errorMessage": "paint is no order"}
    context = letter["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("RetriesExhausted", 3)
    assert context["requestId"] == functions.calls[0][2]
    assert context["functionArn"].endswith(":function:RunBackup:$LATEST")


def test_one_that_waited_too_long_is_not_tried_any_more(emulator) -> None:
    functions = Functions()
    with serving(emulator, functions, age=-1) as client:
        invoke(client)
        (letter,) = buried(emulator)
    assert (letter["requestContext"]["condition"], functions.calls) == ("EventAgeExceeded", [])


def test_no_more_run_at_once_than_a_new_account_may(emulator) -> None:
    gate = threading.Event()
    functions = Functions(gate=gate)
    with serving(emulator, functions) as client:
        for _ in range(2 * CONCURRENCY):
            invoke(client)
        assert eventually(lambda: functions.running == CONCURRENCY)
        gate.set()
        assert eventually(lambda: len(functions.calls) == 2 * CONCURRENCY)
    assert functions.most == CONCURRENCY


@pytest.mark.parametrize(("name", "calls"), [("RunBackup", HOPS_MAX + 2), ("ScheduleBackups", HOPS_MAX)])
def test_a_function_that_calls_itself_is_stopped_unless_it_may(emulator, monkeypatch, name, calls) -> None:
    """The layer's client passes on what Lambda tells a function of the chain that it is in."""
    functions = Functions()
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", name)
    with serving(emulator, functions) as client:
        for number in range(HOPS_MAX + 2):
            monkeypatch.setenv("_X_AMZN_TRACE_ID", functions.traces[-1] if functions.traces else "")
            invoke(client, name=name)
            eventually(lambda number=number: len(functions.calls) > number, 2 if number < calls else 0.1)
    assert len(functions.calls) == calls


def test_what_lambda_would_refuse_is_refused(emulator) -> None:
    with serving(emulator, Functions()) as client:
        for arguments, code in (
            ({"FunctionName": "Nobody", "InvocationType": "Event"}, "ResourceNotFoundException"),
            ({"FunctionName": "RunBackup", "InvocationType": "Event", "Payload": "{"},
             "InvalidRequestContentException"),
            ({"FunctionName": "RunBackup", "InvocationType": "Event", "Payload": "1" * (1 << 20) + "1"},
             "RequestTooLargeException"),
        ):  # fmt: skip
            with pytest.raises(ClientError) as refused:
                client.invoke(**arguments)
            assert refused.value.response["Error"]["Code"] == code
