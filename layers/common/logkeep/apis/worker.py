"""Functions that a queue calls, one message at a time."""

import time
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from logkeep.aws.multipart import Unfinished
from logkeep.backups.notice_store import publish_failures
from logkeep.backups.queue import ORDERS, DueOrder, ExpireOrder, RunOrder, send
from logkeep.backups.retention_store import retention
from logkeep.backups.runs import backup_runs
from logkeep.backups.schedule import DAY, run_id
from logkeep.backups.store import backup_store
from logkeep.clock import now_ms
from logkeep.downloads.files import FileOrder
from logkeep.downloads.queue import order_file
from logkeep.downloads.render_store import renders
from logkeep.errors import BackupRuns, Busy, ClusterNotFound, NotEnabled, NotFound
from logkeep.logs.store import log_store
from logkeep.restores.queue import ORDERS as RESTORE_ORDERS
from logkeep.restores.queue import RestoreOrder
from logkeep.restores.queue import send as send_restore
from logkeep.restores.store import restores
from logkeep.restores.verification_store import verifications

# What a part may take, so that an invocation ends between parts and not within one.
_RESERVE_SECONDS = 45

logger = Logger()


def build_ordered_file(body: str, seconds_left: float) -> None:
    """Build the file of a FileOrder; where time is up first, order it again, and the next call goes on.

    Raises Busy where not even one part was finished: another call would do no better, and people should hear of it.
    """
    deadline = time.monotonic() + seconds_left - _RESERVE_SECONDS
    order = FileOrder.model_validate_json(body)
    store = renders(order.project)
    try:
        rendition = order.file.rendition(log_store(order.project), gzip=order.gzip)
    except NotFound:
        logger.info("nothing to build any more", extra={"order": body})
        return
    if store.find(rendition):
        return
    built = store.build(rendition, deadline)
    if isinstance(built, Unfinished):
        if not built.new_parts:
            raise Busy("no part of the file could be finished in time", retry_after=0)
        order_file(order)
        store.mark_ordered(rendition)


def work_on_backup(body: str, seconds_left: float) -> None:
    """Go on with a cluster's backup, or delete those that have had their time.

    Where time is up first, it is ordered again, and the next call goes on. Raises Busy where nothing could be
    done: another call would do no better, and people should hear of it.
    """
    order = ORDERS.validate_json(body)
    if isinstance(order, ExpireOrder):
        if retention(order.project, order.cluster).sweep(now_ms(), seconds_left):
            send(order)
        return
    if isinstance(order, DueOrder):
        _start_due(order)
    if backup_runs(order.project, order.cluster).go_on(seconds_left):
        send(RunOrder(project=order.project, cluster=order.cluster))
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
        store.start(record, now)
    except BackupRuns:
        store.put(record.failed("overlapped: another backup of the cluster was running", now), alert=True)


def work_on_archive(body: str, seconds_left: float) -> None:
    """Go on with a restore, or with a verification in full, as with a backup."""
    order = RESTORE_ORDERS.validate_json(body)
    jobs = restores if isinstance(order, RestoreOrder) else verifications
    deadline = time.monotonic() + seconds_left - _RESERVE_SECONDS
    if jobs(order.project, order.cluster).go_on(order.record, order.run, deadline):
        send_restore(order)


def queue_entrypoint(work: Callable[[str, float], None]) -> Callable[[dict[str, Any], LambdaContext], None]:
    """The Lambda handler of a queue; what work raises puts the message back, and at last into the dead-letter queue."""

    @logger.inject_lambda_context(clear_state=True)
    def lambda_handler(event: dict[str, Any], context: LambdaContext) -> None:
        for record in event["Records"]:
            work(record["body"], context.get_remaining_time_in_millis() / 1000)

    return lambda_handler
