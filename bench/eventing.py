"""Events of a service in segments and cards, compared with one DynamoDB item per event."""

import random
import uuid
from collections.abc import Sequence
from typing import Any, Final

from admin.counts import EVENTS
from bench import PROJECT, prices
from bench.measure import confirm, show, times
from bench.meter import Meter
from logkeep.apis.modelarts.events import EventQuery, page_of
from logkeep.aws.dynamo import encode
from logkeep.clock import MINUTE
from logkeep.events.segments import Event, EventBatch, EventType
from logkeep.events.store import event_store

SERVICE: Final = "35de3ca9-1bca-4ae7-9cb0-914f30fa7d3e"
NOON: Final = 1_795_348_800_000
BATCH: Final = 50
BATCHES: Final = 30
TOTAL: Final = 100_000
PAGE: Final = 1000
_COUNTERS: Final = 2  # items that count events, of the hour and of the day; each counts both types
_INFO: Final = (
    "[model 0.0.1] [image] image pulled in {} s",
    "[model 0.0.1] [pod] container {} started",
    "[model 0.0.1] [health] instance {} is ready",
    "scheduling failed: Insufficient nvidia.com/gpu, attempt {}, retrying in 30 s",
)


def eventing(dynamodb: Any) -> None:
    chance = random.Random(7)  # noqa: S311 - the same events every time
    _writing(dynamodb, chance)
    _paging(dynamodb, chance)


def _writing(dynamodb: Any, chance: random.Random) -> None:
    store = event_store(PROJECT, SERVICE)
    batches = [_events(chance, BATCH, NOON + number * MINUTE, MINUTE) for number in range(BATCHES)]
    with Meter(dynamodb).counting() as meter:
        for number, batch in enumerate(batches):
            store.put(EventBatch(events=batch), str(number))
    plain = sum(prices.write_units(size) for batch in batches for size in _item_sizes(batch)) / BATCHES
    exact = prices.TRANSACTIONAL * (plain + _COUNTERS)
    ours = meter.write_units / BATCHES
    confirm(f"{BATCH} events, write units", ours, EVENTS[BATCH], within=0.05)
    show(
        f"One request with {BATCH} events of a minute, of both types (means of {BATCHES})",
        ("", "requests", "write units", "$ per million events", "compared with Logkeep"),
        [
            (name, requests, units, units * prices.WRITE_UNIT / BATCH * 1e6, times(units / ours))
            for name, requests, units in (
                ("segments and cards", meter.per(BATCHES), ours),
                ("an item per event, counted in the same transaction", "1 TransactWriteItems", exact),
                ("an item per event, not counted", f"{-(-BATCH // prices.BATCH_WRITE)} BatchWriteItem", plain),
            )
        ],
    )


def _paging(dynamodb: Any, chance: random.Random) -> None:
    store = event_store(PROJECT, f"{SERVICE}-full")
    events: list[Event] = []
    for number in range(TOTAL // 1000):
        batch = _events(chance, 1000, NOON + number * 10 * MINUTE, 10 * MINUTE)
        store.put(EventBatch(events=batch), str(number))
        events += batch
    sizes = _item_sizes(events)
    rows = []
    for page in (0, 90):
        with Meter(dynamodb).counting() as meter:
            found = page_of(store, EventQuery(offset=page, limit=PAGE, order="asc"))
        if (found.count, found.total_count) != (PAGE, TOTAL):
            raise AssertionError(f"page {page} holds {found.count} of {found.total_count} events")
        skipped = sum(sizes[: (page + 1) * PAGE])
        units = prices.read_units([skipped])
        rows += [
            (f"page {page}, from cards, with the exact total", meter.per(1), meter.read_units, ""),
            (
                f"page {page}, skipped to by Query, without a total",
                f"{-(-skipped // prices.QUERY_PAGE)} Query",
                units,
                times(units / meter.read_units),
            ),
        ]
    show(
        f"A page of {PAGE} events of a service with {TOTAL:,}",
        ("", "requests", "read units", "compared with Logkeep"),
        rows,
    )


def _events(chance: random.Random, number: int, start: int, spread: int) -> list[Event]:
    return [
        Event(
            occur_time=start + chance.randrange(spread),
            event_type=EventType.ABNORMAL if chance.random() < 0.1 else EventType.NORMAL,
            event_info=chance.choice(_INFO).format(chance.randrange(1000)),
        )
        for _ in range(number)
    ]


def _item_sizes(events: Sequence[Event]) -> list[int]:
    """The size in bytes of an item for each event, in order of time."""
    name = str(uuid.UUID(int=0))
    return [
        prices.item_size(
            encode(
                {
                    "pk": f"{PROJECT}/{SERVICE}",
                    "sk": f"event/{each.occur_time:013d}/{name}",
                    "event_type": each.event_type.value,
                    "event_info": each.event_info,
                }
            )
        )
        for each in sorted(events, key=lambda e: e.occur_time)
    ]
