"""CSS's search in a log: the newest log records of some levels, before a time, with a keyword (docs/search.md).

A page is a stretch of the log, and `marker` is where it begins. Clients that continue from the marker get every record
once. The published clients continue from the date of the oldest record instead. For them a page ends at a place where
all remaining records are older. That works unless more records than the limit have the same millisecond, or are out of
order by at most DISORDER.
"""

import codecs
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, field_validator

from logkeep.limits import PAGE_MAX
from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.logs.levels import LEVELS
from logkeep.logs.reader import LogReader
from logkeep.params import Decimal, Segment
from logkeep.reading import backwards
from logkeep.reading.backwards import DISORDER, Backwards, Record, Wanted

READ_MAX: Final = 64 << 20  # raw bytes of a log that one search reads
AHEAD_MAX: Final = 4 << 20  # bytes read after a full page, to find where it can end
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_INDEX: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{3}", re.ASCII)
_NEVER: Final = -(1 << 62)  # before all times: stands for the time of a record without one


def _level(text: str) -> str:
    if text != "ALL" and not set(text.split("|")) <= set(LEVELS):
        raise ValueError(f"must be ALL, or one or more of {', '.join(LEVELS)}, joined by |")
    return text


def _time_index(text: str) -> str:
    if not _TIME_INDEX.fullmatch(text):
        raise ValueError("must be like 2026-01-31T08:00:00,000")
    datetime.fromisoformat(text)
    return text


class SearchRequest(BaseModel):
    """The body of logs/search. `marker` is ours and comes from the previous answer."""

    model_config = ConfigDict(frozen=True)

    # Older clients write instanceName and logType.
    instance_name: Segment = Field(validation_alias=AliasChoices("instance_name", "instanceName"))
    log_type: Literal["deprecation", "indexingSlow", "searchSlow", "instance"] = Field(
        validation_alias=AliasChoices("log_type", "logType")
    )
    level: Annotated[str, AfterValidator(_level)] = "ALL"
    limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    time_index: Annotated[str, AfterValidator(_time_index)] | None = None
    keyword: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_\-. \[\]]*$")] = ""
    marker: Annotated[Decimal, Field(ge=0)] | None = None

    @field_validator("level", "limit", "time_index", "keyword", mode="before")
    @classmethod
    def _empty_is_the_default(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].default if value in ("", None) else value

    def log_id(self, cluster_id: str) -> LogId:
        return LogId("cluster", (cluster_id, self.instance_name, self.log_type))

    @property
    def wanted(self) -> Wanted:
        before = None
        if self.time_index:
            before = (datetime.fromisoformat(self.time_index).replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
        return Wanted(
            levels=None if self.level == "ALL" else frozenset(self.level.split("|")),
            before=before,
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
    """A page of at most `limit` records and PAGE_MAX bytes. It ends early if it is late or READ_MAX bytes were read."""
    end = head.end if request.marker is None else min(head.end, request.marker)
    records = Backwards(reader, head, end, request.wanted, READ_MAX, is_late)
    page: list[tuple[Record, LogItem]] = []
    rest: int | None = None  # the newest time among the records that do not fit
    size = floor = 0
    for record in records:
        if rest is None and len(page) < request.limit:
            item = LogItem(content=_text(record.text), date=_date(record.time), level=record.level)
            size += len(item.model_dump_json().encode()) + 1
            if size <= PAGE_MAX or not page:
                page.append((record, item))
                if len(page) == request.limit:
                    floor = _look_ahead(records, page)
                continue
            floor = _look_ahead(records, page)
        rest = max(_order(record), _NEVER if rest is None else rest)
        if _order(record) < floor:
            break
    kept = page if rest is None else page[: _cut(page, rest)]
    completed = records.is_complete and rest is None
    marker = kept[-1][0].start if rest is not None else records.reached
    newest = sorted(kept, key=lambda each: _order(each[0]), reverse=True)
    return SearchAnswer(
        logList=[item for _, item in newest],
        type=request.log_type,
        completed=completed,
        marker=None if completed else str(marker),
    )


def _look_ahead(records: Backwards, page: list[tuple[Record, LogItem]]) -> int:
    """Let `records` end DISORDER before the oldest record of a full page. Return the time at which they end, in ms."""
    records.budget = min(records.budget, AHEAD_MAX)
    floor = min(_order(record) for record, _ in page) - DISORDER
    records.not_before = floor
    return floor


def _cut(page: list[tuple[Record, LogItem]], rest: int) -> int:
    """How many records of a page to keep so that all that follow are older; the whole page if there is no such place.

    `rest` is the newest time among the records after the page.
    """
    oldest, floor = [], 1 << 62
    for record, _ in page:
        floor = min(floor, _order(record))
        oldest.append(floor)
    for kept in range(len(page), 0, -1):
        if oldest[kept - 1] > rest:
            return kept
        rest = max(rest, _order(page[kept - 1][0]))
    return len(page)


def _order(record: Record) -> int:
    return _NEVER if record.time is None else record.time


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
