"""The workers that pack logs and that delete many."""

import time
from typing import Any

from logkeep.aws.logger import logger
from logkeep.aws.triggers import RESERVE_SECONDS
from logkeep.errors import Busy, NotFound
from logkeep.logid import LogId
from logkeep.logs.many import State
from logkeep.logs.many_store import orders_of
from logkeep.logs.orders import DeleteOrder, PackOrder, order_deletions, order_packing
from logkeep.logs.pack_store import packer
from logkeep.logs.store import log_store


def pack_ordered_log(event: Any, seconds_left: float, _: str) -> None:
    """Pack what the log of a PackOrder holds. If the time ends first, order it again: that call continues.

    Raises Busy if not one pack was finished, because another call would fare no better.
    """
    deadline = time.monotonic() + seconds_left - RESERVE_SECONDS
    order = PackOrder.model_validate(event)
    before = log_store(order.project).find(LogId.parse(order.log_id))
    if before is None or before.birth != order.birth:
        logger.info("the log no longer exists", extra={"order": event})
        return
    after = packer(order.project).pack(before, deadline)
    if after is None or after.mark.raw >= before.end:
        return
    if after.mark == before.mark:
        raise Busy("no pack could be finished in time", retry_after=0)
    order_packing(order)


def work_on_order(event: Any, seconds_left: float, _: str) -> None:
    """Count or delete the logs of a DeleteOrder. If the time ends first, order it again: that call continues."""
    deadline = time.monotonic() + seconds_left - RESERVE_SECONDS
    order = DeleteOrder.model_validate(event)
    orders = orders_of(order.project)
    try:
        after = orders.advance(orders.find(order.token), deadline)
    except NotFound:
        logger.info("the order is not known any more", extra={"order": event})
        return
    if after.state in {State.COUNTING, State.DELETING}:
        order_deletions(order)
