"""Backups, called by their queue and by the schedule."""

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
from logkeep.errors import BackupRunning, ClusterNotFound, NotEnabled
from logkeep.logs.store import log_store

SPREAD_SECONDS: Final = 300

logger = Logger()


def start_what_is_due(now: int) -> None:
    """Order the backups that are due, those that nobody works on any more, and a look at what has had its time; tell of
    failures and of clusters without a success.

    Whoever is killed in the middle is followed a minute later by one that does it again: a run has one record however
    often it is ordered. What fails for one cluster does not keep the others waiting.
    """
    failed = 0
    # Backups first: a topic that does not answer takes time.
    for project, cluster, name in sorted(due_items(now), key=lambda each: each[2].startswith(_TELLING)):
        try:
            _DUE[name.partition("/")[0]](project, cluster, now)
        except Exception:
            logger.exception("what is due could not be started", extra={"project": project, "cluster": cluster})
            failed += 1
    if failed:
        raise RuntimeError(f"{failed} of the clusters with something due failed")


def _run(project: str, cluster: str, now: int) -> None:
    """Of several runs that were missed, the last is caught up, and no other."""
    store = backup_store(project, cluster)
    if (found := store.due_run()) and found[0] <= now:
        due, period = found
        run = period.last_until(now)
        order = DueOrder(project=project, cluster=cluster, due=run)
        order_backup(order, delay=spread(run_id(project, cluster, run), SPREAD_SECONDS))
        store.advance("policy", due, period.next_after(now))


def _go_on(project: str, cluster: str, now: int) -> None:
    if Leases(backup_store(project, cluster)).ask_again(now):
        logger.warning("a backup is asked for again", extra={"project": project, "cluster": cluster})
        order_backup(RunOrder(project=project, cluster=cluster))


def _warn(project: str, cluster: str, now: int) -> None:
    """Tell people, then move the watch on: at least once, and twice of two schedules at once."""
    store = backup_store(project, cluster)
    due = store.due_at("watch")
    if due is None or due > now:
        return
    last, following = store.last_success(), now + DAY
    # Who is killed behind a success has not moved the watch on.
    if last and (late := (last.finished_at or 0) + MISSED_AFTER) > now:
        following = late
    else:
        logger.warning("no backup succeeded for too long", extra={"project": project, "cluster": cluster})
        publish(missed(project, cluster, last))
    store.advance("watch", due, following)


def _sweep(project: str, cluster: str, now: int) -> None:
    store = backup_store(project, cluster)
    due = store.due_at("sweep")
    if due is not None and due <= now:
        order_backup(ExpireOrder(project=project, cluster=cluster))
        store.advance("sweep", due, now + DAY)


def _tell(project: str, cluster: str, now: int) -> None:
    if told := publish_failures(project, backup_store(project, cluster)):
        logger.warning("a backup failed", extra={"project": project, "cluster": cluster, "records": told})


_DUE: Final[Mapping[str, Callable[[str, str, int], None]]] = {
    "policy": _run,
    "active": _go_on,
    "watch": _warn,
    "sweep": _sweep,
    "alert": _tell,
}
_TELLING: Final = ("watch", "alert")


def work_on_backup(body: str, seconds_left: float) -> None:
    """Go on with a cluster's backup, or delete those that have had their time.

    Where time is up first, it is ordered again, and the next call goes on. Raises Busy where nothing could be
    done: another call would do no better, and people should hear of it.
    """
    order = ORDERS.validate_json(body)
    if isinstance(order, ExpireOrder):
        if retention(order.project, order.cluster).sweep(now_ms(), seconds_left):
            order_backup(order)
        return
    if isinstance(order, DueOrder):
        _start_due(order)
    if backup_runs(order.project, order.cluster).go_on(seconds_left):
        order_backup(RunOrder(project=order.project, cluster=order.cluster))
    _tell_of_failures(order.project, order.cluster)


def _tell_of_failures(project: str, cluster: str) -> None:
    try:
        if told := publish_failures(project, backup_store(project, cluster)):
            logger.warning("a backup failed", extra={"project": project, "cluster": cluster, "records": told})
    except Exception:
        # The backup is as it is, and the schedule tells of it.
        logger.exception("the failure of a backup could not be published")


def _start_due(order: DueOrder) -> None:
    """Make the record of a scheduled run: one, however often it is ordered. It has failed while another one runs."""
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
    except BackupRunning:
        store.put(record.failed("overlapped: another backup of the cluster was running", now), alert=True)
