"""What the schedule and the queue of backups call."""

from collections.abc import Callable, Mapping
from typing import Final

from aws_lambda_powertools import Logger

from logkeep.backups.due_store import due_items
from logkeep.backups.lease_store import Leases
from logkeep.backups.notice_store import publish, publish_failures
from logkeep.backups.notices import missed
from logkeep.backups.queue import ORDERS, DueOrder, ExpireOrder, RunOrder, order_backup
from logkeep.backups.retention_store import retention
from logkeep.backups.runs import backup_runs
from logkeep.backups.schedule import MISSED_AFTER, run_id, spread
from logkeep.backups.store import backup_store
from logkeep.clock import DAY, now_ms
from logkeep.errors import BackupInProgress, ClusterNotFound, NotEnabled
from logkeep.logs.store import log_store

SPREAD_SECONDS: Final = 240  # with the minute of the schedule, a daily backup begins within five of its time
_NOTICES: Final = ("watch", "alert")  # due items that publish

logger = Logger(use_rfc3339=True)  # Lambda takes no other time of a line


def start_what_is_due(now: int) -> None:
    """Handle every due item: order backups and sweeps, order stalled backups again, publish notices.

    If this is killed, the schedule calls it again a minute later, and it repeats what was not finished: a run has one
    record, however often it is ordered. An error of one cluster does not keep the others waiting. Raises RuntimeError
    at the end if there was one.
    """
    failed = 0
    # Notices come last, because a topic that does not answer takes time.
    for project, cluster, name in sorted(due_items(now), key=lambda each: each[2].startswith(_NOTICES)):
        try:
            _HANDLERS[name.partition("/")[0]](project, cluster, now)
        except Exception:
            logger.exception("a due item could not be handled", extra={"project": project, "cluster": cluster})
            failed += 1
    if failed:
        raise RuntimeError(f"{failed} of the due items could not be handled")


def work_on_backup(body: str, seconds_left: float) -> None:
    """Carry out an order: continue or start a cluster's backup, or delete expired ones.

    If time runs out, it is ordered again, and the next call continues. Raises Busy if nothing could be done: another
    call would do no better, so the message ends among the dead letters, which raise an alarm.
    """
    order = ORDERS.validate_json(body)
    if isinstance(order, ExpireOrder):
        if retention(order.project, order.cluster).sweep(now_ms(), seconds_left):
            order_backup(order)
        return
    if isinstance(order, DueOrder):
        _start_due(order)
    if backup_runs(order.project, order.cluster).resume(seconds_left):
        order_backup(RunOrder(project=order.project, cluster=order.cluster))
    try:
        _publish_failures(order.project, order.cluster)
    except Exception:
        # The backup has ended all the same, and the schedule publishes its failure.
        logger.exception("the failure of a backup could not be published")


def _order_run(project: str, cluster: str, now: int) -> None:
    """Order the daily backup. If several runs were missed, only the last one is made up for."""
    store = backup_store(project, cluster)
    if (found := store.due_run()) and found[0] <= now:
        due, period = found
        run = period.last_until(now)
        order = DueOrder(project=project, cluster=cluster, due=run)
        order_backup(order, delay=spread(run_id(project, cluster, run), SPREAD_SECONDS))
        store.advance("policy", due, period.next_after(now))


def _order_again(project: str, cluster: str, now: int) -> None:
    if Leases(backup_store(project, cluster)).ask_again(now):
        logger.warning("a backup is asked for again", extra={"project": project, "cluster": cluster})
        order_backup(RunOrder(project=project, cluster=cluster))


def _report_missed(project: str, cluster: str, now: int) -> None:
    """Publish that there was no success for too long. Two schedules at the same time may publish it twice."""
    store = backup_store(project, cluster)
    due = store.due_at("watch")
    if due is None or due > now:
        return
    last, following = store.last_success(), now + DAY
    # A worker that was killed after a success has not moved the watch.
    if last and (late := (last.finished_at or 0) + MISSED_AFTER) > now:
        following = late
    else:
        logger.warning("no backup succeeded for too long", extra={"project": project, "cluster": cluster})
        publish(missed(project, cluster, last))
    store.advance("watch", due, following)


def _order_sweep(project: str, cluster: str, now: int) -> None:
    store = backup_store(project, cluster)
    due = store.due_at("sweep")
    if due is not None and due <= now:
        order_backup(ExpireOrder(project=project, cluster=cluster))
        store.advance("sweep", due, now + DAY)


def _publish_due(project: str, cluster: str, _: int) -> None:
    _publish_failures(project, cluster)


_HANDLERS: Final[Mapping[str, Callable[[str, str, int], None]]] = {
    "policy": _order_run,
    "active": _order_again,
    "watch": _report_missed,
    "sweep": _order_sweep,
    "alert": _publish_due,
}


def _publish_failures(project: str, cluster: str) -> None:
    if published := publish_failures(project, backup_store(project, cluster)):
        logger.warning("a backup failed", extra={"project": project, "cluster": cluster, "records": published})


def _start_due(order: DueOrder) -> None:
    """Start a daily backup. Its record is one, however often it is ordered, and has failed if another backup runs."""
    store, now = backup_store(order.project, order.cluster), now_ms()
    if order.due < now - DAY:
        return  # a later run was ordered since, and this one's record may have expired
    try:
        cluster = store.enabled(log_store(order.project))
    except (ClusterNotFound, NotEnabled):
        return  # switched off since
    if not cluster.auto_enable:
        return
    record = cluster.new_record(run_id(order.project, order.cluster, order.due), order.due, "Auto")
    try:
        Leases(store).start(record, now)
    except BackupInProgress:
        store.put(record.failed("overlapped: another backup of the cluster was running", now), alert=True)
