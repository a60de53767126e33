"""Requests and answers about the end of logs: deletions, holds, retention (docs/retention.md)."""

from collections.abc import Iterable
from functools import cache
from itertools import islice
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from logkeep.backups.records import BackupRecord
from logkeep.backups.store import backup_store
from logkeep.clock import DAY, now_ms
from logkeep.errors import Invalid
from logkeep.logid import KINDS, LOG_ID_MAX, LogId
from logkeep.logs.deletion import Deletion, DeletionCertificate
from logkeep.logs.deletion_store import deleting
from logkeep.logs.head import Certificate
from logkeep.logs.retention import DAYS_MAX, why_no_prefix
from logkeep.logs.retention_store import Expiry
from logkeep.logs.store import log_store
from logkeep.params import Decimal, Integer, Time
from logkeep.settings import settings
from logkeep.web.app import Answer, App
from logkeep.web.parsing import Nothing

SPAN_MAX: Final = 366 * DAY  # ms
_DAYS: Final = 31 * DAY
_RECOVERABLE: Final = 35 * DAY  # ms for which point-in-time recovery brings items of a table back
_VERSIONS_LAST: Final = 2 * DAY  # ms after which the bucket's lifecycle has removed the versions of what was deleted
_BACKUPS_SHOWN: Final = 50
_PREFIXES_MAX: Final = 100


class DeletionQuery(BaseModel):
    """Either the id of a log, or a time. Without either, the last 31 days."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_id: Annotated[str, Field(max_length=LOG_ID_MAX)] | None = None
    since: Time | None = None
    until: Time | None = None
    marker: Annotated[str, Field(pattern=r"^([0-9]{13}/[A-Za-z0-9._/-]{1,512})?$")] = ""
    limit: Annotated[Decimal, Field(ge=1, le=1000)] = 100

    def span(self, now: int) -> tuple[int, int]:
        """[since, until) in epoch milliseconds. Raises Invalid if it is empty or too long, or beside an id."""
        if self.log_id is not None and not (self.since is None and self.until is None):
            raise Invalid("since", "is for the deletions of all logs; send it without log_id")
        until = now + 1 if self.until is None else self.until
        since = max(0, until - _DAYS) if self.since is None else self.since
        if not since < until <= since + SPAN_MAX:
            raise Invalid("since", "must be before until, by at most 366 days")
        return since, until


class HeldBy(BaseModel):
    """Where text that was deleted may still be, and until when. Times are in epoch milliseconds.

    What is recovered from there is not shown to anyone by itself.
    """

    model_config = ConfigDict(frozen=True)

    backups: list[str]  # ids of those that were made while the log was there, at most 50
    more_backups: bool  # whether there are others
    table_until: int | None  # point-in-time recovery of the table; null until the text was removed
    versions_until: int | None  # versions of objects in a bucket with Object Lock; null as well if there are none


class ListedDeletion(DeletionCertificate):
    held_by: HeldBy

    @classmethod
    def seen(cls, deletion: Deletion, backups: Iterable[BackupRecord]) -> Self:
        holding = [each.id for each in backups if each.may_hold(deletion.began, deletion.at)]
        removed = deletion.removed_at
        held_by = HeldBy(
            backups=holding[:_BACKUPS_SHOWN],
            more_backups=len(holding) > _BACKUPS_SHOWN,
            table_until=removed and removed + _RECOVERABLE,
            versions_until=removed + _VERSIONS_LAST if removed and settings().backup_lock_days else None,
        )
        return cls(**cls.fields_of(deletion), held_by=held_by)


class DeletionPage(BaseModel):
    """A page of deletions: of one log's id the newest first, otherwise the oldest first.

    `marker` is for the next page, and null on the last one.
    """

    model_config = ConfigDict(frozen=True)

    deletions: list[ListedDeletion]
    marker: str | None


type Days = Annotated[Integer, Field(ge=1, le=DAYS_MAX)] | None


class RetentionChange(BaseModel):
    """For how many days logs are kept after their last append, by kind and by prefix; null: they are kept.

    A prefix is of whole segments. The longest that fits a log counts, before its kind.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: dict[str, Days] = {}
    prefixes: dict[str, Days] = Field(default={}, max_length=_PREFIXES_MAX)

    @field_validator("kinds")
    @classmethod
    def _are_kinds(cls, kinds: dict[str, Days]) -> dict[str, Days]:
        for each in kinds.keys() - set(KINDS):
            raise ValueError(f"{each[:80]!r} is none of {', '.join(KINDS)}")
        return kinds

    @field_validator("prefixes")
    @classmethod
    def _exist(cls, prefixes: dict[str, Days]) -> dict[str, Days]:
        for each in prefixes:
            if len(each) > LOG_ID_MAX or (why := why_no_prefix(each)):
                raise ValueError(
                    f"{each[:80]!r} is no prefix of log ids: {why if len(each) <= LOG_ID_MAX else 'too long'}"
                )
        return prefixes


