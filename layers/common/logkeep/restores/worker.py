"""What the queue of restores and full verifications calls."""

import time

from logkeep.aws.triggers import RESERVE_SECONDS
from logkeep.restores.queue import ORDERS, RestoreOrder, order_restore
from logkeep.restores.store import restores
from logkeep.restores.verification_store import verifications


def work_on_archive(body: str, seconds_left: float) -> None:
    """Continue a restore or a full verification; order the next call if time runs out."""
    order = ORDERS.validate_json(body)
    jobs = restores if isinstance(order, RestoreOrder) else verifications
    deadline = time.monotonic() + seconds_left - RESERVE_SECONDS
    if jobs(order.project, order.cluster).resume(order.record, order.run, deadline):
        order_restore(order)
