"""Deleting many logs: counted first, then each once, killed anywhere; nothing new, nothing held, no neighbour."""

import json
import time
from typing import Any

import pytest

from logkeep.errors import Conflict, NotFound
from logkeep.logid import LogId
from logkeep.logs.many import Order, State
from logkeep.logs.many_store import Orders, orders_of
from logkeep.logs.store import LogStore
from logkeep.logs.worker import work_on_order
from tests.calls import PROJECT, Answer, append, call, event
from tests.faults import Killed, at_once, killed_at
from tests.logs.test_deletion import everything, store, write  # noqa: F401 - a fixture
from tests.orders import ordered

pytestmark = pytest.mark.usefixtures("aws")
LOGS = [LogId.parse(f"app/shop/web{number}") for number in range(5)]
NEIGHBOURS = [LogId.parse(name) for name in ("app/shopping/a", "app/sho", "check/shop")]
NEVER = float("inf")


@pytest.fixture
def orders(store) -> Orders:  # noqa: F811 - it is that fixture
    for log_id in (*LOGS, *NEIGHBOURS):
        write(store, log_id, b"one\n", labels={"env": "test"})
    write(store, LOGS[0], b"two\n")
    store.hold(LOGS[1], on=True)
    return orders_of(PROJECT)


def counted(orders: Orders, **wanted: Any) -> Order:
    return orders.advance(orders.plan("a", **{"prefix": "", "kind": None, "labels": ()} | wanted), NEVER)


def left(store: LogStore) -> set[LogId]:  # noqa: F811 - no fixture
    return {log_id for log_id in (*LOGS, *NEIGHBOURS) if store.find(log_id)}


def test_a_count_deletes_nothing_and_its_token_what_was_counted(orders, store) -> None:  # noqa: F811 - a fixture
    order = counted(orders, prefix="app/shop")
    assert (order.state, order.logs, order.bytes, order.held) == (State.COUNTED, 4, 20, 1)
    assert left(store) == {*LOGS, *NEIGHBOURS}
    time.sleep(0.002)
    anew = LogId.parse("app/shop/web9")
    write(store, anew, b"born later\n")
    write(store, LOGS[2], b"grown\n")
    done = orders.advance(orders.begin(order.token), NEVER)
    assert (done.state, done.deleted, done.deleted_bytes) == (State.DONE, 4, 26)
    assert left(store) == {LOGS[1], *NEIGHBOURS}
    assert store.find(anew)
    assert [each.why for _, each in store.deletions.between(order.at, order.at + 60_000, "")] == ["order"] * 4
    write(store, LOGS[0], b"anew\n")
    assert orders.advance(orders.begin(order.token), NEVER) == done, "an order is carried out once"
    assert store.find(LOGS[0])


@pytest.mark.parametrize(
    ("wanted", "logs"),
    [
        ({"prefix": "app/shop/"}, 4),
        ({"kind": "check"}, 1),
        ({"labels": [("env", "test")]}, 7),
        ({"labels": [("env", "prod")]}, 0),
        ({"prefix": "app/shop", "kind": "check"}, 0),
        ({"prefix": "app", "labels": [("kind", "app"), ("env", "test")]}, 6),
    ],
)
def test_logs_are_chosen_by_prefix_kind_and_labels(orders, wanted, logs) -> None:
    assert counted(orders, **wanted).logs == logs


def test_only_what_was_counted_within_a_day_can_be_ordered(orders, monkeypatch) -> None:
    planned = orders.plan("a", "app/shop", None, ())
    with pytest.raises(Conflict, match="not counted yet"):
        orders.begin(planned.token)
    order = orders.advance(planned, NEVER)
    with pytest.raises(NotFound):
        orders.begin("0" * 32)
    monkeypatch.setattr("logkeep.logs.many_store.now_ms", lambda: order.at + 86_400_001)
    with pytest.raises(Conflict, match="more than a day ago"):
        orders.begin(order.token)


def test_an_order_killed_at_any_call_deletes_each_log_once(orders, store, monkeypatch) -> None:  # noqa: F811 - fixture
    monkeypatch.setattr("logkeep.logs.many_store._AT_ONCE", 2)
    order, passing, kills = counted(orders, prefix="app/shop"), 0, 0
    assert order.logs == 4
    while orders.find(order.token).state is not State.DONE:
        try:
            with killed_at(passing, after=True):
                orders.advance(orders.begin(order.token), 0)
        except Killed:
            kills += 1
            passing = (passing + 2) % 14
    done = orders.find(order.token)
    assert kills > 3
    assert (done.deleted, done.deleted_bytes) == (4, 20)
    assert left(store) == {LOGS[1], *NEIGHBOURS}


def test_two_workers_at_once_delete_each_log_once(orders, store) -> None:  # noqa: F811 - a fixture
    order = orders.begin(counted(orders, prefix="app/shop").token)
    at_once(*[lambda: orders.advance(order, NEVER)] * 3)
    done = orders.find(order.token)
    assert (done.state, done.deleted, done.deleted_bytes) == (State.DONE, 4, 20)


def ask(**body: Any) -> Answer:
    return call("order_deletions", event("order_deletions", body=json.dumps(body)))


def test_over_http_the_order_must_name_the_token_of_a_count(aws) -> None:
    for number in range(3):
        append(f"app/shop/{number}", b"one\n")
    told = ask(prefix="app/shop")
    assert (told.status, told.json["state"], told.json["logs"], told.json["bytes"]) == (200, "counted", 3, 12)
    token = told.json["token"]
    begun = ask(token=token)
    assert (begun.status, begun.json["state"]) == (202, "deleting")
    (order,) = ordered("DeleteLogs")
    work_on_order(order, 0, "")
    ordered("DeleteLogs")
    work_on_order(order, 900, "")
    shown = event("order_deletions-unknown_token")
    assert call("order_deletions", shown).status == 404
    context = shown["requestContext"]
    path = f"/v1/{PROJECT}/deletions/{token}"
    shown |= {"rawPath": path, "requestContext": {**context, "http": {**context["http"], "path": path}}}
    done = call("order_deletions", shown).json
    assert (done["state"], done["deleted"], done["deleted_bytes"]) == ("done", 3, 12)
    work_on_order({"project": PROJECT, "token": "f" * 32}, 900, "")
    for wrong in ({}, {"prefix": "app/shop", "token": token}, {"prefix": ""}, {"prefix": "logs/x"}, {"labels": ["x"]}):
        assert ask(**wrong).status == 400
    assert ask(token="0" * 32).status == 404
