"""Streams of logs that grow, and the notes by which their producers hear of them."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, Field, model_validator

from logkeep.clock import Clock, now_ms
from logkeep.errors import Invalid
from logkeep.limits import LOG_MAX
from logkeep.logid import LogId
from logkeep.logs.head import Head, State
from logkeep.logs.store import LogStore, log_store
from logkeep.ndjson import with_heartbeats
from logkeep.params import Boolean, Decimal
from logkeep.reading.follow import Follower, offset_of, records, tail_at
from logkeep.web.app import Answer, App, logger

CLOCK: Final = Clock()
_NOTED: Final = 45_000  # milliseconds for which a note says that someone follows
_RENEWED: Final = 25_000  # it is made again when less is left, by one of those who follow
_HEADERS: Final = {"Cache-Control": "no-store"}


class FollowQuery(BaseModel):
    """At most one of cursor and tail; without, a log is followed from its beginning."""

    follow: Boolean = False
    cursor: Annotated[str, Field(max_length=64)] | None = None
    tail: Annotated[Decimal, Field(ge=0, le=LOG_MAX)] | None = None  # bytes

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.follow and (self.cursor is not None or self.tail is not None):
            raise ValueError("cursor and tail go with follow=true")
        if self.cursor is not None and self.tail is not None:
            raise ValueError("either cursor or tail")
        return self


def follow_log(app: App, log_id: LogId, query: FollowQuery) -> Answer:
    """A log as it grows, in records of which each tells where to go on behind it."""
    logs = log_store(app.caller.project)
    head = logs.head(log_id)
    position = 0
    if query.cursor is not None:
        position = offset_of(log_id, query.cursor)
        if position > head.end:
            raise Invalid("cursor", f"is beyond the end of the log, which holds {head.end} bytes")
    elif query.tail is not None:
        position = tail_at(logs, head, query.tail)
    follower = follower_of(app, logs, head, position=position)
    return stream(app, "application/x-ndjson", records(follower, app.room), _HEADERS)


def follower_of(app: App, logs: LogStore, head: Head, **options: Any) -> Follower:
    """One who follows for as long as an answer may take, and whom the log's producers hear of."""
    return Follower(logs, head, app.seconds, CLOCK, seen=lambda seen: _note(logs, seen), **options)


def stream(app: App, content_type: str, chunks: Iterator[bytes], headers: Mapping[str, str]) -> Answer:
    return app.stream(content_type, with_heartbeats(chunks, CLOCK), headers)


def _note(logs: LogStore, head: Head) -> None:
    """Tell the writers of a log that it is followed, unless they know; that this fails is no failure of a reader."""
    now = now_ms()
    if head.state is State.SEALED or (head.followed_until or 0) - now >= _RENEWED:
        return
    try:
        logs.note_follower(head.log_id, now + _NOTED)
    except Exception:
        logger.warning("a follower was not noted", exc_info=True)
