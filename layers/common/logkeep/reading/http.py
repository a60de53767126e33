"""A log read over HTTP: lines by a query, or followed, with the note in its head that makes producers append often."""

import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from logkeep.aws.logger import logger
from logkeep.clock import Clock, now_ms
from logkeep.downloads.files import text_file
from logkeep.downloads.http import deliver
from logkeep.downloads.rendition import log_file
from logkeep.errors import Invalid
from logkeep.limits import LOG_MAX
from logkeep.logid import LogId
from logkeep.logs.head import Head, State
from logkeep.logs.store import LogStore, log_store
from logkeep.ndjson import with_heartbeats
from logkeep.params import Boolean, Decimal
from logkeep.reading.ansi import Ansi
from logkeep.reading.answers import Records, Texts, summary_of
from logkeep.reading.cursors import place_of
from logkeep.reading.events import EVENT_STREAM, events
from logkeep.reading.finding import Growth, found_lines
from logkeep.reading.follow import Follower, Source, json_lines, start_of_last
from logkeep.reading.outline import Outline, outline
from logkeep.reading.query import Query
from logkeep.reading.select import Place, Selection
from logkeep.reading.volume import Step, Volume, volume
from logkeep.web.app import Answer, App
from logkeep.web.ranges import range_of

CLOCK: Final = Clock()
_CHARGED_SECONDS: Final = 25
_TEXT_SECONDS: Final = (
    60  # of a text that is streamed: its headers say what was found, so it is found before it is sent
)
_TEXT_MAX: Final = 16 << 20  # bytes of it
_TEXT: Final = "text/plain; charset=utf-8"
_CURSOR_MAX: Final = 64
_JSON_LINES: Final = "application/x-ndjson"
_NOTE_LASTS: Final = 45_000  # ms
_NOTE_RENEWED: Final = 25_000  # ms: if less is left, one of the followers makes it again


class ReadQuery(Query):
    """What of a log, and how. A follow without a query is of the bytes, not of the lines, of a log."""

    follow: Boolean = Field(default=False, description="And then what is appended.")
    tail_bytes: Annotated[Decimal, Field(ge=0, le=LOG_MAX)] | None = Field(
        default=None, description="Of a follow: begin with the first line of the last so many bytes."
    )
    volume: Step | None = Field(
        default=None, description="Only how many lines, bytes and records there are of each minute, hour or day."
    )
    outline: Boolean = Field(default=False, description="Only sections, first errors, levels and silences.")
    ansi: Ansi = Field(default="raw", description="color: of escape sequences, only colours; strip: none.")

    @model_validator(mode="after")
    def _follows(self) -> Self:
        if self.tail_bytes is not None and not self.follow:
            raise Invalid("tail_bytes", "needs follow=true")
        if self.tail_bytes is not None and self.cursor is not None:
            raise Invalid("tail_bytes", "send either cursor or tail_bytes, not both")
        if self.outline and (others := self.model_fields_set - {"outline"}):
            raise Invalid(min(others), "is not possible with outline")
        if self.volume:
            for name in self.model_fields_set - {"volume", "since", "until"}:
                raise Invalid(name, "is not possible with volume")
        if self.follow:
            for name in ("count", "order", "limit", "max_bytes", "until"):
                if name in self.model_fields_set:
                    raise Invalid(name, "is not possible with follow")
        return self

    @property
    def is_bare(self) -> bool:
        """Whether the bytes of the log are wanted as they are."""
        return not self.model_fields_set - {"follow", "tail_bytes"} - ({"cursor"} if self.follow else set())


def _accepts(app: App, media: str) -> bool:
    return media in app.headers.get("accept", "").lower()


def answer_log(app: App, log_id: LogId, query: ReadQuery) -> Answer:
    """The lines of a log that a query wants, its text as it is appended, or the whole of it as a file.

    Any parameter makes a query of a request, and so does `Accept: application/x-ndjson`. `Range` wants bytes.
    """
    if query.follow:
        return follow_log(app, log_id, query)
    if query.outline:
        return show_outline(app, log_id)
    if query.volume:
        return show_volume(app, log_id, query, query.volume)
    if not query.is_bare or _accepts(app, _JSON_LINES):
        return read_lines(app, log_id, query)
    return read_range(app, log_id) if app.headers.get("range") else deliver(app, text_file(log_id))


