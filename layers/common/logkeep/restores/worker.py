"""What orders to restore and to verify in full call."""

import time
from typing import Any

from logkeep.aws.triggers import RESERVE_SECONDS
from logkeep.backups.due_store import Due
from logkeep.backups.orders import JobOrder
from logkeep.backups.store import backup_store
from logkeep.backups.work_store import LEASE_OVER, TRIES_MAX, Kind
from logkeep.backups.worker import start_next
from logkeep.clock import now_ms
from logkeep.errors import Busy
from logkeep.restores.store import restores
from logkeep.restores.verification_store import verifications


def work_on_archive(event: Any, seconds_left: float, request: str) -> None:
    """Continue a restore or a full verification. If time runs out, it waits for its next turn.

    Raises Busy if the time was not enough for any step.
    """
    deadline = time.monotonic() + seconds_left - RESERVE_SECONDS
    order = JobOrder.model_validate(event)
    item = backup_store(order.project, order.cluster).job(order.kind, order.record)
    claim = item.claim(now_ms(), seconds_left + LEASE_OVER, request)
    if claim is None:
        return
    jobs = (restores if order.kind == "restore" else verifications)(order.project, order.cluster)
    if claim.tries > TRIES_MAX:
        jobs.give_up(order.record, claim.of, f"{TRIES_MAX} orders in a row brought no progress")
        more = False
    else:
        try:
            more = jobs.resume(order.record, claim.of, deadline)
        except Busy:
            item.release(claim, now_ms(), progress=False)
            raise
    if more:
        item.release(claim, now_ms(), progress=True)
    else:
        item.end(claim)
    unfinished = Due(order.project, order.cluster, f"{order.kind}/{order.record}", now_ms())
    start_next(Kind.JOBS, unfinished if more else None)
