"""An API Gateway HTTP API on its $default stage, as an ASGI app that calls functions with payload 2.0."""

import asyncio
import base64
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from local import ACCOUNT
from local.guard import refusal, refuse
from local.sandbox import ANSWER_MAX, FunctionFailed, FunctionTimedOut, Sandboxes
from local.template import Route, Template

type Scope = Mapping[str, Any]
type Receive = Callable[[], Awaitable[Mapping[str, Any]]]
type Send = Callable[[Mapping[str, Any]], Awaitable[None]]
type Event = dict[str, Any]

BODY_MAX: Final = 10 * 1024 * 1024
SECONDS_MAX: Final = 30.0
CALLS_AT_ONCE: Final = 16
_API_ID: Final = "local"
_TEXT_TYPES: Final = {"application/json", "application/javascript", "application/xml"}
_HOP_BY_HOP: Final = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-connection"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def refusal(cls, status: int, message: str) -> "Answer":
        """An answer of the gateway itself."""
        return cls(status, json.dumps({"message": message}).encode(), [("content-type", "application/json")])

    @classmethod
    def of(cls, returned: Any) -> "Answer":
        """What a function's return value means in payload 2.0. Raises ValueError if its body is not base64."""
        if not isinstance(returned, dict) or "statusCode" not in returned:
            return cls(200, json.dumps(returned).encode(), [("content-type", "application/json")])
        headers = [(str(name).lower(), str(value)) for name, value in (returned.get("headers") or {}).items()]
        headers += [("set-cookie", cookie) for cookie in returned.get("cookies") or []]
        body = returned.get("body") or ""
        is_binary = returned.get("isBase64Encoded", False)
        content = base64.b64decode(body, validate=True) if is_binary else str(body).encode()
        return cls(int(returned["statusCode"]), content, headers)


_TOO_LARGE: Final = Answer.refusal(413, "Request Entity Too Large")
_FAILED: Final = Answer.refusal(500, "Internal Server Error")
_TIMED_OUT: Final = Answer.refusal(503, "Service Unavailable")


class Gateway:
    """Serves the routes of a template by calling its functions."""

    def __init__(self, template: Template, sandboxes: Sandboxes) -> None:
        self._routes = template.routes
        self._functions = template.functions
        self._sandboxes = sandboxes
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE, "call")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"an HTTP API serves no {scope['type']}")
        if reason := refusal(scope):
            await refuse(send, reason)
            return
        started = time.monotonic()
        request_id = str(uuid.uuid4())
        try:
            body = await read_body(receive)
        except ConnectionResetError:
            return
        answer = _TOO_LARGE if body is None else await self._answer(scope, body, request_id)
        await send_answer(send, answer, (b"apigw-requestid", request_id.encode()))
        path = scope["raw_path"].decode("ascii", "replace") + ("?" if scope["query_string"] else "")
        shown = path + scope["query_string"].decode("ascii", "replace")
        logger.info("%s %s %d %.0f ms", scope["method"], shown, answer.status, (time.monotonic() - started) * 1000)

    async def _answer(self, scope: Scope, body: bytes, request_id: str) -> Answer:
        found = self._route(scope)
        if found is None:
            return Answer.refusal(404, "Not Found")
        route, parameters = found
        event = event_of(scope, body, route, parameters, request_id)
        if len(event.get("body", "")) > ANSWER_MAX:
            return _TOO_LARGE
        function = self._functions[route.function]
        seconds = min(SECONDS_MAX, function.timeout)
        call = asyncio.get_running_loop().run_in_executor(
            self._threads, self._sandboxes.invoke, function, event, request_id, seconds
        )
        try:
            return Answer.of(await call)
        except FunctionTimedOut:
            return _TIMED_OUT
        except (FunctionFailed, ValueError):
            return _FAILED

    def _route(self, scope: Scope) -> tuple[Route, dict[str, str]] | None:
        for route in self._routes:
            parameters = route.match(scope["method"], scope["raw_path"].decode("ascii"))
            if parameters is not None:
                return route, parameters
        return None


def event_of(scope: Scope, body: bytes, route: Route, parameters: Mapping[str, str], request_id: str) -> Event:
    """The event with which an HTTP API calls a function for a request."""
    headers, cookies = _headers_of(scope)
    path = unquote(scope["raw_path"].decode("ascii"))
    query = scope["query_string"].decode("ascii", "surrogateescape")
    client = (scope.get("client") or ("127.0.0.1", 0))[0]
    host = headers.get("host", "localhost")
    now = time.time()
    event: Event = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers
        | {"x-forwarded-for": client, "x-forwarded-proto": scope["scheme"], "x-forwarded-port": host.partition(":")[2]},
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": _API_ID,
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": scope["method"],
                "path": path,
                "protocol": f"HTTP/{scope['http_version']}",
                "sourceIp": client,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request_id,
            "routeKey": route.key,
            "stage": "$default",
            "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": bool(body) and not _is_text(headers.get("content-type", "")),
    }
    # Empty fields are left out.
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = _joined(parse_qsl(query, keep_blank_values=True))
    if parameters:
        event["pathParameters"] = dict(parameters)
    if body:
        is_binary = event["isBase64Encoded"]
        event["body"] = base64.b64encode(body).decode() if is_binary else body.decode(errors="replace")
    return event


def _headers_of(scope: Scope) -> tuple[dict[str, str], list[str]]:
    """The headers, with names in lower case and repeated ones joined, and the cookies."""
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    headers = _joined([(name, value) for name, value in pairs if name != "cookie" and name not in _HOP_BY_HOP])
    return headers, [each.strip() for name, value in pairs if name == "cookie" for each in value.split(";")]


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The values of each name, joined by commas."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _is_text(content_type: str) -> bool:
    """Whether a body is passed as a string. All others are passed in base64."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind in _TEXT_TYPES


async def read_body(receive: Receive) -> bytes | None:
    """The body, or None if it is larger than BODY_MAX.

    It is read to its end in any case, so that the client gets an answer. Raises ConnectionResetError if the client
    leaves earlier.
    """
    body = bytearray()
    too_large = False
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        body += message.get("body", b"")
        if len(body) > BODY_MAX:
            too_large = True
            body.clear()
        if not message.get("more_body", False):
            return None if too_large else bytes(body)


async def send_answer(send: Send, answer: Answer, *added: tuple[bytes, bytes]) -> None:
    """Send an answer with some headers added."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    if not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": [*headers, *added]})
    await send({"type": "http.response.body", "body": answer.body})
