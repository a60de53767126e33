"""The Lambda handlers of HTTP functions: every answer carries its request's id, every request leaves an audit line."""

import base64
from collections.abc import Callable, Generator, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from logkeep.aws.logger import REQUEST, logger
from logkeep.web.app import App, release
from logkeep.web.audit import Ending, Outcome, line_of
from logkeep_runtime import Streamed

_BODILESS: Final = {204, 304}  # RFC 9112 6.3: such an answer ends after its headers
_REQUEST_ID: Final = ("X-Request-Id", "X-Openstack-Request-Id")  # read by Huawei's and OpenStack's clients

type Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]
type StreamHandler = Callable[[dict[str, Any], LambdaContext], Streamed]


def entrypoint(app: App) -> Handler:
    """The handler of a function of the HTTP API."""

    @logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP, clear_state=True)
    def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        answer = _resolve(app, event, context, streams=False)
        app.settle(event, answer)
        _audit(app, event, answer)
        return answer

    return lambda_handler


def stream_entrypoint(app: App) -> StreamHandler:
    """The handler of a function with a function URL, for logkeep_runtime. The audit line follows the last byte."""

    @logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP, clear_state=True)
    def stream_handler(event: dict[str, Any], context: LambdaContext) -> Streamed:
        answer = _resolve(app, event, context, streams=True)
        body = answer["body"]
        chunks = body if isinstance(body, Iterator) else iter((_bytes_of(event, answer),))
        audited = _audited(app, event, answer, chunks)
        next(audited)  # from here on its end leaves a line, even if no byte is taken
        return Streamed(int(answer["statusCode"]), answer["headers"], audited)

    return stream_handler


def _resolve(app: App, event: dict[str, Any], context: LambdaContext, *, streams: bool) -> dict[str, Any]:
    app.outcome = Outcome.start()
    app.streams = streams
    # HTTP APIs are said to route /x/ as /x, but pass the path on as it was sent.
    path = event["rawPath"].removesuffix("/") or "/"
    answer = app.resolve({**event, "rawPath": path}, context)
    for name in _REQUEST_ID:
        answer["headers"][name] = event["requestContext"]["requestId"]
    if app.outcome.caller or int(answer["statusCode"]) >= HTTPStatus.BAD_REQUEST:
        # What one caller may read is not for others. A cache may keep what has an ETag, if it asks whether it is valid.
        kept = "no-cache" if "ETag" in answer["headers"] else "no-store"
        answer["headers"]["Cache-Control"] = f"private, {kept}"
    return answer


def _audit(app: App, event: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    """Write the line of a request, unless it is one of many without a caller."""
    if line := line_of(app.function, event, answer, app.outcome):
        logger.info(REQUEST, extra=line)


def _audited(app: App, event: dict[str, Any], answer: dict[str, Any], chunks: Iterator[bytes]) -> Generator[bytes]:
    """An empty chunk, then the chunks. However they end, the audit line is written."""
    app.outcome.ending = Ending.LEFT
    try:
        yield b""
        for chunk in chunks:
            app.outcome.sent += len(chunk)
            yield chunk
        app.outcome.ending = Ending.COMPLETE
    except Exception:
        app.outcome.ending = Ending.FAILED
        logger.exception("failed in mid-stream")
        raise
    finally:
        release(chunks)
        app.settle(event, answer)
        _audit(app, event, answer)


def _bytes_of(event: Mapping[str, Any], answer: Mapping[str, Any]) -> bytes:
    """The body of an ordinary answer.

    An empty one becomes a newline, since clients of streams without a byte are said to wait for one. Those of a 304 or
    of HEAD do not, and those of an answer that gives its length need not.
    """
    body = str(answer["body"] or "")
    content = base64.b64decode(body) if answer["isBase64Encoded"] else body.encode()
    is_exact = int(answer["statusCode"]) in _BODILESS or answer["headers"].get("Content-Length") == "0"
    is_exact = is_exact or event["requestContext"]["http"]["method"] == "HEAD"
    return content if content or is_exact else b"\n"
