"""Activity in the table: written with the first append of a day, once, whatever happens meanwhile."""

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest

from bench.meter import Meter
from bench.prices import item_size
from logkeep.aws import clients
from logkeep.aws.dynamo import decode, encode
from logkeep.clock import DAY, HOUR
from logkeep.logid import LogId
from logkeep.logs.activity import noted, shard_of
from logkeep.logs.head import Head, Totals
from logkeep.logs.items import head_key
from logkeep.logs.listing import Selection, Window
from logkeep.logs.listing_store import listing
from logkeep.logs.store import LogStore, _claim_format, _note_project, log_store
from logkeep.settings import settings
from tests.calls import OTHER_PROJECT, PROJECT
from tests.examples import LONG
from tests.faults import Killed, at_once, counted, killed

pytestmark = pytest.mark.usefixtures("aws")
LOG = LogId.parse("app/shop/web")
T0 = 1_795_852_800_000  # 2026-11-28T08:00:00Z
DAY_ROW = f"{PROJECT}/day/20261128/{shard_of(LOG)}"
ODD_ROW = f"{PROJECT}/day/odd"


@pytest.fixture
def store(aws) -> LogStore:
    return log_store(PROJECT)


def put(store: LogStore, arrival: int = T0, time: int | None = None, offset: int | None = None, **more: Any) -> Head:
    """Append a line of a time at an arrival."""
    line = b"%d INFO x\n" % (arrival if time is None else time)
    return store.append(LOG, lambda: iter((line,)), offset, received_at=arrival, **more)[0]


def rows() -> dict[str, dict[str, Any]]:
    """The items of activity, by partition."""
    found = map(decode, boto3.client("dynamodb").scan(TableName=settings().logs_table)["Items"])
    return {item["pk"]: item for item in found if "/day/" in item["pk"]}


def seen(since: int, until: int) -> list[str]:
    """The logs that a listing of a time names."""
    page = listing(PROJECT).page(Selection(window=Window(since, until)), "", 1000, T0 + 60 * DAY)
    return [str(head.log_id) for head in page.heads]


@contextmanager
def written() -> Iterator[Counter[str]]:
    """What is written, by partition."""
    counts: Counter[str] = Counter()

    def count(params: Any, **_: Any) -> None:
        counts.update(write["Put"]["Item"]["pk"]["S"] for write in params["TransactItems"])

    events = clients.dynamodb().meta.events
    events.register("provide-client-params.dynamodb.TransactWriteItems", count)
    try:
        yield counts
    finally:
        events.unregister("provide-client-params.dynamodb.TransactWriteItems", count)


def delete() -> None:
    """As a deletion begins: the head is gone, everything else is there for another hour."""
    boto3.client("dynamodb").delete_item(TableName=settings().logs_table, Key=encode(head_key(PROJECT, LOG)))


@pytest.mark.no_faults("counts writes; one whose answer is lost counts twice")
def test_the_first_append_of_a_day_writes_the_row_and_the_others_do_not(store) -> None:
    with written() as counts:
        head = put(store, labels={"service": "web"})
        for number in range(10_000 if LONG else 20):
            put(store, T0 + number)
    assert (counts[DAY_ROW], counts.total() - counts[DAY_ROW]) == (1, 2 * (10_001 if LONG else 21))
    row = {"pk": DAY_ROW, "sk": str(LOG), "birth": head.birth, "labels": {"service": "web"}, "since": T0 - 60_000}
    assert rows() == {DAY_ROW: row}
    with written() as counts:
        put(store, T0 + DAY)
        put(store, T0 + DAY)
    assert counts[f"{PROJECT}/day/20261129/{shard_of(LOG)}"] == 1
    assert rows().keys() == {DAY_ROW, f"{PROJECT}/day/20261129/{shard_of(LOG)}"}


def test_an_append_costs_no_unit_for_activity_but_the_first_of_a_day_two(store) -> None:
    put(store, T0 - DAY)

    def units(arrival: int, time: int) -> float:
        with Meter(boto3.client("dynamodb")).counting() as meter:
            put(store, arrival, time)
        return meter.write_units

    assert units(T0, T0) == 6, "a row, the head, and the day"
    assert units(T0, T0) == 4
    assert units(T0, T0 - 400 * DAY) == 6, "and odd text"
    assert [units(T0, T0 - 400 * DAY + n * HOUR) for n in range(5)] == [4] * 5
    assert all(item_size(encode(row)) < 1000 for row in rows().values())


def test_nothing_is_read_for_it(store) -> None:
    put(store, T0)
    with counted() as requests:
        put(store, T0 + DAY, T0 - 400 * DAY)
    assert requests == {"GetItem": 1, "TransactWriteItems": 1}


