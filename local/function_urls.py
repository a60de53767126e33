"""The function URLs of the streaming functions. All are on one port, and the path selects the function.

A function runs in the same runtime as on AWS: one process per stream, each with a Runtime API of its own.
"""

import asyncio
import http.client
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

import uvicorn

from local import faults
from local.gateway import Answer, Receive, Scope, Send, event_of, read_body, send_answer
from local.guard import refusal, refuse
from local.runtime_api import Invocation, InvocationFailed, RuntimeApi
from local.sandbox import ANSWER_MAX, Child, Sandboxes
from local.template import Function, Route, Template
from logkeep_runtime import loop

STREAMS_AT_ONCE: Final = 64  # including those whose client has left, until they notice
_PRELUDE_END: Final = bytes(8)
_PRELUDE_MAX: Final = 16 * 1024  # bytes
_BODILESS: Final = {204, 304}
# What Lambda holds streams up to (docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html).
FREE: Final = 6_000_000  # bytes of any speed
RATE: Final = 2_000_000  # bytes per second after them

logger = logging.getLogger(__name__)


class _Runtime:
    """A process that runs one function, one stream at a time."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.api = RuntimeApi(function.name)
        self._child: Child | None = None

    @property
    def lives(self) -> bool:
        """Whether the process runs or is about to start."""
        return self._child is None or self._child.process.is_alive()

    async def start(self, sandboxes: Sandboxes) -> None:
        address = await self.api.start()
        self._child = sandboxes.start(_run, self.function, address)
        asyncio.get_running_loop().add_reader(self._child.process.sentinel, self._ended)

    def kill(self) -> None:
        if self._child:
            self._child.kill()

    def _ended(self) -> None:
        if self._child:
            asyncio.get_running_loop().remove_reader(self._child.process.sentinel)
        self.api.runtime_ended()
        self.api.stop()


class _Pace:
    """Holds a stream up to the speed that Lambda has."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._sent = 0
        self._since = 0.0  # when the free bytes were sent

    async def sent(self, size: int) -> None:
        """Wait until a client could have so many more bytes."""
        before, self._sent = self._sent, self._sent + size
        if not self._rate or self._sent <= FREE:
            return
        now = time.monotonic()
        if before <= FREE:
            self._since = now
        await asyncio.sleep(self._since + (self._sent - FREE) / self._rate - now)


class FunctionUrls:
    """Serves the streaming functions of a template, as an ASGI app."""

    def __init__(self, template: Template, sandboxes: Sandboxes, rate: float = RATE) -> None:
        """`rate` is the speed of streams in bytes per second after the first 6 MB; 0 for any."""
        self._rate = rate
        self._routes = template.streamed_routes
        self._functions = template.functions
        self._sandboxes = sandboxes
        self._runtimes: list[_Runtime] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"a function URL serves no {scope['type']}")
        if reason := refusal(scope):
            await refuse(send, reason)
            return
        started = time.monotonic()
        try:
            body = await read_body(receive)
        except ConnectionResetError:
            return
        path = scope["raw_path"].decode("ascii")
        route = next((each for each in self._routes if each.match(scope["method"], path) is not None), None)
        if route is None:
            await send_answer(send, Answer.refusal(404, "Not Found"))
            return
        if body is None or len(body) > ANSWER_MAX:
            await send_answer(send, Answer.refusal(413, "Request Entity Too Large"))
            return
        function = self._functions[route.function]
        runtime = await self._free(function)
        if runtime is None:
            await send_answer(send, Answer.refusal(429, "Rate Exceeded."))
            return
        sent = await _stream(runtime, event_for_url(scope, body), receive, send, _Pace(self._rate))
        shown = path + ("?" if scope["query_string"] else "") + scope["query_string"].decode("ascii", "replace")
        logger.info("%s %s streamed %d bytes, %.1f s", scope["method"], shown, sent, time.monotonic() - started)

    def kill(self) -> None:
        for runtime in self._runtimes:
            runtime.kill()

    async def _free(self, function: Function) -> _Runtime | None:
        """An idle runtime of the function, or a new one; None if there are too many."""
        self._runtimes = [each for each in self._runtimes if each.lives]
        for runtime in self._runtimes:
            if runtime.function is function and runtime.api.waits:
                return runtime
        if len(self._runtimes) >= STREAMS_AT_ONCE:
            idle = next((each for each in self._runtimes if each.api.waits), None)
            if idle is None:
                return None
            idle.kill()
            self._runtimes.remove(idle)
        runtime = _Runtime(function)
        self._runtimes.append(runtime)  # counted before it has started, because others may come meanwhile
        try:
            await runtime.start(self._sandboxes)
        except BaseException:
            self._runtimes.remove(runtime)
            raise
        return runtime