def measure(app: App, log_id: LogId) -> Answer:
    """The answer to HEAD: that of a log as text, without the text.

    Raises LogNotFound if there is no log.
    """
    logs = log_store(app.caller.project)
    head = logs.head(log_id)
    return _measured(_tagged(logs, head), head.end)


def _measured(tagged: dict[str, str], size: int) -> Answer[bytes]:
    headers = tagged | {"Accept-Ranges": "bytes", "Content-Length": str(size)}
    return Answer(HTTPStatus.OK, _TEXT, b"", headers)


def _tagged(logs: LogStore, head: Head) -> dict[str, str]:
    """The headers of a log as text. Its tag is strong: it changes with every byte."""
    identity = log_file(logs, [head], "", _TEXT, gzip=False).identity
    return {"Vary": "Accept, Accept-Encoding", "ETag": f'"{identity}"'}


def read_range(app: App, log_id: LogId) -> Answer[bytes]:
    """The bytes of a log that the header Range wants, as many as an answer holds.

    Raises LogNotFound if there is no log, and RangeNotSatisfiable.
    """
    logs = log_store(app.caller.project)
    head, file = logs.head(log_id), text_file(log_id)
    headers = _tagged(logs, head)
    wanted = range_of(app.headers, head.end, headers["ETag"])
    if wanted is None:
        return deliver(app, file)
    wanted = wanted.upto(app.room)
    chunks = logs.texts(head, wanted.first, wanted.end)
    if app.streams:
        answer: Answer[bytes] = app.stream(file.content_type, chunks, headers | wanted.headers)
        answer.status_code = HTTPStatus.PARTIAL_CONTENT
        return answer
    return Answer(HTTPStatus.PARTIAL_CONTENT, file.content_type, b"".join(chunks), headers | wanted.headers)


def show_volume(app: App, log_id: LogId, query: ReadQuery, step: Step) -> Answer[Volume]:
    """How much of a log is of which minute, hour or day.

    Raises LogNotFound if there is no log.
    """
    logs, until = log_store(app.caller.project), time.monotonic() + app.seconds
    found = volume(logs, logs.head(log_id), step, query.since, query.until, lambda: time.monotonic() > until)
    return app.answer_json(found)


def show_outline(app: App, log_id: LogId) -> Answer[Outline]:
    """The outline of a log.

    Raises LogNotFound if there is no log.
    """
    logs, until = log_store(app.caller.project), time.monotonic() + app.seconds
    return app.answer_json(outline(logs, logs.head(log_id), lambda: time.monotonic() > until))


def read_lines(app: App, log_id: LogId, query: ReadQuery) -> Answer[bytes]:
    """The lines of a log that a query wants: as text, or as JSON lines for a client that accepts these.

    Raises LogNotFound if there is no log, and Invalid for a cursor of another log or beyond the end.
    """
    logs = log_store(app.caller.project)
    head = logs.head(log_id)
    place = _place_of(head, query.cursor)
    as_json = _accepts(app, _JSON_LINES)
    until = time.monotonic() + (app.seconds if as_json or not app.streams else _TEXT_SECONDS)
    selection = Selection(logs, head, query, lambda: time.monotonic() > until, place=place, needs_times=as_json)
    if as_json:
        records = Records(selection, head, query, query.max_bytes or LOG_MAX, app.room, query.ansi)
        return app.stream(_JSON_LINES, _with_last(records))
    most = min(query.max_bytes or LOG_MAX, _TEXT_MAX if app.streams else app.room)
    texts = Texts(selection, query, most, query.ansi)
    content = b"".join(texts)
    told = summary_of(selection, head, query, texts.place, is_over=texts.is_over)
    headers = {
        "Vary": "Accept",
        "Logkeep-Complete": str(told["complete"]).lower(),
        "Logkeep-Cursor": told["cursor"],
        "Logkeep-More": str(told["more"]).lower(),
        "Logkeep-Scanned-Bytes": str(told["scanned_bytes"]),
    }
    if told["matched"] is not None:
        headers["Logkeep-Matched"] = str(told["matched"])
    if told["gaps"]:
        headers["Logkeep-Lost"] = ", ".join(f"{each['offset']}+{each['bytes']}" for each in told["gaps"])
    if query.count:
        content = b"%d\n" % selection.matched
    if not content:
        headers["Content-Length"] = "0"
    return Answer(HTTPStatus.OK, _TEXT, content, headers)


