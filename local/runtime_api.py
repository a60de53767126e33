"""Lambda's Runtime API for one runtime: gives it one invocation at a time and takes its answer chunk by chunk."""

import asyncio
import base64
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from local import ACCOUNT, REGION

_PATH: Final = "/2018-06-01/runtime/"
_HEAD_MAX: Final = 1 << 20  # bytes of a line
_AHEAD: Final = 4  # chunks by which the runtime may be ahead of the reader
_ERROR_BODY: Final = "lambda-runtime-function-error-body"

type Headers = dict[str, str]


class InvocationFailed(Exception):
    """The function failed, or its answer broke off; `error` is the runtime's JSON."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(f"{error.get('errorType')}: {error.get('errorMessage')}")
        self.error = error


class Invocation:
    """One call of the function, whose answer is read chunk by chunk as the runtime sends it."""

    def __init__(self, event: Mapping[str, Any], seconds: float) -> None:
        self.id = str(uuid.uuid4())
        self.event = json.dumps(event).encode()
        self.deadline_ms = int((time.time() + seconds) * 1000)
        self.headers: Headers = {}  # of the answer
        self._chunks: asyncio.Queue[bytes | InvocationFailed | None] = asyncio.Queue(_AHEAD)
        self._sender: asyncio.StreamWriter | None = None
        self.left = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks of the answer. Raises InvocationFailed after those that were sent before a failure."""
        while (each := await self._chunks.get()) is not None:
            if isinstance(each, InvocationFailed):
                raise each
            yield each

    def leave(self, reason: str = "its client has left") -> None:
        """Take no more chunks: the runtime's request breaks off, and chunks() raises InvocationFailed."""
        self.left = True
        if self._sender:
            self._sender.transport.abort()
        while not self._chunks.empty():
            self._chunks.get_nowait()
        self._chunks.put_nowait(InvocationFailed({"errorType": "Runtime.ExitError", "errorMessage": reason}))

    async def take(self, headers: Headers, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read the request in which the runtime sends the answer."""
        self.headers, self._sender = headers, writer
        if self.left:
            raise ConnectionAbortedError
        try:
            trailers = await self._body(headers, reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            await self.fail({"errorType": "Runtime.TruncatedResponse", "errorMessage": "the answer broke off"})
            raise
        if error := trailers.get(_ERROR_BODY):
            await self.fail(json.loads(base64.b64decode(error)))
        else:
            await self._put(None)

    async def fail(self, error: Mapping[str, Any]) -> None:
        """Let chunks() raise InvocationFailed with the runtime's JSON."""
        await self._put(InvocationFailed(error))

    async def _put(self, each: bytes | InvocationFailed | None) -> None:
        if not self.left:
            await self._chunks.put(each)

    async def _body(self, headers: Headers, reader: asyncio.StreamReader) -> Headers:
        if headers.get("transfer-encoding") != "chunked":
            await self._put(await reader.readexactly(int(headers["content-length"])))
            return {}
        while size := int(await reader.readline() or b"0", 16):
            chunk = await reader.readexactly(size + 2)
            await self._put(chunk[:-2])
        return await _headers(reader)


class RuntimeApi:
    """Listens on 127.0.0.1 for one runtime."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._next: asyncio.Queue[Invocation] = asyncio.Queue()
        self._current: Invocation | None = None
        self._server: asyncio.Server | None = None
        self.waits = False  # whether the runtime waits for an invocation
        self.init_error: dict[str, Any] | None = None

    async def start(self) -> str:
        """Start to listen. Returns the address."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_HEAD_MAX)
        return "127.0.0.1:{1}".format(*self._server.sockets[0].getsockname())

    def stop(self) -> None:
        if self._server:
            self._server.close()
            self._server.close_clients()

    def invoke(self, event: Mapping[str, Any], seconds: float) -> Invocation:
        self.waits = False
        self._current = Invocation(event, seconds)
        self._next.put_nowait(self._current)
        return self._current

    def runtime_ended(self) -> None:
        if self._current:
            self._current.leave("the runtime ended")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            method, path, _ = (await reader.readline()).decode().split(" ")
            headers = await _headers(reader)
            answer = await self._answer(f"{method} {path.removeprefix(_PATH)}", headers, reader, writer)
            writer.write(answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass  # the runtime was killed, or its client has left
        finally:
            writer.close()

    async def _answer(
        self, request: str, headers: Headers, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        if request == "GET invocation/next":
            self.waits = self._next.empty()
            return _next_of(await self._next.get(), self._function)
        current = self._current
        match request.split("/"):
            case ["POST init", "error"]:
                self.init_error = json.loads(await reader.readexactly(int(headers["content-length"])))
            case ["POST invocation", id_, "response"] if current and current.id == id_:
                await current.take(headers, reader, writer)
            case ["POST invocation", id_, "error"] if current and current.id == id_:
                await current.fail(json.loads(await reader.readexactly(int(headers["content-length"]))))
            case _:
                return _of("404 Not Found", {})
        return _of("202 Accepted", {})


def _next_of(invocation: Invocation, function: str) -> bytes:
    headers = {
        "Content-Type": "application/json",
        "Lambda-Runtime-Aws-Request-Id": invocation.id,
        "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
        "Lambda-Runtime-Invoked-Function-Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}",
        "Lambda-Runtime-Trace-Id": f"Root=1-{invocation.id};Sampled=0",
    }
    return _of("200 OK", headers, invocation.event)


def _of(status: str, headers: Headers, body: bytes = b"") -> bytes:
    sent = {**headers, "Content-Length": str(len(body)), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


async def _headers(reader: asyncio.StreamReader) -> Headers:
    """Header lines, or trailers; names in lower case, values of one name joined."""
    headers: Headers = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        before = [headers[name.lower()]] if name.lower() in headers else []
        headers[name.lower()] = ", ".join([*before, value.strip()])
    return headers
