"""The event store against the emulator: races, kills, counts, and requests that do not grow with the events."""

import random
import time

import pytest

from logkeep.apis.modelarts.events import EventQuery, page_of
from logkeep.apis.modelarts.infer_events import InferEventQuery, infer_page_of
from logkeep.aws import clients
from logkeep.events.segments import Event, EventBatch, EventType
from logkeep.events.store import EventStore, event_store
from tests.calls import PROJECT
from tests.examples import LONG
from tests.faults import Killed, at_once, counted, killed

pytestmark = pytest.mark.usefixtures("aws")
NOON = 1_795_348_800_000
RNG = random.Random(3)


@pytest.fixture
def store(aws) -> EventStore:
    return event_store(PROJECT, "service")


def batch(count: int, start: int = NOON, spread: int = 3_600_000, label: str = "event") -> EventBatch:
    return EventBatch(
        events=[
            Event(
                occur_time=start + RNG.randrange(spread),
                event_type=RNG.choice(list(EventType)),
                event_info=f"{label} {number}",
            )
            for number in range(count)
        ]
    )


def total(store: EventStore, **query) -> int:
    return page_of(store, EventQuery(**query)).total_count


def everything(store: EventStore) -> list[Event]:
    first = page_of(store, EventQuery(order="asc"))
    pages = -(-first.total_count // 1000)
    return [e for page in range(pages) for e in page_of(store, EventQuery(order="asc", offset=page)).events]


@pytest.mark.soak
def test_counts_and_pages_agree_with_a_list(store) -> None:
    """The store as a whole; tests/events/test_timeline.py compares every query with a list."""
    events: list[Event] = []
    for number in range(4):
        sent = batch(120 if LONG else 40, NOON + number * 80_000_000, 90_000_000)
        store.put(sent, "")
        events += sent.events
    events.sort(key=lambda e: e.occur_time)
    assert [(e.occur_time) for e in everything(store)] == [e.occur_time for e in events]
    for _ in range(20 if LONG else 10):
        start, end = sorted(RNG.randrange(NOON - 10**7, NOON + 4 * 10**8) for _ in "ab")
        kind = RNG.choice([None, *EventType])
        wanted = [e for e in events if start <= e.occur_time <= end and kind in {None, e.event_type}]
        page = page_of(store, EventQuery(start_time=start, end_time=end, event_type=kind, limit=7, offset=3))
        assert page.total_count == len(wanted)
        assert [e.occur_time for e in page.events] == [e.occur_time for e in wanted[::-1][21:28]]


def test_writers_at_once_lose_and_double_nothing(store) -> None:
    batches = [batch(200, label=f"writer {n}") for n in range(6)]
    # Every batch is sent twice at once, as by a client that did not wait for its answer.
    at_once(*[lambda each=each: store.put(each, "") for each in batches * 2])
    assert total(store) == 1200
    assert sorted(e.event_info for e in everything(store)) == sorted(e.event_info for b in batches for e in b.events)
    assert total(store, event_type="normal") + total(store, event_type="abnormal") == 1200


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("survived", [0, 1, 2])
def test_a_kill_between_two_transactions_leaves_true_counts_and_the_retry_completes(store, after, survived) -> None:
    sent = batch(1000, spread=300 * 60_000)
    calls = 0

    def later(**_) -> None:
        nonlocal calls
        calls += 1
        if calls > survived:
            raise Killed

    events = clients.dynamodb().meta.events
    name = f"{'after' if after else 'before'}-call.dynamodb.TransactWriteItems"
    events.register_first(name, later)
    try:
        with pytest.raises(Killed):
            store.put(sent, "")
    finally:
        events.unregister(name, later)
    assert total(store) == len(everything(store)), "what was written is counted, no more and no less"
    written = store.put(sent, "")
    assert written.accepted + written.duplicates == 1000
    assert total(store) == len(everything(store)) == 1000


def test_a_kill_before_the_first_event_leaves_a_service_without_events(store) -> None:
    with killed(clients.dynamodb(), "TransactWriteItems", after=False), pytest.raises(Killed):
        store.put(batch(1), "")
    assert total(store) == 0


def test_fifty_events_of_a_minute_cost_two_requests(store) -> None:
    with counted() as requests:
        store.put(batch(50, spread=60_000), "")
    assert requests == {"UpdateItem": 1, "TransactWriteItems": 1}


@pytest.mark.soak
def test_a_far_page_of_many_events_takes_as_many_requests_as_the_first(store) -> None:
    pages = 100 if LONG else 24
    for number in range(pages):
        store.put(batch(1000, NOON + number * 600_000, 600_000), str(number))
    assert total(store) == pages * 1000

    def requests_of(**query) -> int:
        with counted() as requests:
            page = page_of(store, EventQuery(limit=1000, **query))
        assert (page.count, page.total_count) == (1000, pages * 1000)
        return requests.total()

    for order in ("asc", "desc"):
        first = requests_of(offset=0, order=order)
        assert first <= 9
        for page in (1, pages // 2, pages - 1):
            assert abs(requests_of(offset=page, order=order) - first) <= 2

    with counted() as requests:
        assert total(store, start_time=NOON + 1_345_678, end_time=NOON + 11_678_901, limit=1) > 16_000
    assert requests.total() <= 14


def test_a_search_reads_its_range_once_whatever_the_page(store) -> None:
    for number in range(5):
        store.put(batch(1000, NOON + number * 600_000, 600_000), str(number))

    def requests_of(**query) -> int:
        with counted() as requests:
            page = infer_page_of(store, InferEventQuery(event_info_key="EVENT 99", limit=5, **query))
        assert (len(page.data), page.total) == (5, 5 * 11)
        assert all("event 99" in each.event_info for each in page.data)
        return requests.total()

    assert {requests_of(offset=offset, sort_dir=order) for offset in (0, 50) for order in ("ASC", "DESC")} == {4}


def test_a_retry_much_later_still_finds_its_segments(store) -> None:
    sent = batch(20)
    store.put(sent, "key")
    time.sleep(0.01)
    assert store.put(sent, "key").duplicates == 20


def test_items_stay_below_their_limit_even_if_nothing_compresses(store) -> None:
    noise = [
        Event(occur_time=NOON, event_type=EventType.NORMAL, event_info=RNG.randbytes(2000).hex()) for _ in range(240)
    ]
    store.put(EventBatch(events=noise), "")
    assert total(store) == 240
    rows = clients.dynamodb().query(
        TableName=store._table,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :seg)",
        ExpressionAttributeValues={":pk": {"S": f"{PROJECT}/service"}, ":seg": {"S": "seg/"}},
    )["Items"]
    assert len(rows) >= 4
    assert max(len(row["rows"]["B"]) for row in rows) < 256_000
