"""Requests and answers of Logkeep's own log routes: append, seal, list."""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from logkeep.clock import DAY, now_ms
from logkeep.errors import Invalid, LogNotFound
from logkeep.limits import APPEND_MAX, APPEND_RAW_MAX, LOG_MAX
from logkeep.logid import LOG_ID_MAX, LogId
from logkeep.logs import labels
from logkeep.logs.fragment import inflate_gzip
from logkeep.logs.head import Certificate, Head, State, Totals
from logkeep.logs.listing import Page, Selection, Window
from logkeep.logs.registration import PAIRS, Registration, RegistrationQuery
from logkeep.logs.store import LogStore
from logkeep.logs.times import zone_of
from logkeep.params import Decimal, Time
from logkeep.web.app import Answer, App

# Seconds after which a producer should append again: while someone follows the log, and while nobody does.
_FOLLOWED_INTERVAL: Final = 3
_INTERVAL: Final = 60

WINDOW_MAX: Final = 31 * DAY  # ms
_LABELS_MAX: Final = 20

type LogIdPart = Annotated[str, Field(max_length=LOG_ID_MAX, pattern=r"^[A-Za-z0-9._/-]*$")]


class AppendQuery(RegistrationQuery):
    """The query of an append. Without an offset the bytes go to the end, and a retry appends them again."""

    offset: Annotated[Decimal, Field(ge=0, le=LOG_MAX)] | None = None


class ListQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: LogIdPart = ""
    marker: LogIdPart = ""  # the last id of the previous page
    limit: Annotated[Decimal, Field(ge=1, le=1000)] = 100
    kind: Literal["task", "build", "check", "cluster", "app"] | None = None
    label: list[Annotated[str, Field(pattern=labels.PAIR)]] = Field(default=[], max_length=_LABELS_MAX)
    state: State | None = None
    since: Time | None = None
    until: Time | None = None

    def selection(self, now: int) -> Selection:
        """What is asked for at `now` (epoch ms). Raises Invalid if there is no such window, or it is too long."""
        pairs = [(key, value) for key, _, value in (each.partition("=") for each in self.label)]
        return Selection(prefix=self.prefix, kind=self.kind, labels=pairs, state=self.state, window=self._window(now))

    def _window(self, now: int) -> Window | None:
        if self.since is None and self.until is None:
            return None
        until = now if self.until is None else self.until
        since = until - DAY if self.since is None else self.since
        if since >= until:
            raise Invalid("since", "must be before until, which is now unless it is sent")
        if until - since > WINDOW_MAX:
            raise Invalid("since", "must be at most 31 days before until, which is now unless it is sent")
        return Window(since, until)


class LogPage(BaseModel):
    """A page of logs, and what it covers: the text of [since, until) in epoch ms, or of all times if both are null.

    `marker` is for the next page. It is null if this page looked at everything that is left. A page may hold few logs,
    or none, and yet have a marker.
    """

    model_config = ConfigDict(frozen=True)

    logs: list[Certificate]
    marker: str | None
    since: int | None
    until: int | None

    @classmethod
    def of(cls, page: Page, window: Window | None) -> "LogPage":
        return cls(
            logs=[Certificate.of(head) for head in page.heads],
            marker=page.marker,
            since=window and window.since,
            until=window and window.until,
        )


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
