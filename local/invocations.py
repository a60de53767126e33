"""Asynchronous invocations, as Lambda's Invoke API takes them: kept, repeated after errors, or given up.

They are kept in memory. Whatever ends the service loses them, and the schedule of the service orders again.
"""

import heapq
import itertools
import json
import logging
import re
import socket
import threading
import time
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Protocol, Self
from urllib.parse import unquote

from botocore.exceptions import BotoCoreError, ClientError

from local import ACCOUNT, REGION
from local.emulator import Emulator, values_of
from local.sandbox import FunctionFailed, Sandboxes
from local.template import Function, Template

CONCURRENCY: Final = 10  # invocations at the same time, as a new account has; more of them wait
PAUSES: Final = (60.0, 120.0)  # seconds before the second and the third attempt
HOPS_MAX: Final = 16  # invocations of a function in one chain, unless it allows loops
PAYLOAD_MAX: Final = 1 << 20  # bytes

_INVOKE: Final = re.compile(r"/2015-03-31/functions/(?P<name>[^/]+)/invocations(\?.*)?")
_LINEAGE: Final = re.compile(r"1:([0-9a-f]{8}):(\d+)")

logger = logging.getLogger(__name__)


@dataclass(order=True)
class _Event:
    """An event that waits for its next attempt."""

    at: float  # of time.monotonic()
    number: int
    function: Function = field(compare=False)
    payload: Any = field(compare=False)
    trace: str = field(compare=False)
    id: str = field(compare=False, default_factory=lambda: str(uuid.uuid4()))
    since: float = field(compare=False, default_factory=time.monotonic)
    attempts: int = field(compare=False, default=0)


class Invocations:
    """Serves Invoke on a socket, and calls the functions, for as long as the context lasts."""

    def __init__(
        self,
        template: Template,
        sandboxes: Sandboxes,
        emulator: Emulator,
        listening: socket.socket,
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        self._functions = template.functions
        self._sandboxes = sandboxes
        self._emulator = emulator
        self._values = values_of(template, emulator.endpoint)
        self._pauses = pauses
        self._waiting: list[_Event] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._ended = False
        self._server = InvokeServer(listening, self)
        serving = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="invocations")
        self._threads = [serving, *(threading.Thread(target=self._work) for _ in range(CONCURRENCY))]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join()

    def find(self, name: str) -> Function | None:
        """The function of a name or ARN."""
        return self._functions.get(name.rpartition(":function:")[2].partition(":")[0])

    def take(self, function: Function, payload: Any, trace: str = "") -> str:
        """Keep an event for a function, and return the id of the request. `trace` is the caller's header."""
        hops = {name: int(count) for name, count in _LINEAGE.findall(trace.partition("Lineage=")[2])}
        own = f"{zlib.crc32(function.name.encode()):08x}"
        hops[own] = hops.get(own, 0) + 1
        lineage = "|".join(f"1:{name}:{count}" for name, count in hops.items())
        traced = f"Root=1-{uuid.uuid4()};Sampled=0;Lineage={lineage}"
        event = _Event(time.monotonic(), next(self._numbers), function, payload, traced)
        if hops[own] > HOPS_MAX and not function.may_loop:
            logger.warning("%s was stopped: it calls itself for the %dth time", function.name, hops[own])
            self._bury(event, "RecursiveInvocation")
        else:
            self._keep(event)
        return event.id

    def _keep(self, event: _Event) -> None:
        with self._changed:
            heapq.heappush(self._waiting, event)
            self._changed.notify()

    def _next(self) -> _Event | None:
        """The next event when it is time; None if the service ends."""
        with self._changed:
            while not self._ended:
                pause = self._waiting[0].at - time.monotonic() if self._waiting else None
                if pause is not None and pause <= 0:
                    return heapq.heappop(self._waiting)
                self._changed.wait(pause)
            return None

    def _work(self) -> None:
        while event := self._next():
            self._attempt(event)

    def _attempt(self, event: _Event) -> None:
        function, started = event.function, time.monotonic()
        if started - event.since > function.failures.age:
            self._bury(event, "EventAgeExceeded")
            return
        event.attempts += 1
        try:
            self._sandboxes.invoke(function, event.payload, event.id, function.timeout, event.trace)
        except FunctionFailed as error:
            logger.warning("%s failed at an order: %s", function.name, error)
            if event.attempts > function.failures.retries:
                self._bury(event, "RetriesExhausted", error.answer)
            elif not self._ended:
                event.at = time.monotonic() + self._pauses[event.attempts - 1]
                self._keep(event)
            return
        logger.info("order %s %.0f ms", function.name, (time.monotonic() - started) * 1000)

    def _bury(self, event: _Event, condition: str, answer: Mapping[str, Any] | None = None) -> None:
        """Put an event among the dead letters of its function, in the form in which Lambda does."""
        if self._ended or event.function.failures.dead_letters is None:
            return
        letter = {
            "version": "1.0",
            "timestamp": f"{datetime.now(UTC).isoformat(timespec='milliseconds')[:23]}Z",
            "requestContext": {
                "requestId": event.id,
                "functionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{event.function.name}:$LATEST",
                "condition": condition,
                "approximateInvokeCount": event.attempts,
            },
            "requestPayload": event.payload,
        }
        if answer is not None:
            context = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
            letter |= {"responseContext": context, "responsePayload": answer}
        queue = self._values[event.function.failures.dead_letters]
        try:
            self._emulator.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(letter))
        except (BotoCoreError, ClientError) as error:
            logger.warning("a dead letter of %s is lost: %s", event.function.name, error)
        else:
            logger.warning("an order of %s is among the dead letters (%s)", event.function.name, condition)


class Taker(Protocol):
    def find(self, name: str) -> Function | None: ...

    def take(self, function: Function, payload: Any, trace: str) -> str: ...


class InvokeServer(ThreadingHTTPServer):
    """Lambda's Invoke API on a socket; what it is asked for goes to `taker`."""

    daemon_threads = True
    block_on_close = False  # clients keep their connections

    def __init__(self, listening: socket.socket, taker: Taker) -> None:
        super().__init__(listening.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.taker = taker


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: InvokeServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        found = _INVOKE.fullmatch(self.path)
        function = found and self.server.taker.find(unquote(found["name"]))
        if not function:
            self._refuse(HTTPStatus.NOT_FOUND, "ResourceNotFoundException", "Function not found")
        elif self.headers.get("X-Amz-Invocation-Type") != "Event":
            self._refuse(HTTPStatus.BAD_REQUEST, "InvalidParameterValueException", "only Event is served here")
        elif len(body) > PAYLOAD_MAX:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestTooLargeException", "the payload is too large")
        else:
            try:
                payload = json.loads(body or b"{}")
            except ValueError:
                self._refuse(HTTPStatus.BAD_REQUEST, "InvalidRequestContentException", "the payload is not JSON")
                return
            id = self.server.taker.take(function, payload, self.headers.get("X-Amzn-Trace-Id", ""))
            self._answer(HTTPStatus.ACCEPTED, b"", {"x-amzn-RequestId": id})

    def _refuse(self, status: HTTPStatus, kind: str, message: str) -> None:
        body = json.dumps({"Type": "User", "Message": message}).encode()
        self._answer(status, body, {"x-amzn-ErrorType": kind, "Content-Type": "application/json"})

    def _answer(self, status: HTTPStatus, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass
