import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.apis.modelarts.events import EventQuery
from logkeep.clock import DAY, HOUR, MINUTE
from logkeep.errors import Invalid
from logkeep.events import timeline
from logkeep.events.segments import (
    EVERY_TYPE,
    TIME_MAX,
    Event,
    EventType,
    Segment,
    pack_segments,
    slots_of,
    unpack_segment,
)
from logkeep.events.timeline import Card, Selection, StoredEvent, StoredSegment, read_page, search_page

pytestmark = pytest.mark.unit

NOON = 1_769_860_800_000  # 2026-01-31T12:00:00Z


class MemoryEvents:
    """An EventReader over the segments and cards of requests, which counts how it is read."""

    def __init__(self, requests: Iterable[tuple[int, list[Event]]] = ()) -> None:
        self._segments: list[tuple[int, Segment]] = []
        self._cards: defaultdict[str, Counter[tuple[EventType, int]]] = defaultdict(Counter)
        self._days: set[int] = set()
        self.calls: list[str] = []
        self.decoded = 0
        for number, (received_at, events) in enumerate(requests):
            self.put(received_at, events, str(number))

    def put(self, received_at: int, events: list[Event], salt: str) -> None:
        for segment in pack_segments(events, salt):
            self._segments.append((received_at, segment))
            self._days.add(segment.minute // 1440)
            for slot in slots_of(segment):
                self._cards[slot.card][slot.type, slot.index] += segment.count

    def ordered(self) -> list[Event]:
        """All events in the order that pages promise."""
        rows = [
            ((time, received_at, segment.id, index), event(time, segment.type, info))
            for received_at, segment in self._segments
            for index, (time, info) in enumerate(unpack_segment(segment.packed))
        ]
        return [each for _, each in sorted(rows, key=lambda row: row[0])]

    def _card(self, key: str, slots: int) -> Card:
        return {kind: [self._cards[key][kind, index] for index in range(slots)] for kind in EventType}

    def days(self, first: int, last: int) -> dict[int, Card]:
        self.calls.append("days")
        dates = {day: datetime.fromtimestamp(day * 86400, UTC) for day in self._days if first <= day <= last}
        return {day: self._card(f"day/{date:%4Y%m%d}", 24) for day, date in dates.items()}

    def hour(self, hour: int) -> Card:
        self.calls.append("hour")
        return self._card(f"hour/{datetime.fromtimestamp(hour * 3600, UTC):%4Y%m%d%H}", 60)

    def segments(self, kind: EventType, first_minute: int, last_minute: int) -> Iterator[StoredSegment]:
        self.calls.append("segments")
        for received_at, segment in sorted(self._segments, key=lambda each: (each[1].minute, each[1].id)):
            if segment.type == kind and first_minute <= segment.minute <= last_minute:
                self.decoded += segment.count
                yield StoredSegment(received_at, segment.id, unpack_segment(segment.packed))


def event(time: int, kind: EventType = EventType.NORMAL, info: str = "x") -> Event:
    return Event(occur_time=time, event_type=kind, event_info=info)


def as_events(rows: Iterable[StoredEvent]) -> list[Event]:
    return [event(row.occur_time, row.type, row.info) for row in rows]


def page_of(reader: MemoryEvents, query: EventQuery) -> tuple[int, list[Event]]:
    total, rows = read_page(reader, query.selection, by_type=query.sort_by == "event_type")
    return total, as_events(rows)


def naive_page(reader: MemoryEvents, query: EventQuery) -> tuple[int, list[Event]]:
    start = 0 if query.start_time is None else query.start_time
    end = TIME_MAX if query.end_time is None else query.end_time
    matching = [
        each
        for each in reader.ordered()
        if start <= each.occur_time <= end and query.event_type in (None, each.event_type)
    ]
    if query.sort_by == "event_type":
        matching.sort(key=lambda each: each.event_type)
    if query.order == "desc":
        matching.reverse()
    return len(matching), matching[query.offset * query.limit :][: query.limit]


# Few enough minutes, hours and days that events meet in them, with the edges of each.
times = st.one_of(
    st.builds(
        lambda day, hour, minute, ms: NOON + day * DAY + hour * HOUR + minute * MINUTE + ms,
        st.integers(-1, 2),
        st.sampled_from([-12, 0, 1, 11]),
        st.sampled_from([0, 1, 59]),
        st.sampled_from([0, 1, 2, 30_000, MINUTE - 1]),
    ),
    st.sampled_from([0, TIME_MAX]),
)
batches = st.lists(
    st.builds(event, times, st.sampled_from(EventType), st.text("aAbß", max_size=3)), min_size=1, max_size=12
)
readers = st.lists(st.tuples(st.integers(1, 3), batches), max_size=5).map(MemoryEvents)


@st.composite
def queries(draw: st.DrawFn) -> EventQuery:
    near = st.one_of(
        st.none(), st.builds(lambda time, step: min(TIME_MAX, max(0, time + step)), times, st.integers(-1, 1))
    )
    start, end = draw(near), draw(near)
    if start is not None and end is not None:
        start, end = sorted((start, end))
    return EventQuery(
        event_type=draw(st.one_of(st.none(), st.sampled_from(EventType))),
        start_time=start,
        end_time=end,
        offset=draw(st.integers(0, 4)),
        limit=draw(st.one_of(st.integers(1, 5), st.just(1000))),
        sort_by=draw(st.sampled_from(["occur_time", "event_type"])),
        order=draw(st.sampled_from(["asc", "desc"])),
    )


@pytest.fixture(params=[0, 2, timeline.HOT_MINUTE], ids=lambda count: f"minutes are hot from {count} events on")
def _hot_minute(request: pytest.FixtureRequest):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline, "HOT_MINUTE", request.param)
        yield


