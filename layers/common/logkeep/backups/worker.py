"""What the schedule and the orders to run backups call."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from logkeep.aws.logger import logger
from logkeep.backups.due_store import Due, due_items
from logkeep.backups.jobs import JobKind
from logkeep.backups.lease_store import Leases
from logkeep.backups.notice_store import publish, publish_failures
from logkeep.backups.notices import missed
from logkeep.backups.orders import BACKUP_ORDERS, ExpireOrder, JobOrder, RunOrder, order_backup, order_job
from logkeep.backups.retention_store import retention
from logkeep.backups.runs import backup_runs
from logkeep.backups.schedule import MISSED_AFTER, run_id
from logkeep.backups.store import BackupStore, backup_store
from logkeep.backups.turns import next_ones
from logkeep.backups.work_store import BOUNDS, Kind, WorkItem, work_of
from logkeep.clock import DAY, now_ms
from logkeep.errors import BackupInProgress

DELAY_MAX: Final = 5.0  # seconds for which a worker waits to begin


def start_what_is_due(now: int) -> None:
    """Start backups and sweeps that are due, order workers for work that has none, publish notices.

    If this is killed, the schedule calls it again a minute later, and it repeats what was not finished: a run has one
    record, however often it is started. An error of one cluster does not keep the others waiting. Raises RuntimeError
    at the end if there was one.
    """
    due = due_items(now)
    failed = _start(Kind.BACKUPS, now, [each for each in due if each.name in _STARTED])
    failed += _start(Kind.JOBS, now)
    # Notices come last, because a topic that does not answer takes time.
    for each in due:
        if tell := _TOLD.get(each.name.partition("/")[0]):
            failed += _handled(tell, each, now) is None
    if failed:
        raise RuntimeError(f"{failed} of the due items could not be handled")


def work_on_backup(event: Any, seconds_left: float, request: str) -> None:
    """Carry out an order: continue a cluster's backup, or delete its expired ones.

    If time runs out, the work waits for its next turn. Raises Busy if nothing could be done: after some attempts that
    fare no better, the order ends among the dead letters, which raise an alarm.
    """
    order = BACKUP_ORDERS.validate_python(event)
    if isinstance(order, ExpireOrder):
        if retention(order.project, order.cluster).sweep(now_ms(), seconds_left):
            order_backup(order)
        return
    if (wait := order.not_before - now_ms()) > 0:
        time.sleep(min(wait / 1000, DELAY_MAX))
    more = backup_runs(order.project, order.cluster).resume(seconds_left, request)
    if more is None:
        return  # another worker is at it, or there is nothing to do
    try:
        _publish_failures(order.project, order.cluster)
    except Exception:
        # The backup has ended all the same, and the schedule publishes its failure.
        logger.exception("the failure of a backup could not be published")
    start_next(Kind.BACKUPS, Due(order.project, order.cluster, "active", now_ms()) if more else None)


def start_run(project: str, cluster: str, due: int, now: int) -> bool:
    """Start the daily backup that was due at a time (epoch ms). Whether a worker was ordered.

    A run has one record, however often it is started, and has failed if another backup runs.
    """
    store = backup_store(project, cluster)
    settings = store.daily()
    if settings is None:
        return False  # switched off since
    record = settings.new_record(run_id(project, cluster, due), due, "Auto")
    try:
        if not Leases(store).start(record, now):
            return False
    except BackupInProgress:
        store.put(record.failed("overlapped: another backup of the cluster was running", now), alert=True)
        return False
    order_backup(RunOrder(project=project, cluster=cluster))
    return True


def start_next(kind: Kind, unfinished: Due | None = None) -> None:
    """Have the next work of a kind begun, since a worker is free; `unfinished` is what it gives back, if anything.

    So work that takes longer than a worker's time lets those go first that have waited.
    """
    now = now_ms()
    try:
        due = [each for each in due_items(now) if each.name in _STARTED] if kind is Kind.BACKUPS else []
        _start(kind, now, due, unfinished)
    except Exception:
        logger.exception("what waits is left to the schedule")


def _start(kind: Kind, now: int, due: Iterable[Due] = (), unfinished: Due | None = None) -> int:
    """Order workers for work of a kind and start what is due, as far as there is room. Returns the number of errors."""
    busy, needing = work_of(kind, now, unfinished)
    waiting, failed = list[Due](), 0
    for each in needing:
        ordered = _handled(_order_if_left, each, now)
        failed += ordered is None
        busy[each.project] += ordered or 0
        if ordered is False:
            waiting.append(each)
    waiting += due
    while chosen := next_ones(waiting, busy, BOUNDS[kind]):
        waiting = [each for each in waiting if each not in chosen]
        for each in chosen:
            ordered = _handled(_STARTED.get(each.name, _order), each, now)
            failed += ordered is None
            busy[each.project] += ordered or 0
    return failed


def _handled(handle: Callable[[Due, int], bool], each: Due, now: int) -> bool | None:
    """What `handle` returns, None if it failed."""
    try:
        return handle(each, now)
    except Exception:
        logger.exception("a due item could not be handled", extra={"project": each.project, "cluster": each.cluster})
        return None


def _item(each: Due) -> WorkItem:
    return WorkItem(_store(each).items, each.name)


def _store(each: Due) -> BackupStore:
    return backup_store(each.project, each.cluster)


# Handlers of due items: each returns whether a worker was ordered


def _order(each: Due, now: int) -> bool:
    """Order a worker for work, unless one was ordered meanwhile."""
    if not _item(each).note_ordered(now):
        return False
    kind, _, record = each.name.partition("/")
    if kind == "active":
        order_backup(RunOrder(project=each.project, cluster=each.cluster))
    else:
        order_job(JobOrder(project=each.project, cluster=each.cluster, kind=_JOB_KINDS[kind], record=record))
    return True


def _order_if_left(each: Due, now: int) -> bool:
    """Order a worker for work that another one left. That had its place, so nothing must wait before it."""
    if not _item(each).was_left():
        return False
    logger.warning("a worker is asked for again", extra={"project": each.project, "cluster": each.cluster})
    return _order(each, now)


def _start_daily(each: Due, now: int) -> bool:
    """Start the daily backup. If several runs were missed, only the last one is made up for."""
    store = _store(each)
    found = store.due_run()
    if found is None or found[0] > now:
        return False
    due, period = found
    ordered = start_run(each.project, each.cluster, period.last_until(now), now)
    store.advance("policy", due, period.next_after(now))
    return ordered


def _order_sweep(each: Due, now: int) -> bool:
    store = _store(each)
    due = store.due_at("sweep")
    if due is None or due > now:
        return False
    order_backup(ExpireOrder(project=each.project, cluster=each.cluster))
    store.advance("sweep", due, now + DAY)
    return True


def _report_missed(each: Due, now: int) -> bool:
    """Publish that there was no success for too long. Two schedules at the same time may publish it twice."""
    store = _store(each)
    due = store.due_at("watch")
    if due is None or due > now:
        return False
    last, following = store.last_success(), now + DAY
    # A worker that was killed after a success has not moved the watch.
    if last and (late := (last.finished_at or 0) + MISSED_AFTER) > now:
        following = late
    else:
        logger.warning("no backup succeeded for too long", extra={"project": each.project, "cluster": each.cluster})
        publish(missed(each.project, each.cluster, last))
    store.advance("watch", due, following)
    return False


def _publish_due(each: Due, _: int) -> bool:
    _publish_failures(each.project, each.cluster)
    return False


_JOB_KINDS: Final[Mapping[str, JobKind]] = {"restore": "restore", "verification": "verification"}
_STARTED: Final = {"policy": _start_daily, "sweep": _order_sweep}
_TOLD: Final = {"watch": _report_missed, "alert": _publish_due}


def _publish_failures(project: str, cluster: str) -> None:
    if published := publish_failures(project, backup_store(project, cluster)):
        logger.warning("a backup failed", extra={"project": project, "cluster": cluster, "records": published})