def test_wild_times_are_one_row_that_few_of_their_appends_write(store) -> None:
    times = [T0 + (n * n * 7919 % 8000 - 4000) * DAY // 2 for n in range(10_000)]  # 1,000 lines each of ten appends
    with written() as counts:
        for batch in itertools.batched(times, 1000, strict=True):
            text = b"".join(b"%d INFO x\n" % time for time in batch)
            head, _ = store.append(LOG, lambda text=text: iter((text,)), None, received_at=T0)
    assert rows().keys() == {DAY_ROW, ODD_ROW}
    assert counts[ODD_ROW] <= 3
    odd = rows()[ODD_ROW]
    assert (odd["least"], odd["greatest"], odd["birth"]) == (*head.odd, head.birth)
    assert odd["least"] <= min(times)
    assert max(times) <= odd["greatest"]


def test_a_seal_and_an_append_of_nothing_are_no_activity(store) -> None:
    store.append(LOG, lambda: iter(()), 0)
    store.seal(LOG, Totals())
    assert rows() == {}


@pytest.mark.parametrize("after", [False, True])
def test_a_killed_append_leaves_the_row_with_its_text_or_neither(store, after: bool) -> None:
    with killed(clients.dynamodb(), "TransactWriteItems", after=after), pytest.raises(Killed):
        put(store, offset=0)
    assert len(rows()) == after
    with written() as counts:
        assert put(store, offset=0).end == len(b"%d INFO x\n" % T0)
    assert counts[DAY_ROW] == (not after)
    assert rows()[DAY_ROW]["birth"] == store.head(LOG).birth


def test_first_appends_of_a_day_at_once_write_the_row_of_the_head_that_is_there(store) -> None:
    at_once(*[lambda: put(store, offset=0) for _ in range(4)])
    at_once(*[lambda: put(store) for _ in range(4)])
    assert {row["birth"] for row in rows().values()} == {store.head(LOG).birth}
    assert store.head(LOG).end == 5 * len(b"%d INFO x\n" % T0)
    assert seen(T0, T0 + 1) == [str(LOG)]


def test_writers_on_two_sides_of_midnight_leave_a_row_of_each_day(store) -> None:
    midnight = T0 // DAY * DAY + DAY
    put(store, midnight + 5)
    put(store, midnight - 5)
    with written() as counts:
        put(store, midnight + 6)
    assert not any("/day/" in pk for pk in counts)
    assert {pk: row["since"] for pk, row in rows().items()} == {
        DAY_ROW: midnight - DAY,
        f"{PROJECT}/day/20261129/{shard_of(LOG)}": midnight,
    }


def test_a_log_that_was_deleted_and_begun_anew_is_another_one_to_its_rows(store) -> None:
    first = put(store, T0, T0 - 400 * DAY, labels={"a": "old"})
    delete()
    assert seen(T0, T0 + 1) == [], "a row without a head is no log"
    second = put(store, T0 + DAY, T0 + DAY, labels={"a": "new"})
    assert {row["birth"] for row in rows().values()} == {first.birth, second.birth}
    assert seen(T0 - 400 * DAY, T0 - 399 * DAY) == seen(T0, T0 + 1) == [], "what the first one said is gone"
    assert seen(T0 + DAY, T0 + DAY + 1) == [str(LOG)]
    put(store, T0 + DAY, T0 - 800 * DAY)
    assert (rows()[ODD_ROW]["birth"], rows()[ODD_ROW]["labels"]) == (second.birth, {"a": "new"})
    delete()
    third = put(store, T0 + DAY)
    row = rows()[f"{PROJECT}/day/20261129/{shard_of(LOG)}"]
    assert (row["birth"], "labels" in row) == (third.birth, False), "the row of the same day is replaced"
    selected = Selection(window=Window(T0 + DAY, T0 + DAY + 1), labels=[("a", "new")])
    assert listing(PROJECT).page(selected, "", 10, T0 + DAY).heads == []


def test_an_append_to_a_log_that_was_deleted_meanwhile_writes_no_row(store) -> None:
    put(store, T0)
    stale = store.head(LOG)
    delete()
    put(store, T0)
    assert store.head(LOG).version == stale.version
    after, packed = stale.extended(iter((b"late\n",)), T0 + DAY)
    after, sightings = noted(after, [each for each, _ in packed], T0 + DAY)
    assert len(sightings) == 1
    assert not store._commit(stale, after, packed, sightings)
    assert rows().keys() == {DAY_ROW}


def test_a_project_is_named_with_its_first_log(store) -> None:
    for cached in (_note_project, _claim_format):
        cached.cache_clear()  # as in a process that begins
    with counted() as requests:
        put(store)
        log_store(OTHER_PROJECT).append(LOG, lambda: iter(()), 0)
        put(log_store(PROJECT))
    assert requests["PutItem"] == 3, "the format, and two projects"
    found = boto3.client("dynamodb").query(
        TableName=settings().logs_table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "projects"}},
    )
    assert [decode(item) for item in found["Items"]] == [
        {"pk": "projects", "sk": name} for name in sorted((PROJECT, OTHER_PROJECT))
    ]