class Server:
    """An ASGI app on a socket, in a thread, for as long as the context lasts."""

    def __init__(self, app: FunctionUrls, listening: socket.socket) -> None:
        self._app = app
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            lifespan="off",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # what a client says in X-Forwarded-For is not its address
            timeout_graceful_shutdown=1,
        )
        # Do uvicorn's imports before there are two threads. If a signal interrupts an import that another thread is
        # waiting for, that thread waits for ever.
        config.load()
        config.get_loop_factory()
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), name="function URLs")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.should_exit = True
        self._app.kill()
        self._thread.join()
        self._app.kill()  # those that were started in the meantime


async def _stream(runtime: _Runtime, event: Mapping[str, Any], receive: Receive, send: Send, pace: _Pace) -> int:
    """Stream an answer to the client; return the bytes sent. If the function fails midway, the answer breaks off."""
    invocation = runtime.api.invoke(event, runtime.function.timeout)
    leaving = asyncio.create_task(_leave_with_client(receive, invocation))
    sent, started = 0, False
    try:
        async with asyncio.timeout(runtime.function.timeout):
            chunks = invocation.chunks()
            status, headers, rest = await _prelude(chunks)
            started = True
            await send({"type": "http.response.start", "status": status, "headers": headers})
            if status not in _BODILESS:
                await send({"type": "http.response.body", "body": rest, "more_body": True})
                sent += len(rest)
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    sent += len(chunk)
                    await pace.sent(len(chunk))
            await send({"type": "http.response.body", "body": b""})
    except TimeoutError:
        runtime.kill()
    except (InvocationFailed, ValueError) as error:
        if not invocation.left:
            logger.warning("%s failed: %s", runtime.function.name, error)
        if not started:
            await send_answer(send, Answer.refusal(502, "Internal Server Error"))
    finally:
        leaving.cancel()
    return sent


async def _leave_with_client(receive: Receive, invocation: Invocation) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    invocation.leave()


async def _prelude(chunks: AsyncIterator[bytes]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers, and the first bytes of the body. Raises ValueError if the answer has no prelude."""
    received = b""
    async for chunk in chunks:
        received += chunk
        head, found, rest = received.partition(_PRELUDE_END)
        if found:
            prelude = json.loads(head)
            headers = [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in prelude["headers"].items()
            ]
            return prelude["statusCode"], headers, rest
        if len(received) > _PRELUDE_MAX:
            break
    raise ValueError("no prelude")


def event_for_url(scope: Scope, body: bytes) -> dict[str, Any]:
    """The event that a function URL passes to its function: payload 2.0, the undecoded path, and no route."""
    event = event_of(scope, body, Route("", "", ""), {}, str(uuid.uuid4()))
    path = scope["raw_path"].decode("ascii")
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["requestContext"]["accountId"] = "anonymous"
    return event


def _run(environment: Mapping[str, str], function: Function, address: str) -> None:
    """Run the runtime until its Runtime API is gone. It is a thread of our parent, so it ends however that ends."""
    os.environ |= {
        **environment,
        "AWS_LAMBDA_RUNTIME_API": address,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "_HANDLER": f"functions.{function.folder}.{function.handler}",
    }
    if seed := os.environ.get("FAULTS"):
        faults.begin(seed)
        faults.calling.set(function.folder)
    with suppress(OSError, http.client.HTTPException):
        loop.main()
