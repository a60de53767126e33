"""Answering requests for files: with the content, a redirect, a link, or a request to come back later."""

import re
import time
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from aws_lambda_powertools.event_handler import content_types

from logkeep.aws.multipart import Making, TimeUp, Unfinished
from logkeep.downloads.file_store import StoredFile, disposition
from logkeep.downloads.files import File
from logkeep.downloads.orders import FileOrder, order_file
from logkeep.downloads.plan_store import Noting, plans
from logkeep.downloads.render_store import Renders, renders
from logkeep.downloads.rendition import Rendition
from logkeep.errors import Busy, LogChanged, Throttled, TooLarge
from logkeep.extents import Facts
from logkeep.identity.limiter_store import render_limiter
from logkeep.limits import ANSWER_MAX, STREAM_MAX
from logkeep.logs.store import log_store
from logkeep.settings import settings
from logkeep.web.app import Answer, App
from logkeep.web.delivery import Link, Pending, Way, way
from logkeep.web.ranges import range_of

_RETRY_AFTER: Final = 10  # seconds
_TRIES: Final = 3  # for a file whose logs are packed while it is made
_ENTITY_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')
_VARY: Final = {"Vary": "Accept, Accept-Encoding"}


def deliver(app: App, file: File) -> Answer:
    """Answer a request for a file in the way that its size and the client allow (docs/files.md).

    Raises LogNotFound, TooLarge for a client that cannot follow a redirect, and Busy while the file is being built.
    """
    deadline = time.monotonic() + settings().build_seconds
    for _ in range(_TRIES - 1):
        with suppress(LogChanged):
            return _deliver(app, file, deadline)
    return _deliver(app, file, deadline)


def _deliver(app: App, file: File, deadline: float) -> Answer:
    project, client = app.caller.project, app.client
    store, logs = renders(project), Noting(log_store(project))
    if app.streams and not client.wants_json:
        # Without a Content-Encoding: nothing documents that function URLs leave one unchanged.
        plain = file.rendition(logs, gzip=False)
        if plain.estimate <= STREAM_MAX:
            return _stream(app, store, plain)
    rendition = file.rendition(logs, gzip=client.takes_gzip)
    tag = _tag(rendition.identity)
    if _is_held(app, tag):
        return _not_modified(tag)

    if way(client, rendition.estimate) is Way.ANSWER:
        content = _collect(store.read(Making(rendition.make(), deadline)))
        if content is not None:
            return _answer(app, rendition, content, tag)
    if rendition.expected and way(client, rendition.expected.size) is Way.REFUSE:
        raise _too_large(rendition.expected.size)

    facts = store.find(rendition)
    if facts is None:
        rendition, facts = _built(project, file, rendition, logs, deadline, gzip=client.takes_gzip)
    return _pending(app) if facts is None else _hand_out(app, store.stored(rendition, facts), _tag(rendition.identity))


def _built(
    project: str, file: File, rendition: Rendition, logs: Noting, deadline: float, *, gzip: bool
) -> tuple[Rendition, Facts | None]:
    """Build a file, or continue what an earlier request began. Its facts are None if a worker must go on with it."""
    store, plan = renders(project), plans(project)
    planned = plan.find(file, logs, gzip=gzip)
    rendition = planned or rendition
    facts = store.find(rendition) if planned else None
    if facts is None and not store.is_ordered(rendition):
        built = store.build(rendition, deadline, logs)
        if isinstance(built, Unfinished):
            if not planned:
                plan.put(file, logs, gzip=gzip)
            with suppress(Throttled):  # then only requests build it
                render_limiter().take(project)
                order_file(FileOrder(project=project, gzip=gzip, file=file))
                store.mark_ordered(rendition)
        else:
            facts = built
    if facts and planned:
        plan.drop(file, gzip=gzip)
    return rendition, facts


def deliver_stored(app: App, file: StoredFile, identity: str) -> Answer:
    """Answer a request for a file that is in the bucket already. `identity` is equal only for equal bytes.

    Raises TooLarge for a client that cannot follow a redirect.
    """
    tag = _tag(identity)
    return _not_modified(tag) if _is_held(app, tag) else _hand_out(app, file, tag)


def _stream(app: App, store: Renders, rendition: Rendition) -> Answer:
    tag = _tag(rendition.identity)
    if _is_held(app, tag):
        return _not_modified(tag)
    content = store.read(Making(rendition.make(), time.monotonic() + app.seconds))
    headers = {**_VARY, **tag, "Content-Disposition": disposition(rendition.filename)}
    return app.stream("application/octet-stream", content, headers)


def _tag(identity: str) -> dict[str, str]:
    return {"ETag": f'"{identity}"'}


def _is_held(app: App, tag: dict[str, str]) -> bool:
    """Whether If-None-Match names the file, whose tags are compared weakly (RFC 9110 13.1.2)."""
    given = app.headers.get("if-none-match", "").strip()
    return given == "*" or tag["ETag"] in _ENTITY_TAG.findall(given)


def _not_modified(tag: dict[str, str]) -> Answer[None]:
    return Answer(HTTPStatus.NOT_MODIFIED, None, "", {**_VARY, **tag})


def _pending(app: App) -> Answer[Pending]:
    if not app.client.wants_json:
        raise Busy("the file is being built; ask again later", _RETRY_AFTER)
    headers = {**_VARY, "Retry-After": str(_RETRY_AFTER)}
    return app.answer_json(Pending(retry_after=_RETRY_AFTER), HTTPStatus.ACCEPTED, headers)


def _hand_out(app: App, file: StoredFile, tag: dict[str, str]) -> Answer:
    size = file.facts.size
    match way(app.client, size):
        case Way.ANSWER:
            return _answer(app, file, b"".join(file.content()), tag)
        case Way.REFUSE:
            raise _too_large(size)
        case Way.LINK:
            app.outcome.linked = size
            return _linked(file.link())
        case Way.REDIRECT:
            app.outcome.linked = size
            return _redirected(file.link())


def _answer(app: App, file: Rendition | StoredFile, content: bytes, tag: dict[str, str]) -> Answer[bytes]:
    """The content, or the range of it that the request wants."""
    status, headers = HTTPStatus.OK, {**_VARY, **tag, "Accept-Ranges": "bytes"}
    if wanted := range_of(app.headers, len(content), tag["ETag"]):
        status, content = HTTPStatus.PARTIAL_CONTENT, content[wanted.first : wanted.end]
        headers |= wanted.headers
    headers |= {"Content-Disposition": disposition(file.filename), "Content-Length": str(len(content))}
    if file.content_encoding:
        headers["Content-Encoding"] = file.content_encoding
    return Answer(status, file.content_type, content, headers)


def _linked(link: Link) -> Answer[Link]:
    return Answer(HTTPStatus.OK, content_types.APPLICATION_JSON, link.model_dump(), dict(_VARY))


def _redirected(link: Link) -> Answer[Link]:
    headers = {**_VARY, "Location": link.url}
    return Answer(HTTPStatus.SEE_OTHER, content_types.APPLICATION_JSON, link.model_dump(), headers)


def _collect(chunks: Iterable[bytes]) -> bytes | None:
    """All of the chunks, or None if they are too large for an answer or take too long."""
    content = bytearray()
    with suppress(TimeUp):
        for chunk in chunks:
            content += chunk
            if len(content) > ANSWER_MAX:
                return None
        return bytes(content)
    return None


def _too_large(size: int) -> TooLarge:
    return TooLarge(
        f"the file has {size} bytes, too many for an answer, and signed clients cannot follow a redirect: "
        "send Accept: application/json to get a URL"
    )