class ShownRetention(BaseModel):
    """For how many days logs are kept after their last append; null: they are kept.

    `default` is the stack's. While it is `paused`, as after a rebuild of the table, nothing expires.
    """

    model_config = ConfigDict(frozen=True)

    default: int | None
    kinds: dict[str, int | None]
    prefixes: dict[str, int | None]
    paused: bool


def answer_retention(app: App) -> Answer[ShownRetention]:
    app.query(Nothing)
    return _answer_retention(app, log_store(app.caller.project).expiry)


def set_retention(app: App) -> Answer[ShownRetention]:
    """What expires by it leaves every answer at once. It is deleted three days later, unless it is set anew."""
    app.query(Nothing)
    change = app.json_body(RetentionChange)
    expiry = log_store(app.caller.project).expiry
    expiry.set(change.kinds, change.prefixes)
    return _answer_retention(app, expiry)


def _answer_retention(app: App, expiry: Expiry) -> Answer[ShownRetention]:
    now = expiry.read()
    shown = ShownRetention(default=now.default, kinds=dict(now.kinds), prefixes=dict(now.prefixes), paused=now.paused)
    return app.answer_json(shown)


def retention_of(app: App) -> int | None:
    """The days of a new log, from the header Logkeep-Retention-Days. Raises Invalid if it is no number."""
    text = app.headers.get("logkeep-retention-days", "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:6]) <= DAYS_MAX:
        raise Invalid("Logkeep-Retention-Days", f"must be 1 to {DAYS_MAX}")
    return int(text)


def answer_deleted(app: App, log_id: LogId) -> Answer[DeletionCertificate]:
    """Raises LogNotFound, or Conflict if the log is held."""
    app.query(Nothing)
    return app.answer_json(DeletionCertificate.of(deleting(app.caller.project).delete(log_id, app.caller.credential)))


def answer_held(app: App, log_id: LogId, *, on: bool) -> Answer[Certificate]:
    """Raises LogNotFound."""
    app.query(Nothing)
    return app.answer_json(Certificate.of(log_store(app.caller.project).hold(log_id, on=on)))


def answer_deletions(app: App) -> Answer[DeletionPage]:
    """Raises Invalid for a span that is empty or longer than 366 days."""
    query, project = app.query(DeletionQuery), app.caller.project
    since, until = query.span(now_ms())
    app.charge(read_units=query.limit)
    known = log_store(project).deletions

    @cache
    def backups(cluster: str) -> list[BackupRecord]:
        return list(backup_store(project, cluster).records())

    if query.log_id is not None:
        of_log = islice(known.of_log(LogId.parse(query.log_id)), query.limit)
        found = [("", each) for each in of_log]
    else:
        found = list(islice(known.between(since, until, query.marker), query.limit + 1))
    marker = found[query.limit - 1][0] if len(found) > query.limit else None
    seen = [
        ListedDeletion.seen(each, backups(each.log_id.segments[0]) if each.log_id.kind == "cluster" else ())
        for _, each in found[: query.limit]
    ]
    return app.answer_json(DeletionPage(deletions=seen, marker=marker))
