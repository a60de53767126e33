"""Counts, pages and searches of events. Cards say where a page begins, so only the minutes of the page are read."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from itertools import accumulate, chain
from typing import Final, NamedTuple, Protocol

from logkeep.clock import DAY, HOUR, MINUTE
from logkeep.errors import Invalid
from logkeep.events.segments import EventType

HOT_MINUTE: Final = 10_000  # of a minute with more events, only the milliseconds of a page are kept in memory
SEARCH_EVENTS: Final = 100_000  # events that one search reads at most
SEARCH_TEXT: Final = 32 << 20  # characters that one search reads at most: 128 MB of memory at worst

type Card = Mapping[EventType, Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Events of some types in [start, end] (epoch ms), and the page wanted of them: `limit` events after `skip`."""

    types: Sequence[EventType]
    start: int
    end: int
    skip: int
    limit: int
    descending: bool


class StoredSegment(NamedTuple):
    received_at: int  # epoch ms
    id: str
    rows: list[tuple[int, str]]


class StoredEvent(NamedTuple):
    """An event and where it is stored. Its first four fields together are unique, and pages are sorted by them."""

    occur_time: int
    received_at: int
    segment: str
    place: int  # in the segment
    type: EventType
    info: str


class EventReader(Protocol):
    """The cards and segments of one service. Days, hours and minutes are counted from the epoch."""

    def days(self, first: int, last: int) -> Mapping[int, Card]:
        """The day cards in [first, last] that have not expired."""
        ...

    def hour(self, hour: int) -> Card: ...

    def segments(self, kind: EventType, first_minute: int, last_minute: int) -> Iterator[StoredSegment]: ...


@dataclass(frozen=True, slots=True)
class _Position:
    minute: int
    before: int  # events of the timeline before the minute
    count: int  # events in it


