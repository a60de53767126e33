"""TODO."""

import base64
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Final

from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from logkeep.web.app import App, logger, release
from logkeep.web.audit import Ending, Outcome, line_of
from logkeep_runtime import Streamed

type Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]


type StreamHandler = Callable[[dict[str, Any], LambdaContext], Streamed]


_REQUEST_ID: Final = ("X-Request-Id", "X-Openstack-Request-Id")  # where Huawei's and OpenStack's clients look for it


def entrypoint(app: App) -> Handler:
    """The Lambda handler of an app; every answer carries its request's id, and every request leaves a line."""

    @logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP, clear_state=True)
    def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        answer = _resolve(app, event, context, streams=False)
        logger.info("request", extra=line_of(app.function, event, answer, app.outcome))
        return answer

    return lambda_handler


def stream_entrypoint(app: App) -> StreamHandler:
    """The same for the streaming runtime; the line is written when the last byte is out."""

    @logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP, clear_state=True)
    def stream_handler(event: dict[str, Any], context: LambdaContext) -> Streamed:
        answer = _resolve(app, event, context, streams=True)
        body = answer["body"]
        chunks = body if isinstance(body, Iterator) else iter((_bytes_of(answer),))
        told = _told(app, event, answer, chunks)
        next(told)  # from here on its end is told, also where nobody takes a byte
        return Streamed(int(answer["statusCode"]), answer["headers"], told)

    return stream_handler


def _resolve(app: App, event: dict[str, Any], context: LambdaContext, *, streams: bool) -> dict[str, Any]:
    app.outcome = Outcome.start()
    app.streams = streams
    # HTTP APIs are said to route /x/ as /x, and hand it over as it came.
    path = event["rawPath"].removesuffix("/") or "/"
    answer = app.resolve({**event, "rawPath": path}, context)
    for name in _REQUEST_ID:
        answer["headers"][name] = event["requestContext"]["requestId"]
    return answer


def _told(app: App, event: dict[str, Any], answer: dict[str, Any], chunks: Iterator[bytes]) -> Generator[bytes]:
    """Nothing, then the chunks; how they ended is told in the request's line."""
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
        logger.info("request", extra=line_of(app.function, event, answer, app.outcome))


def _bytes_of(answer: Mapping[str, Any]) -> bytes:
    """An ordinary body; where there is none, white space that no client minds, since streams without a byte are said to
    hang.
    """
    body = str(answer["body"] or "")
    return (base64.b64decode(body) if answer["isBase64Encoded"] else body.encode()) or b"\n"
