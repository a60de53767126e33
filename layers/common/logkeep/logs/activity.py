"""Activity: on which days a log received text, and of which other times its text is (docs/formats.md#activity).

A row of a day says that a log received text on it. Such text is of that day, or at most a day older than its arrival or
an hour younger. Other text is odd: one row for each log that has some covers its times, for all days.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from logkeep.clock import DAY, HOUR, MINUTE
from logkeep.logid import LogId
from logkeep.logs.fragment import Fragment
from logkeep.logs.head import Head
from logkeep.logs.labels import Labels
from logkeep.logs.levels import GRAMMAR

SHARDS: Final = 16
EARLY: Final = DAY  # ms by which text may be older than its arrival and is not odd
LATE: Final = HOUR  # ms by which it may be younger
_LATE_COMMIT: Final = MINUTE  # by which an append may have arrived before one that was committed earlier
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

type Span = tuple[int, int]  # the least and the greatest time, in epoch ms


@dataclass(frozen=True, slots=True)
class Sighting:
    """A row: a log's text of a day (yyyymmdd, UTC) that arrived at `span`, or without a day its odd text."""

    log_id: LogId
    birth: str
    labels: Labels
    day: int | None
    span: Span

    def may_be_of(self, head: Head, since: int, until: int) -> bool:
        """Whether the text that it is about may be of [since, until), by its times or, without any, by its arrival."""
        if head.birth != self.birth:
            return False
        first, last = self.span
        least, greatest = _times(head)
        if self.day is None:
            return max(first, least) < until and since <= min(last, greatest)
        last = min(last, head.received_at or last)
        is_timed = max(first - EARLY, least) < until and since <= min(last + LATE, greatest)
        return is_timed or (first < until and since <= last)


def _times(head: Head) -> Span:
    """Between which times the text of a log is, if it has any."""
    if head.grammar != GRAMMAR:  # found with an older one
        return -(1 << 62), 1 << 62
    if head.least_time is None or head.greatest_time is None:
        return 1 << 62, -(1 << 62)
    return head.least_time, head.greatest_time


def shard_of(log_id: LogId) -> int:
    """Which of a day's partitions has the row of a log."""
    return zlib.crc32(str(log_id).encode()) % SHARDS


def day_of(time: int) -> int:
    """The day of a time (epoch ms) in UTC, as yyyymmdd."""
    date = _EPOCH + timedelta(milliseconds=time)
    return date.year * 10_000 + date.month * 100 + date.day


def days(since: int, until: int, now: int) -> Iterator[int]:
    """The days on which text of [since, until) may have arrived that was there `now`, unless it is odd."""
    time = (since - LATE) // DAY * DAY
    last = min(until - 1 + EARLY, now)
    while time <= last:
        yield day_of(time)
        time += DAY


def span_of(day: int) -> Span:
    """The first and the last millisecond of a day."""
    start = datetime(day // 10_000, day // 100 % 100, day % 100, tzinfo=UTC) - _EPOCH
    first = start // timedelta(milliseconds=1)
    return first, first + DAY - 1


def noted(head: Head, fragments: Sequence[Fragment], arrival: int) -> tuple[Head, list[Sighting]]:
    """The head after an append brought these fragments at `arrival` (epoch ms), and the rows to be written with it.

    There is one for the first append of a day, and mostly none for the others.
    """
    if not fragments:
        return head, []
    rows, day = [], day_of(arrival)
    first, last = span_of(day)
    if head.day is None or head.day < day:
        head = replace(head, day=day)
        rows.append(Sighting(head.log_id, head.birth, head.labels, day, (max(first, arrival - _LATE_COMMIT), last)))
    elif day < head.day or arrival < (head.received_at or 0) - _LATE_COMMIT:
        # A restore after newer text, or a writer that is late at midnight. There may be a row of that day already, with
        # a first arrival that is not known here.
        rows.append(Sighting(head.log_id, head.birth, head.labels, day, (first, last)))
    odd = _odd(fragments, arrival)
    if odd and not (head.odd and head.odd[0] <= odd[0] and odd[1] <= head.odd[1]):
        span = widened(head.odd, odd)
        head = replace(head, odd=span)
        rows.append(Sighting(head.log_id, head.birth, head.labels, None, span))
    return head, rows


def widened(known: Span | None, more: Span) -> Span:
    """A span of whole days that covers both.

    Where `known` is too short, it grows by its own length at least. So lines whose times creep on, such as those of an
    old file that is sent in order, change it as often as a span of a day can be doubled, not once for each append.
    """
    least, greatest = more[0] // DAY * DAY, more[1] // DAY * DAY + DAY - 1
    if known is None:
        return least, greatest
    length = known[1] - known[0] + 1
    return (
        known[0] if known[0] <= least else min(least, known[0] - length),
        known[1] if greatest <= known[1] else max(greatest, known[1] + length),
    )


def _odd(fragments: Iterable[Fragment], arrival: int) -> Span | None:
    """What the odd text of an append spans."""
    early, late = arrival - EARLY, arrival + LATE
    spans = []
    for each in fragments:
        least, greatest = each.least_time, each.greatest_time
        if least is None or greatest is None:
            continue
        if least < early:
            spans.append((least, greatest if greatest > late else min(greatest, early)))
        elif greatest > late:
            spans.append((max(least, late), greatest))
    return (min(least for least, _ in spans), max(greatest for _, greatest in spans)) if spans else None
