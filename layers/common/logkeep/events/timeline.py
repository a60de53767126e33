"""Counting, paging and searching events: the cards say where a page begins, and only its own minutes are read."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from itertools import accumulate, chain
from typing import Final, NamedTuple, Protocol

from logkeep.clock import DAY, HOUR, MINUTE
from logkeep.errors import Invalid
from logkeep.events.segments import EventType, Selection

HOT_MINUTE: Final = 10_000  # events from which a minute is narrowed to milliseconds before its rows are kept
SEARCH_EVENTS: Final = 100_000  # that one search reads
SEARCH_TEXT: Final = 32 << 20  # characters that one search reads: 128 MB of memory at worst

type Card = Mapping[EventType, Sequence[int]]


class StoredSegment(NamedTuple):
    received_at: int  # epoch ms
    id: str
    rows: list[tuple[int, str]]


class StoredEvent(NamedTuple):
    """An event and where it is stored; its first four fields are unique, and sort as pages do."""

    occur_time: int
    received_at: int
    segment: str
    place: int  # in the segment
    type: EventType
    info: str


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

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The ranks of the events in [start, end] (epoch ms): first, and behind the last."""
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
        """The events in [start, end] (epoch ms), a segment at a time, in no order."""
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


def read_page(reader: EventReader, wanted: Selection, *, by_type: bool = False) -> tuple[int, list[StoredEvent]]:
    """The exact number of events that are selected, and the wanted rows of them."""
    days = _days(reader, wanted)
    groups = [[kind] for kind in wanted.types] if by_type else [wanted.types]
    lines = [_Timeline(reader, days, types) for types in groups]
    spans = [line.span(wanted.start, wanted.end) for line in lines]
    total = sum(last - first for first, last in spans)
    # Descending is ascending read from the other end.
    upper = total - wanted.skip if wanted.descending else wanted.skip + wanted.limit
    lower = upper - wanted.limit
    rows: list[StoredEvent] = []
    passed = 0
    for line, (first, last) in zip(lines, spans, strict=True):
        rows += line.rows(first + max(0, lower - passed), min(last, first + upper - passed))
        passed += last - first
    return total, rows[::-1] if wanted.descending else rows


def search_page(reader: EventReader, wanted: Selection, keyword: str) -> tuple[int, list[StoredEvent]]:
    """As read_page, of the events that hold the keyword in whatever case.

    Every selected event is read; only the matches up to the wanted rows are kept. Raise Invalid beyond SEARCH_EVENTS or
    SEARCH_TEXT.
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
        # What has expired may still lie there until TTL collects it.
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


def _too_many(what: str) -> Invalid:
    return Invalid("event_info_key", f"the range holds {what}; ask for a shorter one")
