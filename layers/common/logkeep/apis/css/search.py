"""CSS's search in a log: the newest log records of some levels, before a time, with a keyword (docs/search.md).

A page holds the newest records by time, also where the log's clock went back. Clients that continue from `marker` get
every record once. The published clients continue from the date of the oldest record instead. They do, too, unless more
records than the limit have the same millisecond, or a search ends early (`completed` is false) before it has found the
newest.
"""

import bisect
import codecs
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
)

from logkeep.errors import Invalid
from logkeep.limits import PAGE_MAX
from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.logs.levels import LEVELS
from logkeep.logs.reader import LogReader
from logkeep.params import Decimal, Segment
from logkeep.reading import backwards
from logkeep.reading.backwards import Backwards, Wanted

READ_MAX: Final = 64 << 20  # raw bytes of a log that one search reads
AHEAD_MAX: Final = 16 << 20  # bytes read after a full page, to find newer records before it
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_INDEX: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{3}", re.ASCII)
_MARKER: Final = re.compile(r"(\d{1,19})(k?)(?:\.(-?\d{1,19})\.(\d{1,19}))?@([0-9a-f]{12})", re.ASCII)
_LEVELS: Final = r"^(ALL|({0})(\|({0}))*)$".format("|".join(LEVELS))


def _or_empty(schema: dict[str, Any]) -> None:
    """Document that an empty value stands for the default."""
    own = {name: schema.pop(name) for name in list(schema) if name not in {"title", "default"}}
    schema["anyOf"] = [own, {"enum": ["", None]}]


def _level(text: str) -> str:
    if text != "ALL" and not set(text.split("|")) <= set(LEVELS):
        raise ValueError(f"must be ALL, or one or more of {', '.join(LEVELS)}, joined by |")
    return text


def _time_index(text: str) -> str:
    if not _TIME_INDEX.fullmatch(text):
        raise ValueError("must be like 2026-01-31T08:00:00,000")
    datetime.fromisoformat(text)
    return text


