"""What the hourly schedule calls. It is in this room because it must know which backups need what is to be removed."""

import time
from collections.abc import Callable
from typing import Final

from logkeep.aws.logger import logger
from logkeep.backups.store import backup_store
from logkeep.clock import DAY
from logkeep.downloads.render_store import renders
from logkeep.logid import LogId
from logkeep.logs.calendar import CleanUp, Due, Refiling, Step
from logkeep.logs.deletion import Deletion
from logkeep.logs.orders import PackOrder, order_packing
from logkeep.logs.project_store import projects
from logkeep.logs.tending_store import Tending, tending

_SECONDS: Final = 600.0  # then the rest waits for the next hour
_FORGOTTEN_LATER: Final = 30 * DAY  # ms: how often it is looked whether a backup keeps a deletion known


def tend_logs(now: int) -> None:
    """Order a worker for logs that fell silent, and do what the calendar says. `now` in epoch milliseconds.

    If it is killed or time runs out, the next call continues. An error of one log does not keep the others waiting.
    Raises RuntimeError at the end if there was one.
    """
    deadline = time.monotonic() + _SECONDS
    failed = 0
    for project in projects():
        try:
            for head in tending(project).silent(now):
                order_packing(PackOrder(project=project, log_id=str(head.log_id), birth=head.birth))
                if time.monotonic() > deadline:
                    return
        except Exception:
            logger.exception("the silent logs of a project wait for the next hour", extra={"project": project})
            failed += 1
        calendar = tending(project)
        for each in calendar.due(now):
            if time.monotonic() > deadline:
                logger.warning("some of the calendar is left to the next hour", extra={"project": project})
                return
            try:
                _do(calendar, project, each, now, lambda: time.monotonic() > deadline)
            except Exception:
                logger.exception("something due could not be done", extra={"project": project, "due": str(each)})
                failed += 1
    if failed:
        raise RuntimeError(f"{failed} times something could not be done")


def _do(calendar: Tending, project: str, due: Due, now: int, is_late: Callable[[], bool]) -> None:
    """Do what the calendar says, unless a backup needs the text still."""
    if isinstance(due, Refiling):
        calendar.refile(due, now, is_late)
        return
    if isinstance(due, CleanUp):
        if not _is_read(project, due.log_id):
            calendar.clean(due)
        return
    match due.step:
        case Step.EXPIRE:
            calendar.expire(due, now)
        case Step.GO:
            calendar.let_go(due, now)
        case Step.REMOVE:
            if not _is_read(project, due.log_id):
                renders(project).remove(due.log_id.owner)
                calendar.remove(due)
        case Step.FORGET:
            deletion = calendar.deletion(due)
            if deletion and _has_older_backups(project, deletion):
                calendar.put_off(due, now + _FORGOTTEN_LATER)
            else:
                calendar.forget(due, deletion)


def _is_read(project: str, log_id: LogId) -> bool:
    """Whether a backup runs whose cut may name what a pack has replaced since, or a log that was deleted since."""
    return log_id.kind == "cluster" and backup_store(project, log_id.segments[0]).items.get("active") is not None


def _has_older_backups(project: str, deletion: Deletion) -> bool:
    """Whether there are backups that may hold a log that was deleted."""
    if deletion.log_id.kind != "cluster":
        return False
    records = backup_store(project, deletion.log_id.segments[0]).records()
    return any(each.may_hold(deletion.began, deletion.at) for each in records)