class _Timeline:
    """Events of some types in order of (occur_time, received_at, segment, place), addressed by rank.

    Rank 0 is the first event of the first day card.
    """

    def __init__(self, reader: EventReader, days: Mapping[int, Card], types: Sequence[EventType]) -> None:
        self._reader = reader
        self._types = types
        self._hours: dict[int, list[int]] = {}
        self._days = sorted(days)
        self._slots = [self._sum(days[day]) for day in self._days]
        self._starts = [0, *accumulate(map(sum, self._slots))]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The ranks of the events in [start, end] (epoch ms): the first, and the one after the last."""
        first = self.rank(start)
        return first, max(first, self.rank(end + 1))

    def rank(self, time: int) -> int:
        """How many events occurred before `time` (epoch ms)."""
        day, hour, minute = time // DAY, time // HOUR, time // MINUTE
        index = bisect_right(self._days, day) - 1
        if index < 0 or self._days[index] != day:
            return self._starts[index + 1]
        rank = self._starts[index] + sum(self._slots[index][: hour % 24])
        if not self._slots[index][hour % 24] or time % HOUR == 0:
            return rank
        minutes = self._minutes(hour)
        rank += sum(minutes[: minute % 60])
        if minutes[minute % 60] and time % MINUTE:
            rank += sum(row_time < time for segment in self._segments(minute, minute) for row_time, _ in segment.rows)
        return rank

    def rows(self, first: int, last: int) -> list[StoredEvent]:
        """The events of ranks [first, last)."""
        if first >= last:
            return []
        begin, end = self._locate(first), self._locate(last - 1)
        since, before = self._narrow(begin, first)
        until = self._narrow(end, last - 1)[0] if end.count > HOT_MINUTE else end.minute * MINUTE + MINUTE - 1
        return sorted(self.scan(since, until))[first - before : last - before]

    def scan(self, start: int, end: int) -> Iterator[StoredEvent]:
        """The events in [start, end] (epoch ms), one segment at a time, unsorted."""
        for kind in self._types:
            for received_at, segment, rows in self._reader.segments(kind, start // MINUTE, end // MINUTE):
                for place, (time, info) in enumerate(rows):
                    if start <= time <= end:
                        yield StoredEvent(time, received_at, segment, place, kind, info)

    def _locate(self, rank: int) -> _Position:
        index = bisect_right(self._starts, rank) - 1
        hour_starts = [*accumulate(self._slots[index], initial=self._starts[index])]
        hour = bisect_right(hour_starts, rank) - 1
        minutes = self._minutes(self._days[index] * 24 + hour)
        minute_starts = [*accumulate(minutes, initial=hour_starts[hour])]
        minute = bisect_right(minute_starts, rank) - 1
        return _Position((self._days[index] * 24 + hour) * 60 + minute, minute_starts[minute], minutes[minute])

    def _narrow(self, position: _Position, rank: int) -> tuple[int, int]:
        """The millisecond of the event of a rank, and how many events are before it.

        In a minute of at most HOT_MINUTE events it is the first millisecond of the minute instead.
        """
        start = position.minute * MINUTE
        if position.count <= HOT_MINUTE:
            return start, position.before
        counts = [0] * MINUTE
        for segment in self._segments(position.minute, position.minute):
            for time, _ in segment.rows:
                counts[time - start] += 1
        starts = [*accumulate(counts, initial=position.before)]
        index = min(bisect_right(starts, rank) - 1, MINUTE - 1)
        return start + index, starts[index]

    def _segments(self, first_minute: int, last_minute: int) -> Iterator[StoredSegment]:
        return chain.from_iterable(self._reader.segments(kind, first_minute, last_minute) for kind in self._types)

    def _minutes(self, hour: int) -> list[int]:
        if hour not in self._hours:
            self._hours[hour] = self._sum(self._reader.hour(hour))
        return self._hours[hour]

    def _sum(self, card: Card) -> list[int]:
        return [sum(slot) for slot in zip(*(card[kind] for kind in self._types), strict=True)]


def read_page(reader: EventReader, wanted: Selection, *, by_type: bool = False) -> tuple[int, list[StoredEvent]]:
    """The exact number of selected events, and the page of them; with `by_type` sorted by type first."""
    days = _days(reader, wanted)
    groups = [[kind] for kind in wanted.types] if by_type else [wanted.types]
    lines = [_Timeline(reader, days, types) for types in groups]
    spans = [line.span(wanted.start, wanted.end) for line in lines]
    total = sum(last - first for first, last in spans)
    # A descending page is the ascending one counted from the other end.
    upper = total - wanted.skip if wanted.descending else wanted.skip + wanted.limit
    lower = upper - wanted.limit
    rows: list[StoredEvent] = []
    passed = 0
    for line, (first, last) in zip(lines, spans, strict=True):
        rows += line.rows(first + max(0, lower - passed), min(last, first + upper - passed))
        passed += last - first
    return total, rows[::-1] if wanted.descending else rows


def search_page(reader: EventReader, wanted: Selection, keyword: str) -> tuple[int, list[StoredEvent]]:
    """As read_page, for the events that contain the keyword in upper or lower case.

    Every selected event is read; only the matches up to the end of the page are kept. Raises Invalid if the selection
    has more than SEARCH_EVENTS events or SEARCH_TEXT characters.
    """
    days = _days(reader, wanted)
    line = _Timeline(reader, days, wanted.types)
    first, last = line.span(wanted.start, wanted.end)
    if last - first > SEARCH_EVENTS:
        raise _too_many(f"{last - first} events, and a search reads at most {SEARCH_EVENTS}")
    if first == last:
        return 0, []
    folded, total, read = keyword.casefold(), 0, 0

    def matches() -> Iterator[StoredEvent]:
        nonlocal total, read
        # Expired segments stay in the table until TTL deletes them.
        for row in line.scan(max(wanted.start, min(days) * DAY), min(wanted.end, max(days) * DAY + DAY - 1)):
            read += len(row.info)
            if read > SEARCH_TEXT:
                raise _too_many(f"more than the {SEARCH_TEXT} characters that a search reads")
            if folded in row.info.casefold():
                total += 1
                yield row

    take = nlargest if wanted.descending else nsmallest
    rows = take(wanted.skip + wanted.limit, matches())[wanted.skip :]
    return total, rows


def _days(reader: EventReader, wanted: Selection) -> Mapping[int, Card]:
    return reader.days(wanted.start // DAY, wanted.end // DAY) if wanted.types else {}


def _too_many(found: str) -> Invalid:
    return Invalid("event_info_key", f"the range holds {found}; ask for a shorter one")