class Marker(NamedTuple):
    """What is left for the pages after one: the records before a byte that are before a place in their order."""

    end: int
    has_keyword: bool = False  # in the record at `end`, after it
    before: tuple[int, int] | None = None  # Record.order
    birth: str = ""  # of the log

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Read one as `__str__` writes it. Raises ValueError."""
        match = _MARKER.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError("must be a marker of an earlier answer")
        before = (int(match[3]), int(match[4])) if match[3] else None
        return cls(int(match[1]), match[2] == "k", before, match[5])

    def __str__(self) -> str:
        before = "" if self.before is None else f".{self.before[0]}.{self.before[1]}"
        return f"{self.end}{'k' if self.has_keyword else ''}{before}@{self.birth}"


class SearchRequest(BaseModel):
    """The body of logs/search. `marker` is ours and comes from the previous answer."""

    model_config = ConfigDict(frozen=True)

    # Older clients write instanceName and logType.
    instance_name: Segment = Field(validation_alias=AliasChoices("instance_name", "instanceName"))
    log_type: Literal["deprecation", "indexingSlow", "searchSlow", "instance"] = Field(
        validation_alias=AliasChoices("log_type", "logType")
    )
    level: Annotated[str, AfterValidator(_level), WithJsonSchema({"type": "string", "pattern": _LEVELS})] = Field(
        default="ALL", json_schema_extra=_or_empty
    )
    limit: Annotated[Decimal, Field(ge=1, le=10_000)] = Field(default=100, json_schema_extra=_or_empty)
    time_index: Annotated[str, AfterValidator(_time_index)] | None = Field(
        default=None, examples=["2026-01-31T08:00:00,000"], json_schema_extra=_or_empty
    )
    keyword: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_\-. \[\]]*$")] = Field(
        default="", json_schema_extra=_or_empty
    )
    marker: Annotated[Marker, BeforeValidator(Marker.parse), WithJsonSchema({"type": "string"})] | None = None

    @field_validator("level", "limit", "time_index", "keyword", mode="before")
    @classmethod
    def _empty_is_the_default(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].default if value in ("", None) else value

    def log_id(self, cluster_id: str) -> LogId:
        return LogId("cluster", (cluster_id, self.instance_name, self.log_type))

    @property
    def wanted(self) -> Wanted:
        before = [self.marker.before] if self.marker and self.marker.before else []
        if self.time_index:
            moment = datetime.fromisoformat(self.time_index).replace(tzinfo=UTC)
            before.append(((moment - _EPOCH) // timedelta(milliseconds=1), -1))
        return Wanted(
            levels=None if self.level == "ALL" else frozenset(self.level.split("|")),
            before=min(before, default=None),
            keyword=self.keyword.encode(),
        )


class LogItem(BaseModel):
    """A log record: its first TEXT_MAX bytes, its time in UTC in the format of `time_index`, its level."""

    content: str
    date: str | None
    level: str | None


class SearchAnswer(BaseModel):
    """Matches, newest first. `completed` if nothing older matches; otherwise `marker` is for the next page."""

    logList: list[LogItem]
    type: str
    completed: bool
    marker: str | None


def no_matches(request: SearchRequest) -> SearchAnswer:
    """The answer for an instance that has no log of the type."""
    return SearchAnswer(logList=[], type=request.log_type, completed=True, marker=None)


def search(reader: LogReader, head: Head, request: SearchRequest, is_late: Callable[[], bool]) -> SearchAnswer:
    """A page of at most `limit` records and PAGE_MAX bytes. It ends early if it is late or READ_MAX bytes were read.

    Raises Invalid for a marker of a log of this id that was deleted.
    """
    begin = request.marker or Marker(head.end, birth=head.birth)
    if begin.birth != head.birth:
        raise Invalid("marker", "is not a marker of this log, which may have been deleted and begun anew")
    begin = begin._replace(end=min(head.end, begin.end))
    records = Backwards(reader, head, begin.end, request.wanted, READ_MAX, is_late, has_keyword=begin.has_keyword)
    last, newest = _Page(request.limit), _Page(request.limit)
    for record in records:
        if last.is_full:
            last.leave(record.order)
        if newest.is_full and record.order < newest.oldest:
            newest.leave(record.order)
            continue
        item = LogItem(content=_text(record.text), date=_date(record.time), level=record.level)
        if not last.is_full:
            last.add(record.order, item, keep_newest=False)
        newest.add(record.order, item, keep_newest=True)
        if newest.is_full:
            # Only what is newer than the oldest of the page is looked for now.
            records.budget = min(records.budget, AHEAD_MAX)
            records.not_before = newest.oldest[0]
    # If newer ones may be left, the last records of the log are the page: only its end is a place to continue from.
    page = newest if records.is_settled else last
    if records.is_settled:
        page.leave_ties()
    if page.left is None:
        marker = begin._replace(end=records.reached, has_keyword=records.has_keyword)
    elif page.left_start < page.first_start:
        marker = begin._replace(end=page.first_start, has_keyword=False)
    else:
        marker = begin._replace(before=page.oldest)
    completed = records.is_complete and page.left is None
    return SearchAnswer(
        logList=page.newest_first(),
        type=request.log_type,
        completed=completed,
        marker=None if completed else str(marker),
    )


class _Page:
    """The records of an answer, at most `limit` and PAGE_MAX bytes, and what is known of those that were left out."""

    def __init__(self, limit: int) -> None:
        self.is_full = False
        self.left: tuple[int, int] | None = None  # the newest record that was left out
        self.left_start = -1  # the last one in the log
        self._limit = limit
        self._kept: list[tuple[tuple[int, int], int, LogItem]] = []  # by Record.order, with sizes in bytes
        self._size = 0

    @property
    def oldest(self) -> tuple[int, int]:
        return self._kept[0][0]

    @property
    def first_start(self) -> int:
        """Where the first of the records begins in the log."""
        return min(start for (_, start), _, _ in self._kept)

    def newest_first(self) -> list[LogItem]:
        return [item for _, _, item in reversed(self._kept)]

    def add(self, order: tuple[int, int], item: LogItem, *, keep_newest: bool) -> None:
        """Take a record in. If there is no room, leave out the oldest, or this one. A page has at least one."""
        size = len(item.model_dump_json().encode()) + 1
        each = (order, size, item)
        bisect.insort(self._kept, each, key=lambda kept: kept[0])
        self._size += size
        while len(self._kept) > self._limit or (self._size > PAGE_MAX and len(self._kept) > 1):
            left = self._kept.pop(0 if keep_newest else self._kept.index(each))
            self._size -= left[1]
            self.leave(left[0])
        self.is_full = self.is_full or len(self._kept) == self._limit

    def leave(self, order: tuple[int, int]) -> None:
        """Note that a record is left out."""
        self.is_full = True
        self.left = max(order, self.left or order)
        self.left_start = max(order[1], self.left_start)

    def leave_ties(self) -> None:
        """Leave out records of the same time as one that is left out, unless there are no others.

        Clients that continue from a date ask for what is older.
        """
        if self.left is None:
            return
        ties = [order for order, _, _ in self._kept if order[0] <= self.left[0]]
        if len(ties) < len(self._kept):
            del self._kept[: len(ties)]
            for order in ties:
                self.leave(order)


def _text(body: bytes) -> str:
    """Decode a record. Bytes that are not UTF-8 become U+FFFD; half a character at the end of a cut one is left out."""
    return codecs.utf_8_decode(body, "replace", len(body) < backwards.TEXT_MAX)[0]


def _date(time: int | None) -> str | None:
    """The time in the format of `time_index`; None without a time, or outside the years 1 to 9999."""
    if time is None:
        return None
    try:
        moment = _EPOCH + timedelta(milliseconds=time)
    except OverflowError:
        return None
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds").replace(".", ",")
