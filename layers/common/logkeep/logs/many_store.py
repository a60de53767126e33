"""Orders to delete many logs: pk={project}/orders in table Logs, sk=order/{token} (docs/formats.md#orders-to-delete).

A walk over ids counts, and another one deletes, one transaction a log, which counts it, too. So a worker that is killed
is followed by one that continues, and two at once do no harm.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from logkeep.aws.dynamo import attempts, encode, transact
from logkeep.aws.partition import Partition
from logkeep.clock import now_ms
from logkeep.errors import Busy, Conflict, NotFound
from logkeep.logs.deletion import Why
from logkeep.logs.deletion_store import Deleting
from logkeep.logs.head import Head
from logkeep.logs.listing_store import heads_by_id
from logkeep.logs.many import COUNT_HOLDS, KNOWN, Order, State
from logkeep.logs.store import LogStore, log_store

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_AT_ONCE: Final = 100  # logs between two notes of how far it came


class Orders:
    """The orders of one project."""

    def __init__(self, logs: LogStore) -> None:
        self._logs = logs
        self._items = Partition(logs.dynamodb, logs.table, f"{logs.project}/orders")

    def plan(self, by: str, prefix: str, kind: str | None, labels: Sequence[tuple[str, str]]) -> Order:
        """A new order, to be counted first. Old ones are forgotten."""
        now = now_ms()
        order = Order(
            token=uuid.uuid4().hex, state=State.COUNTING, by=by, at=now, prefix=prefix, kind=kind, labels=labels
        )
        transact(self._logs.dynamodb, [{"Put": self._items.put_of(_place(order.token), order.item())}])
        for each in map(Order.of, self._items.newest(_place(""))):
            if each.at + KNOWN < now:
                self._items.delete(_place(each.token))
        return order

    def find(self, token: str) -> Order:
        """Raises NotFound."""
        item = self._items.get(_place(token))
        if item is None:
            raise NotFound(f"no order {token}")
        return Order.of(item)

    def begin(self, token: str) -> Order:
        """Have what was counted deleted. Raises NotFound, or Conflict if it is not counted yet, or was long ago."""
        order = self.find(token)
        if order.state in {State.DELETING, State.DONE}:
            return order
        if order.state is State.COUNTING:
            raise Conflict("the logs are not counted yet")
        if order.at + COUNT_HOLDS < now_ms():
            raise Conflict("the logs were counted more than a day ago; count them again")
        self._items.try_update(_place(token), {"state": State.DELETING, "marker": ""}, {"state": State.COUNTED})
        return self.find(token)

    def advance(self, order: Order, deadline: float) -> Order:
        """Count, or delete, until that is done or the deadline (time.monotonic()) has passed: some logs at least."""
        while order.state in {State.COUNTING, State.DELETING}:
            order = self._step(order)
            if time.monotonic() > deadline:
                break
        return order

    def _step(self, order: Order) -> Order:
        """The next logs. If another worker was faster, its order is taken over."""
        after = {State.COUNTING: State.COUNTED, State.DELETING: State.DONE}[order.state]
        ids = order.ids
        heads, marker = heads_by_id(self._logs, *ids, _AT_ONCE) if ids else ([], None)
        found = [head for head in heads if order.names(head)]
        changes: dict[str, Any] = {"marker": marker} if marker else {"state": after, "marker": ""}
        if order.state is State.COUNTING:
            free = [head for head in found if not head.hold]
            changes |= {
                "logs": order.logs + len(free),
                "bytes": order.bytes + sum(head.end for head in free),
                "held": order.held + len(found) - len(free),
            }
        else:
            for head in found:
                self._delete(order, head)
        self._items.try_update(_place(order.token), changes, {"state": order.state, "marker": order.marker})
        return self.find(order.token)

    def _delete(self, order: Order, seen: Head) -> None:
        """Delete a log, unless it is held by now; one that is written meanwhile as well, but not a new one.

        Raises Busy if it is written too often.
        """
        head: Head | None = seen
        for _ in attempts():
            if head is None or head.birth != seen.birth or head.hold:
                return
            counted: Any = self._items.key(_place(order.token)) | {
                "UpdateExpression": "ADD deleted :one, deleted_bytes :bytes",
                "ExpressionAttributeValues": encode({":one": 1, ":bytes": head.end}),
            }
            also: list[TransactWriteItemTypeDef] = [{"Update": counted}]
            if Deleting(self._logs).try_delete(head, order.by, Why.ORDER, also):
                return
            head = self._logs.find(head.log_id)
        raise Busy(f"too many writers change {seen.log_id} at once", retry_after=1)


def _place(token: str) -> str:
    return f"order/{token}"


def orders_of(project: str) -> Orders:
    return Orders(log_store(project))
