"""The follow of a log over HTTP, and the note in its head that makes producers append more often."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from logkeep.clock import Clock, now_ms
from logkeep.errors import Invalid
from logkeep.limits import LOG_MAX
from logkeep.logid import LogId
from logkeep.logs.head import Head, State
from logkeep.logs.store import LogStore, log_store
from logkeep.ndjson import with_heartbeats
from logkeep.params import Boolean, Decimal
from logkeep.reading.follow import Follower, json_lines, offset_of, start_of_last
from logkeep.web.app import Answer, App, logger

CLOCK: Final = Clock()
_CHARGED_SECONDS: Final = 25
_NOTE_LASTS: Final = 45_000  # ms
_NOTE_RENEWED: Final = 25_000  # ms: if less is left, one of the followers makes it again


def _refuse_tail(_: Any) -> None:
    raise ValueError("is not a parameter of this request; use tail_bytes")


class FollowQuery(BaseModel):
    """At most one of cursor and tail_bytes. Without either, a log is followed from its beginning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    follow: Boolean = False
    cursor: Annotated[str, Field(max_length=64)] | None = None
    tail_bytes: Annotated[Decimal, Field(ge=0, le=LOG_MAX)] | None = None
    tail: Annotated[None, BeforeValidator(_refuse_tail)] = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.follow and (self.cursor is not None or self.tail_bytes is not None):
            raise ValueError("cursor and tail_bytes need follow=true")
        if self.cursor is not None and self.tail_bytes is not None:
            raise ValueError("send either cursor or tail_bytes, not both")
        return self


def follow_log(app: App, log_id: LogId, query: FollowQuery) -> Answer:
    """A log as it grows, in JSON lines, each with the cursor after it.

    Raises LogNotFound if there is no log, and Invalid for a cursor of another log or beyond the end.
    """
    logs = log_store(app.caller.project)
    head = logs.head(log_id)
    charge_follow(app)
    position = 0
    if query.cursor is not None:
        position = offset_of(head, query.cursor)
        if position > head.end:
            raise Invalid("cursor", f"is beyond the end of the log, which holds {head.end} bytes")
    elif query.tail_bytes is not None:
        position = start_of_last(logs, head, query.tail_bytes)
    follower = follower_of(app, logs, head, position=position)
    return stream(app, "application/x-ndjson", json_lines(follower, app.room))


def charge_follow(app: App) -> None:
    """Charge a follow for the time that one at the HTTP API lasts. Raises Throttled."""
    app.charge(seconds=_CHARGED_SECONDS)


def follower_of(app: App, logs: LogStore, head: Head, **options: Any) -> Follower:
    """A follower for as long as an answer may take, which notes itself in the log's head."""
    return Follower(logs, head, app.seconds, CLOCK, seen=lambda seen: _note(logs, seen), **options)


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