def _with_last(records: Records) -> Iterator[bytes]:
    yield from records
    yield records.last()


def _place_of(head: Head, cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    place = place_of(head, cursor)
    if place.offset > head.end:
        raise Invalid("cursor", f"is beyond the end of the log, which holds {head.end} bytes")
    return place


def follow_log(app: App, log_id: LogId, query: ReadQuery) -> Answer[bytes]:
    """A log as it grows, in JSON lines, each with the cursor after it.

    Raises LogNotFound if there is no log, and Invalid for a cursor of another log or beyond the end.
    """
    logs = log_store(app.caller.project)
    head = logs.head(log_id)
    charge_follow(app)
    is_events = _accepts(app, EVENT_STREAM)
    # A browser comes back with the query that it came with, and says here how far it got.
    if is_events and (last := app.header("last-event-id", _CURSOR_MAX)):
        query = query.model_copy(update={"cursor": last})
        if head.state is State.SEALED and place_of(head, last).offset >= head.end:
            return Answer(HTTPStatus.NO_CONTENT, None, "", {})  # so that a browser does not come back
    return _stream_lines(app, _followed(app, logs, head, query), is_events=is_events)


def _stream_lines(app: App, lines: Iterator[bytes], *, is_events: bool) -> Answer[bytes]:
    if not is_events:
        return stream(app, _JSON_LINES, lines)
    return app.stream(EVENT_STREAM, events(with_heartbeats(lines, CLOCK)), {"X-Accel-Buffering": "no"})


def _followed(app: App, logs: LogStore, head: Head, query: ReadQuery) -> Iterator[bytes]:
    """The JSON lines of a followed log: its bytes, or the lines that a query wants."""
    place = _place_of(head, query.cursor)
    position = place.offset if place else 0
    if place is None and query.tail_bytes is not None:
        position = start_of_last(logs, head, query.tail_bytes)
    if query.is_bare:
        return json_lines(follower_of(app, logs, head, position=position), app.room)
    follower = follower_of(app, logs, head, position=head.end, source=Growth(logs))
    return found_lines(logs, follower, query, place, app.room, query.ansi)


def charge_follow(app: App) -> None:
    """Charge a follow for the time that one at the HTTP API lasts. Raises Throttled."""
    app.charge(seconds=_CHARGED_SECONDS)


def follower_of(app: App, logs: LogStore, head: Head, source: Source | None = None, **options: Any) -> Follower:
    """A follower for as long as an answer may take, which notes itself in the log's head."""
    return Follower(source or logs, head, app.seconds, CLOCK, seen=lambda seen: _note(logs, seen), **options)


def stream(
    app: App, content_type: str, chunks: Iterator[bytes], headers: Mapping[str, str] | None = None
) -> Answer[bytes]:
    """An answer of JSON lines, with heartbeats."""
    return app.stream(content_type, with_heartbeats(chunks, CLOCK), headers)


def _note(logs: LogStore, head: Head) -> None:
    """Note in the head that the log is followed, unless a note is recent. A failure does not end the follow."""
    now = now_ms()
    if head.state is State.SEALED or (head.followed_until or 0) - now >= _NOTE_RENEWED:
        return
    try:
        logs.note_follower(head.log_id, now + _NOTE_LASTS)
    except Exception:
        logger.warning("a follower could not be noted", exc_info=True)
