"""Searching a log in the store: what is read of it, and that rows may be merged meanwhile."""

import time
from collections.abc import Iterator
from itertools import islice

import pytest

from logkeep.apis.css.search import SearchAnswer, SearchRequest, search
from logkeep.aws.dynamo import encode
from logkeep.logid import LogId
from logkeep.logs.items import rows_key, sort_key
from logkeep.logs.pack_store import packer
from logkeep.logs.reader import Row
from logkeep.logs.store import LogStore, log_store
from tests.calls import PROJECT
from tests.conftest import marked
from tests.faults import counted
from tests.rewinding import Rewinding

pytestmark = pytest.mark.usefixtures("aws")
LOG = LogId.parse("cluster/c/node-1/instance")
RARE = {7, 30}
PIECES = 60


def piece(number: int) -> bytes:
    """Half a megabyte of INFO a minute; two of the pieces hold an ERROR with a trace that the next one goes on with."""
    begins = b"\tat the.end(of:it)\n" if number - 1 in RARE else b""
    lines = b"".join(
        f"2026-01-31T08:{number:02d}:{n // 200:02d},{n % 200:03d} INFO line {n} {n * 7919**3:x}\n".encode()
        for n in range(9000)
    )
    ends = f"2026-01-31T08:{number:02d}:59,000 ERROR it is {number}\n\tat its.beginning\n" if number in RARE else ""
    return begins + lines + ends.encode()


@pytest.fixture(scope="module")
def written(emulator: Rewinding, environment: dict[str, str]) -> None:
    with marked("pieces", emulator, environment):
        for number in range(PIECES):
            body = piece(number)
            log_store(PROJECT).append(LOG, lambda body=body: iter((body,)), None)  # type: ignore[misc]  # bound by its default


@pytest.fixture
def store(written: None, aws: None, emulator: Rewinding) -> LogStore:
    emulator.rewind("pieces")
    return log_store(PROJECT)


def asked(store: LogStore, **fields: object) -> SearchAnswer:
    request = SearchRequest.model_validate({"instance_name": "node-1", "log_type": "instance", **fields})
    return search(store, store.head(LOG), request, lambda: False)


def test_only_fragments_that_can_match_are_read(store: LogStore) -> None:
    head = store.head(LOG)
    assert head.fragments == PIECES
    with counted() as calls:
        found = asked(store, level="ERROR")
    assert [each.content.split("\n")[1:] for each in found.logList] == [
        ["\tat its.beginning", "\tat the.end(of:it)"]
    ] * 2
    assert found.completed
    # The two that hold an ERROR and the two in which it goes on.
    assert calls["GetObject"] == 4
    assert calls["Query"] <= 4

    with counted() as calls:
        assert len(asked(store).logList) == 100
    assert (calls["GetObject"], calls["Query"]) == (1, 1), "the last lines are in the last fragment"

    with counted() as calls:
        found = asked(store, time_index="2026-01-31T08:10:00,000", limit=5)
    assert found.logList[0].date == "2026-01-31T08:09:44,199"
    assert calls["GetObject"] <= 2, "what is newer is passed over"


def test_a_log_is_read_backwards_row_by_row(store: LogStore) -> None:
    head = store.head(LOG)
    rows = list(store.rows(head))
    assert list(store.rows_back(head, head.end)) == rows[::-1]
    assert list(store.rows_back(head, rows[5].fragment.offset + 1)) == rows[5::-1]
    assert list(store.rows_back(head, 0)) == []
    assert b"".join(store.texts_of(rows[3:6])) == b"".join(store.text(row) for row in rows[3:6])


def test_rows_that_were_packed_and_removed_meanwhile_are_looked_for_in_packs(store: LogStore) -> None:
    head = store.head(LOG)
    rows = list(store.rows(head))
    reading: Iterator[Row] = store.rows_back(head, head.end)
    seen = list(islice(reading, 8))  # the first page
    assert packer(PROJECT).pack(head, time.monotonic() + 60)
    for row in rows:
        key = encode({"pk": rows_key(PROJECT, head), "sk": sort_key(row.fragment.offset)})
        store.dynamodb.delete_item(TableName=store.table, Key=key)
    rest = list(reading)
    position = seen[-1].fragment.offset
    assert rest[0].fragment.offset < position <= rest[0].fragment.end
    assert b"".join(store.texts_of(reversed(rest)))[:position] == b"".join(store.texts(head))[:position]
