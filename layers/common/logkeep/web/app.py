"""The App of an HTTP function: proof of the caller, parsing of the request, answers, and errors in the API's shape."""

import gzip
import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, cast

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from pydantic import BaseModel

from logkeep.aws.logger import logger
from logkeep.aws.refusals import unavailable
from logkeep.errors import (
    Busy,
    Invalid,
    LogkeepError,
    OffsetBeyondEnd,
    RangeNotSatisfiable,
    RouteNotFound,
    TooLarge,
    Unauthenticated,
    UnsupportedCoding,
)
from logkeep.identity.credentials import NEEDED, Access, Caller, Kind
from logkeep.identity.http import CHALLENGES, body_of, caller_of
from logkeep.identity.limiter_store import project_limiter
from logkeep.limits import ANSWER_MAX, JSON_BODY_MAX, STREAM_MAX
from logkeep.logid import SEGMENT_RULE, LogId, is_segment
from logkeep.settings import settings
from logkeep.web import parsing
from logkeep.web.audit import Outcome, use_of
from logkeep.web.cost import Use
from logkeep.web.delivery import Client
from logkeep.web.error_bodies import Service, status_of

_COMPRESSED_FROM: Final = 1 << 20  # bytes of JSON
_BUFFERED_SECONDS: Final = 25  # an HTTP API gives up at 30
_HEARTBEATS_MAX: Final = 1000  # bytes of an answer, see logkeep.ndjson

type ErrorAnswer = Callable[[LogkeepError], "Answer"]


class Answer[Body = Any](Response[Any]):
    """The answer to a request. `Body` is for openapi/: a model, None, bytes, or Content."""


