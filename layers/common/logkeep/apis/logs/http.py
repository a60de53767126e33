"""Requests and answers of Logkeep's own log routes: append, seal, list."""

from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from logkeep.clock import now_ms
from logkeep.errors import Invalid, LogNotFound
from logkeep.limits import APPEND_MAX, APPEND_RAW_MAX, LOG_MAX
from logkeep.logid import LOG_ID_MAX, LogId
from logkeep.logs import labels
from logkeep.logs.fragment import inflate_gzip
from logkeep.logs.head import Certificate, Head, Totals
from logkeep.logs.registration import PAIRS, Registration, RegistrationQuery
from logkeep.logs.store import LogStore
from logkeep.logs.times import zone_of
from logkeep.params import Decimal
from logkeep.web.app import Answer, App

# Seconds after which a producer should append again: while someone follows the log, and while nobody does.
_FOLLOWED_INTERVAL: Final = 3
_INTERVAL: Final = 30

type LogIdPart = Annotated[str, Field(max_length=LOG_ID_MAX, pattern=r"^[A-Za-z0-9._/-]*$")]


class AppendQuery(RegistrationQuery):
    """The query of an append. Without an offset the bytes go to the end, and a retry appends them again."""

    offset: Annotated[Decimal, Field(ge=0, le=LOG_MAX)] | None = None


class ListQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: LogIdPart = ""
    marker: LogIdPart = ""  # the last id of the previous page
    limit: Annotated[Decimal, Field(ge=1, le=1000)] = 100


class LogPage(BaseModel):
    """A page of logs. `marker` is for the next page, and null on the last one."""

    model_config = ConfigDict(frozen=True)

    logs: list[Certificate]
    marker: str | None

    @classmethod
    def of(cls, heads: Sequence[Head], limit: int) -> "LogPage":
        """The first `limit` heads. If there are more, there is a next page."""
        shown = heads[:limit]
        marker = str(shown[-1].log_id) if len(heads) > limit else None
        return cls(logs=[Certificate.of(head) for head in shown], marker=marker)


def check_readable(logs: LogStore, log_id: LogId, registration: Registration | None = None) -> None:
    """Raises Invalid for a new log that no published API could find, by its id or by a registration."""
    reason = log_id.why_unreadable
    if reason is None or registration:
        return
    try:
        logs.head(log_id)  # it was begun with a registration, or before this was checked
    except LogNotFound:
        names = " and ".join(PAIRS[log_id.kind])
        raise Invalid("log_id", f"{reason}; send one that is, or {names}") from None


def time_zone_of(app: App) -> str | None:
    """The time zone of a new log, from the header Logkeep-Timezone. Raises Invalid if there is no such zone."""
    name = app.headers.get("logkeep-timezone", "").strip()
    try:
        if name:
            zone_of(name)
    except ValueError as error:
        raise Invalid("Logkeep-Timezone", str(error)) from error
    return name or None


def labels_of(app: App, log_id: LogId) -> labels.Labels:
    """The labels of a new log, from the header Logkeep-Labels. Raises Invalid if they are none."""
    return labels.parse(app.headers.get("logkeep-labels", ""), log_id)


def pieces_of(app: App) -> Callable[[], Iterator[bytes]]:
    """The text of an append's body, inflated if it is gzip.

    The result can be called again, to read the text once more. Raises TooLarge for a body of more than APPEND_MAX, and
    UnsupportedCoding for one that is compressed in another way.
    """
    media_type = app.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_gzipped = app.is_gzipped or media_type in {"application/gzip", "application/x-gzip"}
    body = app.body(APPEND_MAX, exact=True)
    if is_gzipped:
        return lambda: inflate_gzip(body, APPEND_RAW_MAX)
    return lambda: iter((body,) if body else ())


def totals_of(app: App) -> Totals:
    """The body of a seal, which may be empty."""
    return app.json_body(Totals, optional=True)


def answer_appended(app: App, head: Head, *, grew: bool) -> Answer[Certificate]:
    """The certificate: 202 if the log grew, 200 if it already held the bytes. `Range` ends with the next offset."""
    status = HTTPStatus.ACCEPTED if grew else HTTPStatus.OK
    interval = _FOLLOWED_INTERVAL if (head.followed_until or 0) > now_ms() else _INTERVAL
    headers = {"Range": f"bytes=0-{head.end}", "Logkeep-Interval": str(interval)}
    return app.answer_json(Certificate.of(head), status, headers)
