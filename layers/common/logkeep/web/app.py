"""What every HTTP function would otherwise repeat: proof of identity, parsing, error bodies, the request id."""

import gzip
import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import unquote, unquote_plus

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from logkeep.errors import (
    Busy,
    Invalid,
    LogkeepError,
    OffsetBeyondEnd,
    RouteNotFound,
    TooLarge,
    UnsupportedBody,
)
from logkeep.identity.credentials import NEEDED, Access, Caller, Kind
from logkeep.identity.http import body_of, caller_of
from logkeep.identity.limiter_store import project_limiter
from logkeep.limits import ANSWER_MAX, JSON_BODY_MAX, STREAM_MAX
from logkeep.logid import SEGMENT_RULE, LogId, is_segment
from logkeep.settings import settings
from logkeep.web.audit import Outcome
from logkeep.web.delivery import Ask
from logkeep.web.error_bodies import Service, status_of

type Answer = Response[Any]
type ErrorAnswer = Callable[[LogkeepError], Answer]

_COMPRESSED_FROM: Final = 1 << 20
_BUFFERED_SECONDS: Final = 25  # an HTTP API gives up at 30
_HEARTBEATS_MAX: Final = 1000  # bytes

logger = Logger()


class App(APIGatewayHttpResolver):
    """A resolver of one function: proves the caller, and answers every error in its service's shape."""

    def __init__(
        self,
        service: Service,
        function: str,
        *,
        token: Kind = Kind.TOKEN,
        takes_files: bool = False,
        error_answer: ErrorAnswer | None = None,
    ) -> None:
        super().__init__(serializer=_serialize)
        self.service = service
        self.function = function
        self.outcome = Outcome.start()
        self.streams = False  # whether the answer goes out as it is made; else it is collected into one
        self._needed = NEEDED[function]
        self._token = token
        self._takes_files = takes_files
        self._error_answer = error_answer or self._answer_error
        if self._needed is not Access.EVERYONE:
            self.use([self._authenticate])
        self.exception_handler(LogkeepError)(self._answer_refusal)
        self.exception_handler(Exception)(self._answer_failure)
        self.exception_handler(NotFoundError)(lambda _: self._answer_refusal(RouteNotFound("")))

    @property
    def raw(self) -> dict[str, Any]:
        """The event as API Gateway sent it (payload 2.0)."""
        return self.current_event.raw_event

    @property
    def headers(self) -> Mapping[str, str]:
        """Header names in lower case."""
        return cast(Mapping[str, str], self.raw.get("headers") or {})

    def header(self, name: str, limit: int) -> str:
        """A header that may be absent; raise Invalid if it is longer than limit."""
        value = self.headers.get(name, "")
        if len(value) > limit:
            raise Invalid(name, f"longer than {limit} characters")
        return value

    @property
    def caller(self) -> Caller:
        """Who was proved before the handler was called."""
        return cast(Caller, self.outcome.caller)

    @property
    def ask(self) -> Ask:
        get = self.headers.get
        return Ask.of(get("accept", "*/*"), get("accept-encoding", ""), get("authorization", ""))

    @property
    def seconds(self) -> float:
        """How long the body of an answer may take; one that is collected must be there before the gateway gives up."""
        if self.streams:
            return settings().follow_seconds
        return _BUFFERED_SECONDS - (time.monotonic() - self.outcome.started)

    @property
    def room(self) -> int:
        """How many bytes the body of an answer may have."""
        return (STREAM_MAX if self.streams else ANSWER_MAX) - _HEARTBEATS_MAX

    @property
    def base_url(self) -> str:
        """Where the client reached this service: scheme and host."""
        return f"{self.headers.get('x-forwarded-proto', 'https')}://{self.headers.get('host', '')}"

    def query[M: BaseModel](self, model: type[M], **path: str) -> M:
        """The query string and values of the path as a model; raise Invalid with the first name that does not fit."""
        values = {}
        for name, found in self.query_values().items():
            if name in model.model_fields and len(found) > 1:
                raise Invalid(name, "given more than once")
            values[name] = found[0]
        return _validated(lambda: model.model_validate(values | path))

    def query_values(self) -> dict[str, list[str]]:
        """Every value of every name: HTTP APIs hand parsed ones over joined by commas, so the raw string is read.

        A plus is a blank, as forms have it, but not where it was signed as a plus.
        """
        decode = unquote if self.ask.is_signed else unquote_plus
        values: dict[str, list[str]] = {}
        for pair in str(self.raw.get("rawQueryString") or "").split("&"):
            name, _, value = pair.partition("=")
            if pair:
                values.setdefault(decode(name), []).append(decode(value))
        return values

    def body(self, limit: int, *, exact: bool = False) -> bytes:
        """The body, at most `limit` bytes; raise UnsupportedBody where it is not what the client sent.

        If it must be exact, not knowing is refused too.
        """
        data = body_of(self.raw)
        if not self.raw.get("isBase64Encoded"):
            # An HTTP API hands text over as a string, with U+FFFD for what is no UTF-8, which may keep the length.
            length = self.headers.get("content-length")
            replaced = exact and "\N{REPLACEMENT CHARACTER}".encode() in data
            if replaced or (length != str(len(data)) and (length is not None or (exact and data))):
                raise UnsupportedBody("not UTF-8, or of unknown length; send it as application/octet-stream")
        if len(data) > limit:
            raise TooLarge(f"the body is larger than {limit} bytes")
        return data

    def json_body[M: BaseModel](self, model: type[M], limit: int = JSON_BODY_MAX, *, optional: bool = False) -> M:
        """The body as a model, which may have none where it is optional."""
        data = self.body(limit) or (b"{}" if optional else b"")
        return _validated(lambda: model.model_validate_json(data))

    def log_id(self) -> LogId:
        """The id in /v1/{project_id}/logs/{log_id}: the one place where it is taken from a path."""
        return LogId.parse("".join(str(self.raw["rawPath"]).split("/", 4)[4:]))

    def segment(self, name: str, value: str) -> str:
        """A value out of the path that is used in keys; raise Invalid if it has other characters than those of ids."""
        if not is_segment(value):
            raise Invalid(name, SEGMENT_RULE)
        return value

    def answer_json(self, body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        """JSON, compressed when it is large and the client takes that; raise TooLarge beyond what an answer holds."""
        text = body.model_dump_json().encode()
        sent = {"Vary": "Accept-Encoding", **(headers or {})}
        if len(text) > _COMPRESSED_FROM and self.ask.takes_gzip:
            text = gzip.compress(text, 5, mtime=0)
            sent["Content-Encoding"] = "gzip"
        if len(text) > ANSWER_MAX:
            raise TooLarge("the answer is too large; ask for a smaller limit, or accept gzip")
        return Response(status, content_types.APPLICATION_JSON, text, sent)

    def stream(self, content_type: str, chunks: Iterator[bytes], headers: Mapping[str, str] | None = None) -> Answer:
        """An answer whose body is made chunk by chunk; what can be refused is refused before.

        Raise TooLarge where it is collected and has more than ANSWER_MAX bytes: see `room`.
        """
        body = chunks if self.streams else _collect(chunks)
        return Response(HTTPStatus.OK, content_type, body, dict(headers or {}))

    def answer_document(
        self, document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Small JSON that is not of a model."""
        return Response(status, content_types.APPLICATION_JSON, document, dict(headers or {}))

    def _authenticate(self, _: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Answer:
        # Bytes that are not signed are taken only where they cannot be added a second time.
        unsigned_body = self._takes_files and "offset" in self.query_values()
        caller = caller_of(self.raw, self.headers, self._token, unsigned_body=unsigned_body)
        self.outcome.caller = caller
        logger.append_keys(project=caller.project)
        project_limiter().take(caller.project)
        # A function URL has no routes, and so no parameters but those that the resolver found.
        parameters = self.raw.get("pathParameters") or self.context.get("_route_args", {})
        project = parameters.get("project_id")
        if project is not None:
            caller.need_project(self.segment("project_id", project))
        caller.need(self._needed)
        return next_middleware(self)

    def _answer_refusal(self, error: LogkeepError) -> Answer:
        self.outcome.error = error
        return self._error_answer(error)

    def _answer_error(self, error: LogkeepError) -> Answer:
        status = status_of(error)
        headers = {}
        if isinstance(error, Busy):
            headers["Retry-After"] = str(error.retry_after)
        if isinstance(error, OffsetBeyondEnd):
            headers["Range"] = f"bytes=0-{error.end}"
        return Response(int(status), content_types.APPLICATION_JSON, self.service.error_body(error), headers)

    def _answer_failure(self, error: Exception) -> Answer:
        logger.exception("failed", exc_info=error)
        return self._answer_refusal(LogkeepError("internal error"))


def _collect(chunks: Iterator[bytes]) -> bytes:
    content = bytearray()
    try:
        for chunk in chunks:
            if len(content) + len(chunk) > ANSWER_MAX:
                raise TooLarge("the answer is too large for one that is not streamed")
            content += chunk
    finally:
        release(chunks)
    return bytes(content)


def release(chunks: Iterator[bytes]) -> None:
    if isinstance(chunks, Generator):
        chunks.close()


def _serialize(body: Any) -> Any:
    """powertools' JSON, but bytes are JSON already."""
    return body if isinstance(body, bytes | Iterator) else json.dumps(body, separators=(",", ":"))


def _validated[M](validate: Callable[[], M]) -> M:
    try:
        return validate()
    except ValidationError as error:
        first = error.errors()[0]
        raise Invalid(".".join(map(str, first["loc"])) or "request", _reason(first)) from error


def _reason(error: ErrorDetails) -> str:
    match error["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "is not a field of this request"
        case "string_pattern_mismatch":
            return f"must match {error['ctx']['pattern']}"
        case "json_invalid" if not error["input"]:
            return "a body of JSON is required"
    return error["msg"].removeprefix("Value error, ")