class App(APIGatewayHttpResolver):
    """The resolver of one function. In order: proof of the caller, the request, answers, errors.

    Before a handler runs, its caller is proved and holds the scope that the function needs. The handler reads the
    request (`query`, `json_body`, `log_id`, …) and returns an answer (`answer_json`, `answer_document`, `stream`). An
    error that it raises is answered with the status and code that `service` has for it.
    """

    def __init__(
        self,
        service: Service,
        function: str,
        *,
        token: Kind = Kind.TOKEN,
        takes_files: bool = False,
        error_answer: ErrorAnswer | None = None,
    ) -> None:
        """`function` is the name of its folder, `token` the kind of token that proves its callers.

        `takes_files` allows a signed request with an offset to leave its body unsigned. `error_answer` makes the
        answers of an API whose errors are not those of `service`.
        """
        super().__init__(serializer=_serialize)
        self.service = service
        self.function = function
        self.outcome = Outcome.start()
        self.streams = False  # whether the answer is sent while it is made; else it is collected first
        self._needed = NEEDED[function]
        self._token = token
        self._takes_files = takes_files
        self._error_answer = error_answer or self._answer_error
        if self._needed is not Access.EVERYONE:
            self.use([self._authenticate])
        self.exception_handler(LogkeepError)(self._answer_refusal)
        self.exception_handler(Exception)(self._answer_failure)
        self.exception_handler(NotFoundError)(lambda _: self._answer_refusal(RouteNotFound("")))

    # Proof of the caller.

    @property
    def caller(self) -> Caller:
        """Who sent the request. Functions that are open to everyone have none."""
        return cast(Caller, self.outcome.caller)

    def _authenticate(self, _: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response[Any]:
        # An unsigned body is accepted only with an offset: whoever replays such a request can append nothing.
        unsigned_body = self._takes_files and "offset" in self.query_values()
        caller = caller_of(self.raw, self.headers, self._token, unsigned_body=unsigned_body)
        self.outcome.caller = caller
        logger.append_keys(project=caller.project)
        project_limiter().take(caller.project)
        self.outcome.charged = 1
        # A function URL has no routes: its only parameters are those that the resolver found.
        parameters = self.raw.get("pathParameters") or self.context.get("_route_args", {})
        project = parameters.get("project_id")
        if project is not None:
            caller.need_project(self.segment("project_id", project))
        caller.need(self._needed)
        return next_middleware(self)

    def charge(self, *, seconds: float = 0, write_units: float = 0, read_units: float = 0) -> None:
        """Count what the request will cost, before its work. Raises Throttled if the project owes more than its limit.

        What it costs beyond that is counted when it is answered.
        """
        use = Use(gb_seconds=seconds * self._memory / 1024, write_units=write_units, read_units=read_units)
        self._count(use, project_limiter().charge)

    def charge_writes(self, write_units: float) -> None:
        """The same for what it will write."""
        self.charge(write_units=write_units)

    def settle(self, event: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Count what the request has cost beyond what it was charged."""
        if self.outcome.charged:
            self._count(use_of(event, answer, self.outcome, self._memory), project_limiter().owe)

    def _count(self, use: Use, add: Callable[[str, int], None]) -> None:
        if (units := use.units - self.outcome.charged) > 0:
            add(self.caller.project, units)
            self.outcome.charged += units

    @property
    def _memory(self) -> int:
        """The function's, in MiB."""
        return int(self.lambda_context.memory_limit_in_mb)

    # The request.

    @property
    def raw(self) -> dict[str, Any]:
        """The event as API Gateway sent it (payload 2.0)."""
        return self.current_event.raw_event

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by name in lower case."""
        return cast(Mapping[str, str], self.raw.get("headers") or {})

    def header(self, name: str, limit: int) -> str:
        """A header, empty if it is absent. Raises Invalid if it is longer than `limit` characters."""
        value = self.headers.get(name, "")
        if len(value) > limit:
            raise Invalid(name, f"longer than {limit} characters")
        return value

    @property
    def client(self) -> Client:
        """What the client can take."""
        get = self.headers.get
        return Client.of(get("accept", "*/*"), get("accept-encoding", ""), get("authorization", ""))

    @property
    def base_url(self) -> str:
        """The URL under which the client reached this service: scheme and host."""
        return f"{self.headers.get('x-forwarded-proto', 'https')}://{self.headers.get('host', '')}"

    def log_id(self) -> LogId:
        """The id in a path /v1/{project_id}/logs/{log_id}. Raises Invalid if it is none."""
        return LogId.parse("".join(str(self.raw["rawPath"]).split("/", 4)[4:]))

    def segment(self, name: str, value: str) -> str:
        """A value of the path that becomes part of a key. Raises Invalid unless it is a path segment of a log id."""
        if not is_segment(value):
            raise Invalid(name, SEGMENT_RULE)
        return value

    def query[M: BaseModel](self, model: type[M], **path: str) -> M:
        """The query string, with values of the path, as a model. Raises Invalid with the first name that is wrong."""
        return parsing.query_model(model, self.query_values(), path)

    def query_values(self) -> dict[str, list[str]]:
        """Every value of every name in the query string.

        The raw string is parsed, since HTTP APIs join the values of a name with commas. A plus is a blank, as in forms,
        except in a signed request: SDKs sign it as a plus.
        """
        raw = str(self.raw.get("rawQueryString") or "")
        return parsing.query_values(raw, plus_is_blank=not self.client.is_signed)

    def body(self, limit: int, *, exact: bool = False) -> bytes:
        """The body. Raises TooLarge above `limit` bytes, UnsupportedBody if it is not what the client sent.

        With `exact`, a body that may differ from what the client sent is refused too.
        """
        body = body_of(self.raw)
        if not self.raw.get("isBase64Encoded"):
            parsing.check_text(body, self.headers.get("content-length"), exact=exact)
        if len(body) > limit:
            raise TooLarge(f"the body is larger than {limit} bytes")
        return body

    @property
    def is_gzipped(self) -> bool:
        """Whether the body is compressed. Raises UnsupportedCoding if it is, but not with gzip."""
        return parsing.is_gzipped(self.headers.get("content-encoding", ""))

    def inflated_body(self, limit: int) -> bytes:
        """The body without its Content-Encoding.

        Raises TooLarge and UnsupportedBody as body() does, UnsupportedCoding, and Invalid if the body is not gzip.
        """
        is_gzipped, body = self.is_gzipped, self.body(limit)
        return parsing.inflated(body, limit) if is_gzipped else body

    def json_body[M: BaseModel](self, model: type[M], limit: int = JSON_BODY_MAX, *, optional: bool = False) -> M:
        """The body as a model. If it is optional, no body is an empty object.

        Raises Invalid, and TooLarge, UnsupportedBody and UnsupportedCoding as inflated_body() does.
        """
        return parsing.json_model(model, self.inflated_body(limit) or (b"{}" if optional else b""))

    # Answers.

    @property
    def seconds(self) -> float:
        """How long making the body of an answer may take. One that is not streamed must end before the gateway does."""
        if self.streams:
            return settings().follow_seconds
        return _BUFFERED_SECONDS - (time.monotonic() - self.outcome.started)

    @property
    def room(self) -> int:
        """The most bytes that the body of an answer may have, without heartbeats."""
        return (STREAM_MAX if self.streams else ANSWER_MAX) - _HEARTBEATS_MAX

    def answer_json[M: BaseModel](
        self, body: M, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Answer[M]:
        """A model as JSON, compressed if it is large and the client takes gzip. Raises TooLarge above ANSWER_MAX."""
        text = body.model_dump_json().encode()
        sent = {"Vary": "Accept-Encoding", **(headers or {})}
        if len(text) > _COMPRESSED_FROM and self.client.takes_gzip:
            text = gzip.compress(text, 5, mtime=0)
            sent["Content-Encoding"] = "gzip"
        if len(text) > ANSWER_MAX:
            raise TooLarge("the answer is too large; ask for a smaller limit, or accept gzip")
        return Answer(status, content_types.APPLICATION_JSON, text, sent)

    def answer_document[D: Mapping[str, Any]](
        self, document: D, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Answer[D]:
        """A small document as JSON."""
        return Answer(status, content_types.APPLICATION_JSON, document, dict(headers or {}))

    def stream(self, content_type: str, chunks: Iterator[bytes], headers: Mapping[str, str] | None = None) -> Answer:
        """An answer whose body is made chunk by chunk. The first is made here, so that its errors are answers.

        If there is none, the answer says so by its length: a client that waited for a body would wait for minutes.
        Raises TooLarge if the answer is collected and has more than ANSWER_MAX bytes: see `room`.
        """
        sent = dict(headers or {})
        if not self.streams:
            return Answer(HTTPStatus.OK, content_type, _collect(chunks), sent)
        first = next(chunks, None)
        if first is None:
            return Answer(HTTPStatus.OK, content_type, b"", sent | {"Content-Length": "0"})
        body = _continued(first, chunks)
        next(body)  # from here on its end releases the chunks, even if no byte is taken
        return Answer(HTTPStatus.OK, content_type, body, sent)

    # Errors.

    def _answer_refusal(self, error: LogkeepError) -> Answer:
        """Note an error for the audit, and answer it."""
        self.outcome.error = error
        return self.refused(error)

    def refused(self, error: LogkeepError) -> Answer:
        """The answer to an error. A 401 names the schemes that are taken (RFC 9110 15.5.2)."""
        answer = self._error_answer(error)
        if isinstance(error, Unauthenticated):
            is_login = self._needed is Access.EVERYONE
            answer.headers["WWW-Authenticate"] = CHALLENGES[Kind.USER if is_login else self._token]
        return answer

    def _answer_error(self, error: LogkeepError) -> Answer:
        """The answer that `service` gives to an error."""
        status = status_of(error)
        headers = {}
        if isinstance(error, Busy):
            headers["Retry-After"] = str(error.retry_after)
        if isinstance(error, UnsupportedCoding):
            headers["Accept-Encoding"] = "gzip"  # RFC 9110 15.5.16
        if isinstance(error, OffsetBeyondEnd):
            headers["Range"] = f"bytes=0-{error.end}"
        if isinstance(error, RangeNotSatisfiable):
            headers["Content-Range"] = f"bytes */{error.size}"
        return Answer(int(status), content_types.APPLICATION_JSON, self.service.error_body(error), headers)

    def _answer_failure(self, error: Exception) -> Answer:
        """Log an unexpected exception, and answer it without its text. Refusals of AWS that pass ask to come back."""
        if passing := unavailable(error):
            logger.warning("AWS refuses or does not answer", exc_info=error)
            return self._answer_refusal(passing)
        logger.exception("failed", exc_info=error)
        return self._answer_refusal(LogkeepError("internal error"))


def release(chunks: Iterator[bytes]) -> None:
    """Close chunks that are not consumed to their end."""
    if isinstance(chunks, Generator):
        chunks.close()


def _continued(first: bytes, chunks: Iterator[bytes]) -> Generator[bytes]:
    """An empty chunk, then the first chunk and those after it."""
    try:
        yield b""
        yield first
        yield from chunks
    finally:
        release(chunks)


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


def _serialize(body: Any) -> Any:
    """JSON as powertools makes it; bytes and chunks stay as they are."""
    return body if isinstance(body, bytes | Iterator) else json.dumps(body, separators=(",", ":"))
