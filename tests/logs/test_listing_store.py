"""Pages of listings: every log once and in order, whatever is between them, and never more requests than a page may."""

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import boto3
import pytest

from logkeep.aws import clients
from logkeep.aws.dynamo import decode, encode
from logkeep.clock import DAY, HOUR
from logkeep.errors import Conflict
from logkeep.logid import LogId
from logkeep.logs import listing_store
from logkeep.logs.head import Head, State, Totals
from logkeep.logs.items import head_key, head_of
from logkeep.logs.labels import derived_from
from logkeep.logs.listing import Selection, Window
from logkeep.logs.listing_store import listing
from logkeep.logs.store import log_store
from logkeep.settings import settings
from tests.calls import PROJECT
from tests.conftest import marked
from tests.faults import counted
from tests.rewinding import Rewinding

T0 = 1_795_852_800_000  # 2026-11-28T08:00:00Z
NOW = T0 + 40 * DAY
WINDOW = Window(T0 - HOUR, T0 + DAY + HOUR + 1)
EMPTY = ["app/empty", "task/empty/0/main/0"]


@pytest.fixture(scope="module")
def heads(emulator: Rewinding, environment: dict[str, str]) -> list[Head]:
    """Logs of some days, with labels, of which some are sealed, deleted, or have odd times."""
    chance = random.Random(3)
    with marked("listing", emulator, environment):
        store = log_store(PROJECT)
        for number in range(24):
            kind = chance.choice(["app/shop/{}", "app/{}", "task/t/{}/main/0", "build/r/{}"])
            log_id = LogId.parse(kind.format(number))
            labels = {"team": chance.choice("ab"), "n": str(number % 5)}
            for arrival in sorted(T0 + chance.randint(0, DAY) for _ in range(chance.randint(1, 2))):
                time = arrival - (400 * DAY if number % 10 == 0 else chance.randint(-HOUR, DAY))
                line = b"%d INFO x\n" % time if number % 7 else b"without a time\n"
                store.append(log_id, partial(iter, (line,)), None, received_at=arrival, labels=labels)
            if number % 4 == 0:
                store.seal(log_id, Totals())
            if number % 9 == 0:
                drop(log_id)
        for name in EMPTY:
            store.append(LogId.parse(name), lambda: iter(()), 0)
        return found_without_a_listing()


@pytest.fixture(autouse=True)
def logs(heads: list[Head], aws: None, emulator: Rewinding) -> None:
    emulator.rewind("listing")


def drop(log_id: LogId) -> None:
    """Take a head away. Rows of activity stay, and the key of a lagging index."""
    dynamodb, table = boto3.client("dynamodb"), settings().logs_table
    dynamodb.delete_item(TableName=table, Key=encode(head_key(PROJECT, log_id)))
    lagging = {"pk": f"gone/{log_id}", "sk": "gone", "project": PROJECT, "log_id": str(log_id)}
    dynamodb.put_item(TableName=table, Item=encode(lagging))


def pages(wanted: Selection, limit: int) -> Iterator[list[Head]]:
    """The pages of a listing, each made as another request."""
    marker = ""
    for _ in range(300):
        page = listing(PROJECT).page(wanted, marker, limit, NOW)
        assert len(page.heads) <= limit
        yield page.heads
        if page.marker is None:
            return
        assert page.marker > marker, "it gets on"
        assert all(marker < str(head.log_id) <= page.marker for head in page.heads)
        marker = page.marker
    raise AssertionError("no end")


def ids(wanted: Selection, limit: int = 1000) -> list[str]:
    return [str(head.log_id) for page in pages(wanted, limit) for head in page]


def found_without_a_listing() -> list[Head]:
    items = boto3.client("dynamodb").scan(TableName=settings().logs_table)["Items"]
    found = [head_of(item) for item in map(decode, items) if "version" in item]
    return sorted(found, key=lambda head: str(head.log_id))


def fits(head: Head, wanted: Selection) -> bool:
    labels = {**head.labels, **derived_from(head.log_id)}
    return (
        str(head.log_id).startswith(wanted.prefix)
        and wanted.kind in {None, head.log_id.kind}
        and wanted.state in {None, head.state}
        and all(labels.get(key) == value for key, value in wanted.labels)
    )


SELECTIONS = {
    "all": Selection(),
    "prefix": Selection(prefix="app/shop/"),
    "kind": Selection(kind="app"),
    "kind and a longer prefix": Selection(kind="app", prefix="app/s"),
    "kind and a shorter prefix": Selection(kind="app", prefix="a"),
    "kind and another prefix": Selection(kind="app", prefix="task/"),
    "state": Selection(state=State.SEALED),
    "label": Selection(labels=[("team", "a")]),
    "labels": Selection(labels=[("team", "a"), ("n", "3")]),
    "no such label": Selection(labels=[("team", "c")]),
    "a label of the id": Selection(labels=[("kind", "build"), ("record_id", "r")]),
    "a label of the id and of the log": Selection(labels=[("task_id", "t"), ("team", "b")]),
    "everything": Selection(prefix="app/", kind="app", labels=[("n", "1")], state=State.OPEN),
}


