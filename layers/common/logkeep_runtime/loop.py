"""The loop of Lambda's Runtime API: take an invocation, call the handler, send its answer while it is made."""

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
_ERROR_TYPE: Final = "Lambda-Runtime-Function-Error-Type"
_ERROR_BODY: Final = "Lambda-Runtime-Function-Error-Body"
# Lambda sets them itself. It is only said that nothing follows: else clients were seen to wait for minutes after an
# empty stream (aws/aws-lambda-nodejs-runtime-interface-client#95).
_FRAMING: Final = {"content-length", "transfer-encoding"}
_TRACE_MAX: Final = 20  # calls in a reported stack trace: trailers must be small
_TEXT_MAX: Final = 1000  # characters of a reported message


@dataclass(frozen=True, slots=True)
class Context:
    """The context of an invocation, with the names of Lambda's own runtime."""

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


class ClientGone(Exception):
    """The other end of an answer has closed its connection."""


def main() -> NoReturn:
    """Serve invocations until the process ends; exit with 1 if the handler cannot be imported."""
    api = os.environ["AWS_LAMBDA_RUNTIME_API"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Each line is an event of the log, and the process may be frozen right after it.
            stream.reconfigure(line_buffering=True)
    try:
        # sam local sets the second name.
        handler = find(os.environ.get("_HANDLER") or os.environ["AWS_LAMBDA_FUNCTION_HANDLER"])
    except Exception as error:
        _log(error, "")
        _post(api, "/init/error", _report(error), {_ERROR_TYPE: "Runtime.ImportModuleError"})
        sys.exit(1)
    while True:
        serve(api, handler)


def find(name: str) -> Handler:
    """The handler named `package.module.function` or `package/module.function`."""
    module, _, function = name.rpartition(".")
    handler: Handler = getattr(importlib.import_module(module.replace("/", ".")), function)
    return handler


def serve(api: str, handler: Handler) -> None:
    """Take one invocation and answer it. A failure of the handler is its answer.

    Raises OSError or HTTPException if the Runtime API is gone or refuses.
    """
    with closing(http.client.HTTPConnection(api)) as connection:  # without a timeout: it may wait for hours
        connection.request("GET", f"{_API}/invocation/next")
        answer = connection.getresponse()
        headers, event = answer.headers, answer.read()
    if answer.status != HTTPStatus.OK:
        # Documented as not recoverable. Trying again could loop forever; a new process may succeed.
        raise http.client.HTTPException(f"the Runtime API answers {answer.status}")
    context = Context.of(headers)
    os.environ.pop("_X_AMZN_TRACE_ID", None)
    if trace := headers.get("Lambda-Runtime-Trace-Id"):
        os.environ["_X_AMZN_TRACE_ID"] = trace
    place = f"/invocation/{context.aws_request_id}"
    try:
        result = handler(json.loads(event), context)
        if not isinstance(result, Streamed):
            body = json.dumps(result)
        elif os.environ.get("AWS_SAM_LOCAL"):
            body = json.dumps(_collected(result))  # sam local takes JSON only
        else:
            _stream(api, place, result)
            return
    except Exception as error:
        _log(error, context.aws_request_id)
        _post(api, f"{place}/error", _report(error), {_ERROR_TYPE: "Unhandled"})
    else:
        _post(api, f"{place}/response", body.encode(), {})


def _stream(api: str, place: str, answer: Streamed) -> None:
    """Send an answer chunk by chunk. An error in the middle is sent in the trailers: the status is already out."""
    end = b"0\r\n\r\n"
    try:
        with closing(http.client.HTTPConnection(api)) as connection:  # which sets TCP_NODELAY
            connection.putrequest("POST", f"{_API}{place}/response")
            connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.putheader("Content-Type", "application/vnd.awslambda.http-integration-response")
            connection.putheader("Trailer", _ERROR_TYPE)
            connection.putheader("Trailer", _ERROR_BODY)
            connection.endheaders()
            _send(connection, _chunk(_prelude(answer)))
            try:
                for chunk in answer.chunks:
                    _send(connection, _chunk(chunk) if chunk else b"")
            except ClientGone:
                raise
            except Exception as error:
                body = base64.b64encode(_report(error)).decode()
                end = f"0\r\n{_ERROR_TYPE}: Unhandled\r\n{_ERROR_BODY}: {body}\r\n\r\n".encode()
            _send(connection, end)
            connection.getresponse().read()
    except (ClientGone, OSError, http.client.HTTPException):
        pass  # nothing more can be sent; the next invocation is served
    finally:
        _close(answer.chunks)


def _send(connection: http.client.HTTPConnection, data: bytes) -> None:
    """Raises ClientGone if the other end has closed. A write alone would fail only at the second try."""
    try:
        try:
            if connection.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"":
                raise ClientGone
        except BlockingIOError:
            pass
        connection.send(data)
    except OSError as error:
        raise ClientGone from error


def _prelude(answer: Streamed) -> bytes:
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in _FRAMING or value == "0"}
    return json.dumps({"statusCode": answer.status, "headers": headers}).encode() + _PRELUDE_END


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _collected(answer: Streamed) -> dict[str, Any]:
    body = base64.b64encode(b"".join(answer.chunks)).decode()
    return {"statusCode": answer.status, "headers": dict(answer.headers), "body": body, "isBase64Encoded": True}


def _close(chunks: Iterator[bytes]) -> None:
    close = getattr(chunks, "close", None)
    if close:
        close()


def _post(api: str, place: str, body: bytes, headers: Mapping[str, str]) -> None:
    with closing(http.client.HTTPConnection(api)) as connection:
        connection.request("POST", _API + place, body, {"Content-Type": "application/json", **headers})
        connection.getresponse().read()


def _report(error: Exception) -> bytes:
    trace = traceback.format_tb(error.__traceback__)[-_TRACE_MAX:]
    report = {"errorMessage": str(error)[:_TEXT_MAX], "errorType": type(error).__name__, "stackTrace": trace}
    return json.dumps(report).encode()


def _log(error: Exception, request_id: str) -> None:
    """Print one line of JSON, the format that LoggingConfig sets in template.yaml."""
    line = {"timestamp": datetime.now(UTC).isoformat(), "level": "ERROR", "requestId": request_id}
    print(json.dumps(line | json.loads(_report(error))))