@pytest.mark.usefixtures("_hot_minute")
@given(readers, queries())
def test_a_page_is_what_sorting_all_events_gives(reader: MemoryEvents, query: EventQuery):
    assert page_of(reader, query) == naive_page(reader, query)


@pytest.mark.usefixtures("_hot_minute")
@given(readers, queries(), st.integers(1, 7))
def test_pages_in_a_row_give_every_event_once(reader: MemoryEvents, query: EventQuery, limit: int):
    total, everything = page_of(reader, query.model_copy(update={"offset": 0, "limit": 1000}))
    pages = [
        page_of(reader, query.model_copy(update={"offset": page, "limit": limit})) for page in range(total // limit + 2)
    ]
    assert {count for count, _ in pages} == {total} == {len(everything)}
    assert list(itertools.chain.from_iterable(events for _, events in pages)) == everything


@given(readers, queries())
def test_descending_is_ascending_backwards(reader: MemoryEvents, query: EventQuery):
    ascending, descending = (
        page_of(reader, query.model_copy(update={"offset": 0, "limit": 1000, "order": order}))
        for order in ("asc", "desc")
    )
    assert descending == (ascending[0], ascending[1][::-1])


@given(readers, times)
def test_both_ends_of_a_range_are_inclusive_to_the_millisecond(reader: MemoryEvents, time: int):
    total, events = page_of(reader, EventQuery(start_time=time, end_time=time))
    assert total == len(events) == sum(each.occur_time == time for each in reader.ordered())
    before = page_of(reader, EventQuery(end_time=time - 1))[0] if time else 0
    after = page_of(reader, EventQuery(start_time=time + 1))[0] if time < TIME_MAX else 0
    assert before + total + after == len(reader.ordered())


def test_events_of_one_millisecond_come_in_the_order_in_which_they_were_received():
    reader = MemoryEvents([(7, [event(NOON, info="later")]), (5, [event(NOON, info=i) for i in ("first", "second")])])
    events = page_of(reader, EventQuery(order="asc"))[1]
    assert [each.event_info for each in events] == ["first", "second", "later"]


def test_requests_received_in_one_millisecond_come_in_the_order_of_their_segments():
    requests = [(5, [event(NOON, info=str(number)), event(NOON, info=f"{number}'")]) for number in range(6)]
    reader = MemoryEvents(requests)
    infos = [each.event_info for each in page_of(reader, EventQuery(order="asc"))[1]]
    ids = [(pack_segments(events, str(number))[0].id, number) for number, (_, events) in enumerate(requests)]
    assert infos == [info for _, number in sorted(ids) for info in (str(number), f"{number}'")]


def test_a_page_beyond_the_end_is_empty_and_the_count_stays():
    reader = MemoryEvents([(1, [event(NOON)])])
    for order in ("asc", "desc"):
        for offset in (1, 2, 10**9):
            assert page_of(reader, EventQuery(offset=offset, limit=1, order=order)) == (1, [])


def test_the_last_page_holds_what_is_left():
    reader = MemoryEvents([(1, [event(NOON + ms, info=str(ms)) for ms in range(5)])])
    for order, left in (("asc", "4"), ("desc", "0")):
        total, events = page_of(reader, EventQuery(offset=2, limit=2, order=order))
        assert (total, [each.event_info for each in events]) == (5, [left])


def test_a_service_without_events_has_an_empty_page():
    for sort_by in ("occur_time", "event_type"):
        assert page_of(MemoryEvents(), EventQuery(sort_by=sort_by)) == (0, [])


def test_an_expired_day_is_in_no_page_and_no_count():
    reader = MemoryEvents([(1, [event(NOON), event(NOON + DAY, info="kept")])])
    reader._days.remove(NOON // DAY)
    total, events = page_of(reader, EventQuery())
    assert (total, [each.event_info for each in events]) == (1, ["kept"])
    assert page_of(reader, EventQuery(start_time=NOON, end_time=NOON)) == (0, [])
    assert page_of(reader, EventQuery(start_time=NOON, end_time=NOON + DAY))[0] == 1


def spread(count: int) -> MemoryEvents:
    """Events of both types, five a minute, that nobody has read yet."""
    reader = _spread(count)
    reader.calls.clear()
    reader.decoded = 0
    return reader


@cache
def _spread(count: int) -> MemoryEvents:
    kinds = list(EventType)
    events = [event(NOON + number * MINUTE // 5, kinds[number % 2]) for number in range(count)]
    return MemoryEvents((1, list(batch)) for batch in itertools.batched(events, 1000, strict=False))


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort_by", ["occur_time", "event_type"])
def test_a_page_far_away_costs_as_many_reads_as_the_first(order: str, sort_by: str):
    reader = spread(20_000)
    costs, decoded = [], []
    for offset in (0, 1, 100, 999, 1500, 1999):
        reader.calls.clear()
        reader.decoded = 0
        query = EventQuery.model_validate({"offset": offset, "limit": 10, "order": order, "sort_by": sort_by})
        total, events = page_of(reader, query)
        assert (total, len(events)) == (20_000, 10)
        costs.append(len(reader.calls))
        decoded.append(reader.decoded)
    assert max(costs) - min(costs) <= 2
    assert max(costs) <= 6
    assert max(decoded) <= 10 + 2 * 5 * (2 if sort_by == "event_type" else 1)


def test_a_count_of_any_range_decodes_at_most_the_two_minutes_at_its_ends():
    reader = spread(20_000)
    query = EventQuery(start_time=NOON + 90_001, end_time=NOON + 2 * DAY + 90_001, offset=10**6)
    total, events = page_of(reader, query)
    assert (total, events) == naive_page(reader, query)
    assert reader.decoded <= 2 * 5
    assert Counter(reader.calls) == {"days": 1, "hour": 2, "segments": 4}


def test_whole_days_and_hours_are_counted_on_cards_alone():
    reader = spread(20_000)
    for step, reads in ((DAY, ["days"]), (HOUR, ["days"]), (MINUTE, ["days", "hour", "hour"])):
        reader.calls.clear()
        start = NOON // DAY * DAY + DAY + step
        query = EventQuery(start_time=start, end_time=start + DAY - 1, offset=10**6)
        assert page_of(reader, query) == (1440 * 5, [])
        assert reader.calls == reads


def test_of_a_hot_minute_only_the_milliseconds_of_the_page_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timeline, "HOT_MINUTE", 100)
    reader = MemoryEvents(
        (1, [event(NOON + ms, info=str(ms)) for ms in range(n, n + 500)]) for n in range(0, 5000, 500)
    )
    kept = 0

    def counting(*values: Any) -> StoredEvent:
        nonlocal kept
        kept += 1
        return StoredEvent(*values)

    monkeypatch.setattr(timeline, "StoredEvent", counting)
    events = page_of(reader, EventQuery(offset=70, limit=10, order="asc"))[1]
    assert [each.event_info for each in events] == [str(ms) for ms in range(700, 710)]
    assert kept == 10


EVERYTHING = Selection(types=EVERY_TYPE, start=0, end=TIME_MAX, skip=0, limit=1000, descending=False)


def select(**changes: Any) -> Selection:
    return replace(EVERYTHING, **changes)


@given(readers, st.integers(0, 30), st.integers(0, 7), st.booleans())
def test_a_page_may_begin_at_any_row(reader: MemoryEvents, skip: int, limit: int, descending: bool):
    total, rows = read_page(reader, select(skip=skip, limit=limit, descending=descending))
    everything = reader.ordered()[::-1] if descending else reader.ordered()
    assert (total, as_events(rows)) == (len(everything), everything[skip : skip + limit])


@pytest.mark.usefixtures("_hot_minute")
@given(readers, st.integers(1, 7), st.sampled_from(["", "a", "b"]))
def test_an_event_has_one_place_which_no_other_has(reader: MemoryEvents, limit: int, keyword: str):
    """On whatever page, in either order, found or listed."""

    def pages(**changes: Any) -> list[StoredEvent]:
        found = [search_page(reader, select(skip=skip, **changes), keyword)[1] for skip in range(0, 70, limit)]
        return [*itertools.chain.from_iterable(found)]

    listed = [row for row in read_page(reader, select())[1] if keyword in row.info.casefold()]
    assert len({(row.segment, row.place) for row in listed}) == len(listed)
    assert pages(limit=limit) == listed
    assert pages(limit=limit, descending=True) == listed[::-1]


@given(readers, queries(), st.text("aAbßsS", max_size=2))
def test_a_search_is_what_filtering_all_events_gives(reader: MemoryEvents, query: EventQuery, keyword: str):
    query = query.model_copy(update={"sort_by": "occur_time"})
    _, selected = naive_page(reader, query.model_copy(update={"offset": 0, "limit": 1000}))
    matching = [each for each in selected if keyword.casefold() in each.event_info.casefold()]
    total, rows = search_page(reader, query.selection, keyword)
    assert (total, as_events(rows)) == (len(matching), matching[query.offset * query.limit :][: query.limit])


def test_no_types_select_nothing_and_read_nothing():
    reader = MemoryEvents([(1, [event(NOON)])])
    assert read_page(reader, select(types=())) == search_page(reader, select(types=()), "x") == (0, [])
    assert reader.calls == []


def test_an_expired_day_is_not_searched():
    reader = MemoryEvents([(1, [event(NOON), event(NOON + DAY, info="x kept")])])
    reader._days.remove(NOON // DAY)
    total, rows = search_page(reader, select(), "X")
    assert (total, [row.info for row in rows]) == (1, ["x kept"])
    assert search_page(reader, select(end=NOON), "X") == (0, [])


def test_a_range_of_too_many_events_is_refused_by_its_cards_alone(monkeypatch: pytest.MonkeyPatch):
    reader = spread(500)
    monkeypatch.setattr(timeline, "SEARCH_EVENTS", 499)
    with pytest.raises(Invalid, match=r"^event_info_key: the range holds 500 events, .* ask for a shorter one$"):
        search_page(reader, select(), "x")
    assert reader.calls == ["days"]
    assert search_page(reader, select(start=NOON + 1), "x")[0] == 499
    assert read_page(reader, select())[0] == 500


def test_a_range_of_too_much_text_is_refused(monkeypatch: pytest.MonkeyPatch):
    reader = MemoryEvents([(1, [event(NOON, info="12345"), event(NOON + 1, info="67890")])])
    monkeypatch.setattr(timeline, "SEARCH_TEXT", 9)
    with pytest.raises(Invalid, match=r"^event_info_key: .*more than the 9 characters"):
        search_page(reader, select(), "x")
    assert search_page(reader, select(start=NOON + 1), "9")[0] == 1


def test_a_search_decodes_every_selected_event_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timeline, "HOT_MINUTE", 1)
    reader = spread(2_000)
    assert search_page(reader, select(skip=1_000, limit=10), "X")[0] == reader.decoded == 2_000
