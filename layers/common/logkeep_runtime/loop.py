"""Lambda's Runtime API: take an invocation, call the handler, send its answer as it is made, take the next."""

import base64
import http.client
import importlib
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from io import TextIOWrapper
from typing import Any, Final, NoReturn

from logkeep_runtime import Streamed

type Handler = Callable[[Any, "Context"], Any]

_API: Final = "/2018-06-01/runtime"
_PRELUDE_END: Final = bytes(8)
_TYPE, _BODY = "Lambda-Runtime-Function-Error-Type", "Lambda-Runtime-Function-Error-Body"
_FRAMING: Final = {"content-length", "transfer-encoding"}  # Lambda's business
_TRACE_MAX: Final = 20  # calls, of which an error tells: trailers are small
_TEXT_MAX: Final = 1000  # characters


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler is told of its invocation, named as in Lambda's own runtime."""

    aws_request_id: str
    invoked_function_arn: str
    deadline_ms: int  # since the epoch
    function_name: str
    function_version: str
    memory_limit_in_mb: int
    log_group_name: str
    log_stream_name: str
    client_context: None = None
    identity: None = None

    @classmethod
    def of(cls, headers: http.client.HTTPMessage) -> "Context":
        get = os.environ.get
        return cls(
            aws_request_id=headers["Lambda-Runtime-Aws-Request-Id"],
            invoked_function_arn=headers.get("Lambda-Runtime-Invoked-Function-Arn", ""),
            deadline_ms=int(headers.get("Lambda-Runtime-Deadline-Ms", "0")),
            function_name=get("AWS_LAMBDA_FUNCTION_NAME", ""),
            function_version=get("AWS_LAMBDA_FUNCTION_VERSION", ""),
            memory_limit_in_mb=int(get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0")),
            log_group_name=get("AWS_LAMBDA_LOG_GROUP_NAME", ""),
            log_stream_name=get("AWS_LAMBDA_LOG_STREAM_NAME", ""),
        )

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self.deadline_ms - int(time.time() * 1000))


class NobodyTakesIt(Exception):
    """The other end of an answer is gone."""


def main() -> NoReturn:
    """Serve invocations for as long as there is a Runtime API."""
    api = os.environ["AWS_LAMBDA_RUNTIME_API"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(
                line_buffering=True
            )  # a line is an event of the log; the process may be frozen behind it
    try:
        # In sam local the emulator tells the handler under the other name.
        handler = find(os.environ.get("_HANDLER") or os.environ["AWS_LAMBDA_FUNCTION_HANDLER"])
    except Exception as error:
        _log(error, "")
        _post(api, "/init/error", _told(error), {_TYPE: "Runtime.ImportModuleError"})
        sys.exit(1)
    while True:
        serve(api, handler)


def find(name: str) -> Handler:
    """`package.module.function`, or with slashes for the packages."""
    module, _, function = name.rpartition(".")
    handler: Handler = getattr(importlib.import_module(module.replace("/", ".")), function)
    return handler


def serve(api: str, handler: Handler) -> None:
    """Take one invocation and answer it, whatever becomes of it.

    Raise OSError or HTTPException where there is no Runtime API, or none that goes on.
    """
    with closing(http.client.HTTPConnection(api)) as connection:  # it may wait for hours
        connection.request("GET", f"{_API}/invocation/next")
        answer = connection.getresponse()
        headers, event = answer.headers, answer.read()
    if answer.status != HTTPStatus.OK:
        # It is documented as final: another try would turn in circles, while a new process may do better.
        raise http.client.HTTPException(f"the Runtime API answers {answer.status}")
    context = Context.of(headers)
    os.environ.pop("_X_AMZN_TRACE_ID", None)
    if trace := headers.get("Lambda-Runtime-Trace-Id"):
        os.environ["_X_AMZN_TRACE_ID"] = trace
    place = f"/invocation/{context.aws_request_id}"
    try:
        made = handler(json.loads(event), context)
        if not isinstance(made, Streamed):
            body = json.dumps(made)
        elif os.environ.get("AWS_SAM_LOCAL"):
            body = json.dumps(_collected(made))  # sam local shows JSON and nothing else
        else:
            _stream(api, place, made)
            return
    except Exception as error:
        _log(error, context.aws_request_id)
        _post(api, f"{place}/error", _told(error), {_TYPE: "Unhandled"})
    else:
        _post(api, f"{place}/response", body.encode(), {})


def _stream(api: str, place: str, made: Streamed) -> None:
    """Send what is made; an error in the middle goes out in the trailers, since the status is gone by then."""
    end = b"0\r\n\r\n"
    try:
        with closing(http.client.HTTPConnection(api)) as connection:  # which sets TCP_NODELAY
            connection.putrequest("POST", f"{_API}{place}/response")
            connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.putheader("Content-Type", "application/vnd.awslambda.http-integration-response")
            connection.putheader("Trailer", _TYPE)
            connection.putheader("Trailer", _BODY)
            connection.endheaders()
            _send(connection, _chunk(_prelude(made)))
            try:
                for chunk in made.chunks:
                    _send(connection, _chunk(chunk) if chunk else b"")
            except NobodyTakesIt:
                raise
            except Exception as error:
                body = base64.b64encode(_told(error)).decode()
                end = f"0\r\n{_TYPE}: Unhandled\r\n{_BODY}: {body}\r\n\r\n".encode()
            _send(connection, end)
            connection.getresponse().read()
    except (NobodyTakesIt, OSError, http.client.HTTPException):
        pass  # whoever invoked has what was sent; the next one is served
    finally:
        _release(made.chunks)


def _send(connection: http.client.HTTPConnection, data: bytes) -> None:
    """Raise NobodyTakesIt where the other end has closed, which no write tells before the second."""
    try:
        try:
            if connection.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"":
                raise NobodyTakesIt
        except BlockingIOError:
            pass
        connection.send(data)
    except OSError as error:
        raise NobodyTakesIt from error


def _prelude(made: Streamed) -> bytes:
    headers = {name: value for name, value in made.headers.items() if name.lower() not in _FRAMING}
    return json.dumps({"statusCode": made.status, "headers": headers}).encode() + _PRELUDE_END


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _collected(made: Streamed) -> dict[str, Any]:
    body = base64.b64encode(b"".join(made.chunks)).decode()
    return {"statusCode": made.status, "headers": dict(made.headers), "body": body, "isBase64Encoded": True}


def _release(chunks: Iterator[bytes]) -> None:
    close = getattr(chunks, "close", None)
    if close:
        close()


def _post(api: str, place: str, body: bytes, headers: Mapping[str, str]) -> None:
    with closing(http.client.HTTPConnection(api)) as connection:
        connection.request("POST", _API + place, body, {"Content-Type": "application/json", **headers})
        connection.getresponse().read()


def _told(error: Exception) -> bytes:
    trace = traceback.format_tb(error.__traceback__)[-_TRACE_MAX:]
    told = {"errorMessage": str(error)[:_TEXT_MAX], "errorType": type(error).__name__, "stackTrace": trace}
    return json.dumps(told).encode()


def _log(error: Exception, request_id: str) -> None:
    """One line of JSON, as LoggingConfig has it."""
    line = {"timestamp": datetime.now(UTC).isoformat(), "level": "ERROR", "requestId": request_id}
    print(json.dumps(line | json.loads(_told(error))))