@pytest.mark.parametrize("limit", [3, 1000])
def test_pages_give_every_log_that_fits_once_in_order(heads: list[Head], limit: int) -> None:
    for name, wanted in SELECTIONS.items():
        assert ids(wanted, limit) == [str(head.log_id) for head in heads if fits(head, wanted)], name


@pytest.mark.parametrize("wanted", [Selection(), Selection(window=WINDOW)])
def test_a_page_ends_where_its_requests_do_and_the_next_gets_on(
    heads: list[Head], wanted: Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ids(wanted)
    monkeypatch.setattr(listing_store, "REQUESTS_MAX", 2)
    monkeypatch.setattr(listing_store, "_KEYS_MAX", 5)
    chosen = Selection(window=wanted.window, labels=[("team", "a")])
    for each in (wanted, chosen):
        labelled = [str(head.log_id) for head in heads if fits(head, each) and str(head.log_id) in whole]
        found = list(pages(each, 5))
        assert [str(head.log_id) for page in found for head in page] == labelled
    assert len(found) >= 2
    partitions = listing(PROJECT).least_requests(chosen, NOW)
    with counted() as requests:
        listing(PROJECT).page(chosen, "", 5, NOW)
    assert requests.total() <= partitions + 2 + 1, "and one for the heads that wait"


@pytest.mark.parametrize("limit", [8, 1000])
def test_a_window_has_the_logs_with_text_of_it_each_once_of_however_many_days(heads: list[Head], limit: int) -> None:
    expected = [str(head.log_id) for head in heads if head.end]
    assert ids(Selection(window=WINDOW), limit) == expected
    assert not set(EMPTY) & set(expected)


def test_a_window_misses_no_log_with_text_of_it(heads: list[Head]) -> None:
    store = log_store(PROJECT)
    texts = {str(head.log_id): [(row.fragment.least_time, row.fragment.received_at) for row in store.rows(head)]
             for head in heads}  # fmt: skip
    for since, length in ((T0, DAY), (T0 + HOUR, HOUR), (T0 - 400 * DAY, DAY)):
        window = Window(since, since + length)
        found = ids(Selection(window=window))
        for name, of in texts.items():
            times = [arrival if time is None else time for time, arrival in of]
            if any(window.since <= time < window.until for time in times):
                assert name in found
    assert len(ids(Selection(window=Window(T0 + 20 * DAY, T0 + 20 * DAY + 1)))) == 0
    assert 0 < len(ids(Selection(window=Window(T0 - 400 * DAY, T0 - 397 * DAY)))) <= 6, "only odd ones"


def test_labels_and_state_select_in_a_window_too(heads: list[Head]) -> None:
    for name in ("state", "a label of the id and of the log", "everything"):
        wanted = replace(SELECTIONS[name], window=WINDOW)
        expected = [str(head.log_id) for head in heads if fits(head, wanted) and head.end]
        assert ids(wanted) == expected, name


def test_of_labels_that_rows_say_only_the_heads_that_fit_are_read() -> None:
    wanted = Selection(window=Window(T0, T0 + DAY), labels=[("team", "c")])
    with counted() as requests:
        assert listing(PROJECT).page(wanted, "", 100, NOW).heads == []
    assert requests["BatchGetItem"] == 0
    assert requests["Query"] == listing(PROJECT).least_requests(wanted, NOW) == 1 + 3 * 16
    with counted() as requests:
        listing(PROJECT).page(Selection(labels=[("kind", "cluster")]), "", 100, NOW)
    assert requests == {"Query": 1}


def test_a_log_with_other_labels_than_those_asked_for_conflicts_and_stays_as_it_was() -> None:
    head, *_ = ids(Selection(labels=[("n", "3")]))
    with pytest.raises(Conflict):
        log_store(PROJECT).append(LogId.parse(head), lambda: iter(()), 0, labels={"n": "4"})
    assert head in ids(Selection(labels=[("n", "3")]))


@pytest.mark.parametrize("last", [None, {}])
def test_a_last_page_is_known_that_is_empty_or_has_an_empty_key(monkeypatch: pytest.MonkeyPatch, last: Any) -> None:
    """As DynamoDB answers a query that finds exactly as many items as its limit (pynamodb#1307, ministack#1068)."""
    real, asked = clients.dynamodb().query, list[Any]()

    def query(**request: Any) -> Any:
        asked.append(request)
        if len(asked) == 1:
            return real(**request) | {"LastEvaluatedKey": {"pk": {"S": "x"}}}
        return {"Items": []} | ({} if last is None else {"LastEvaluatedKey": last})

    monkeypatch.setattr(clients.dynamodb(), "query", query)
    page = listing(PROJECT).page(Selection(prefix="build/"), "", 1000, NOW)
    assert (len(asked), page.marker, len(page.heads) > 0) == (2, None, True)
