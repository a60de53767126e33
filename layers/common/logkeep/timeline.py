"""Counting and paging events by rank: the cards say where a page begins, and only its own minutes are read."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Final, NamedTuple, Protocol

from logkeep.events import DAY, HOUR, MINUTE, TIME_MAX, Event, EventQuery, EventType

HOT_MINUTE: Final = 10_000  # events from which a minute is narrowed to milliseconds before its rows are kept

type Card = Mapping[EventType, Sequence[int]]


class StoredSegment(NamedTuple):
    received_at: int  # epoch ms
    id: str
    rows: list[tuple[int, str]]


class EventReader(Protocol):
    """One service's cards and segments; the keys of days, hours and minutes count from the epoch."""

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
    """The events of some types in order of (occur_time, received_at, segment, index), addressed by rank.

    Rank 0 is the first event of the first day that was read.
    """

    def __init__(self, reader: EventReader, days: Mapping[int, Card], types: Sequence[EventType]) -> None:
        self._reader = reader
        self._types = types
        self._hours: dict[int, list[int]] = {}
        self._days = sorted(days)
        self._slots = [self._sum(days[day]) for day in self._days]
        self._starts = [0, *accumulate(map(sum, self._slots))]

    @property
    def total(self) -> int:
        return self._starts[-1]

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

    def rows(self, first: int, last: int) -> list[Event]:
        """The events of ranks [first, last)."""
        if first >= last:
            return []
        begin, end = self._locate(first), self._locate(last - 1)
        since, before = self._narrow(begin, first)
        until = self._narrow(end, last - 1)[0] if end.count > HOT_MINUTE else end.minute * MINUTE + MINUTE - 1
        found = [
            (
                (time, segment.received_at, segment.id, index),
                Event.model_construct(occur_time=time, event_type=kind, event_info=info),
            )
            for kind in self._types
            for segment in self._reader.segments(kind, begin.minute, end.minute)
            for index, (time, info) in enumerate(segment.rows)
            if since <= time <= until
        ]
        found.sort(key=lambda row: row[0])
        return [event for _, event in found[first - before : last - before]]

    def _locate(self, rank: int) -> _Position:
        index = bisect_right(self._starts, rank) - 1
        hour_starts = [*accumulate(self._slots[index], initial=self._starts[index])]
        hour = bisect_right(hour_starts, rank) - 1
        minutes = self._minutes(self._days[index] * 24 + hour)
        minute_starts = [*accumulate(minutes, initial=hour_starts[hour])]
        minute = bisect_right(minute_starts, rank) - 1
        return _Position((self._days[index] * 24 + hour) * 60 + minute, minute_starts[minute], minutes[minute])

    def _narrow(self, position: _Position, rank: int) -> tuple[int, int]:
        """The millisecond of the event of that rank and the events before it; of a quiet minute, its first."""
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


def read_page(reader: EventReader, query: EventQuery) -> tuple[int, list[Event]]:
    """The exact number of events that the query matches, and its page of them."""
    start = 0 if query.start_time is None else query.start_time
    end = TIME_MAX if query.end_time is None else query.end_time
    days = reader.days(start // DAY, end // DAY)
    types = [EventType.ABNORMAL, EventType.NORMAL] if query.event_type is None else [query.event_type]
    by_type = query.sort_by == "event_type"
    lines = [_Timeline(reader, days, [kind]) for kind in types] if by_type else [_Timeline(reader, days, types)]

    spans = []
    for line in lines:
        first = 0 if query.start_time is None else line.rank(start)
        last = line.total if query.end_time is None else line.rank(end + 1)
        spans.append((first, max(first, last)))
    total = sum(last - first for first, last in spans)

    skip = query.offset * query.limit
    # Descending is ascending read from the other end.
    lower, upper = (skip, skip + query.limit) if query.order == "asc" else (total - skip - query.limit, total - skip)
    events: list[Event] = []
    passed = 0
    for line, (first, last) in zip(lines, spans, strict=True):
        events += line.rows(first + max(0, lower - passed), min(last, first + upper - passed))
        passed += last - first
    return total, events if query.order == "asc" else events[::-1]
