"""The request for a task's log, as Kuscia answers it.

A request that was understood is answered with 200 and a status in the message, all others with an empty 400 or 401.
"""

import zlib
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Final

from logkeep.apis.kuscia.codes import EMPTY, UNEXPECTED, QueryRefused, refusal
from logkeep.apis.kuscia.messages import messages
from logkeep.apis.kuscia.query import LogQuery, find, from_restart, restarts_of, task_heads
from logkeep.errors import Busy, LogkeepError, Throttled, TooLarge
from logkeep.limits import ANSWER_MAX
from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.logs.store import LogStore
from logkeep.ndjson import within
from logkeep.reading.http import charge_follow, follower_of, stream
from logkeep.web.app import Answer, App

BODY_MAX: Final = 1 << 20
COLLECTED_MAX: Final = 64 << 20  # bytes of the largest log whose messages can be made in the time of one answer
_TOO_LARGE: Final = "the log is too large for one answer: read it under its own id, GET /v1/{project_id}/logs/{log_id}"
_HEADERS: Final = {"Vary": "Accept-Encoding"}
_JSON: Final = "application/json; charset=utf-8"


def query_of(app: App) -> LogQuery:
    """The request. With any content type but JSON it is empty: Kuscia binds a form then, which has none of the fields.

    Raises Invalid for a malformed body.
    """
    content_type = app.headers.get("content-type", "").partition(";")[0].strip().lower()
    return LogQuery.from_json(app.inflated_body(BODY_MAX)) if content_type == "application/json" else LogQuery()


def answer_log(app: App, query: LogQuery, logs: LogStore) -> Answer:
    """The messages of the log that the query means.

    Raises QueryRefused if there is none, TooLarge if it does not fit into one answer that is not streamed.
    """
    head = find(query, task_heads(query, logs.heads), namespace=app.caller.project)
    if query.follow:
        charge_follow(app)
        return stream(app, _JSON, _within(app, _followed(app, logs, head)), _HEADERS)
    if app.streams:
        return app.stream(_JSON, _within(app, messages(logs.texts(head))), _HEADERS)
    return _answer_whole(app, head, logs.texts(head))


def _followed(app: App, logs: LogStore, head: Head) -> Iterator[bytes]:
    """The messages of a log as it grows, then those of the container's later restarts."""

    def line(log_id: LogId) -> list[Head]:
        return from_restart(log_id, logs.heads(log_id.owner, restarts_of(log_id)))

    return messages(follower_of(app, logs, head, with_successors=line).texts())


def _within(app: App, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Chunks as long as there is room. The protocol cannot continue an answer, so one that ends early says why."""
    return within(chunks, app.room, refusal(QueryRefused(UNEXPECTED, _TOO_LARGE)))


def _answer_whole(app: App, head: Head, texts: Iterable[bytes]) -> Answer:
    """A log's messages in one answer, compressed if the client accepts gzip. Raises TooLarge if they do not fit."""
    if head.end > COLLECTED_MAX:
        raise TooLarge(_TOO_LARGE)
    takes_gzip = app.client.takes_gzip
    packer = zlib.compressobj(5, zlib.DEFLATED, 31) if takes_gzip else None
    body = bytearray()
    empty = True
    for message in messages(texts):
        empty = False
        body += packer.compress(message) if packer else message
        if len(body) > ANSWER_MAX:
            raise TooLarge(_TOO_LARGE)
    if packer and not empty:
        body += packer.flush()
        return Answer(HTTPStatus.OK, _JSON, bytes(body), {**_HEADERS, "Content-Encoding": "gzip"})
    return Answer(HTTPStatus.OK, _JSON, bytes(body), _HEADERS)


def answer_error(error: LogkeepError) -> Answer:
    """An empty answer for the errors of EMPTY, else a message with Kuscia's code."""
    for kind, status in EMPTY.items():
        if isinstance(error, kind):
            return Answer(status, None, "")
    refused = error if isinstance(error, QueryRefused) else QueryRefused(UNEXPECTED, str(error))
    if isinstance(error, Busy):
        status = HTTPStatus.TOO_MANY_REQUESTS if isinstance(error, Throttled) else HTTPStatus.SERVICE_UNAVAILABLE
        headers = {**_HEADERS, "Retry-After": str(error.retry_after)}
        return Answer(status, _JSON, refusal(refused), headers)
    return Answer(HTTPStatus.OK, _JSON, refusal(refused), _HEADERS)
