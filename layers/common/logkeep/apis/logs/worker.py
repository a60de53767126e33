"""What the hourly schedule calls. It is in this room because it must know which backups need what packs replaced."""

import time
from typing import Final

from logkeep.aws.logger import logger
from logkeep.backups.store import backup_store
from logkeep.logid import LogId
from logkeep.logs.orders import PackOrder, order_packing
from logkeep.logs.project_store import projects
from logkeep.logs.tending_store import tending

_SECONDS: Final = 600.0  # then the rest waits for the next hour


def tend_logs(now: int) -> None:
    """Order a worker for logs that fell silent, and remove what packs have replaced. `now` in epoch milliseconds.

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
        for each in tending(project).due(now):
            if time.monotonic() > deadline:
                logger.warning("some clean-up is left to the next hour", extra={"project": project})
                return
            try:
                if not _is_read(project, each.log_id):
                    tending(project).clean(each)
            except Exception:
                logger.exception(
                    "a log could not be cleaned up", extra={"project": project, "log_id": str(each.log_id)}
                )
                failed += 1
    if failed:
        raise RuntimeError(f"{failed} times something could not be done")


def _is_read(project: str, log_id: LogId) -> bool:
    """Whether a backup runs whose cut may name what a pack has replaced since."""
    return log_id.kind == "cluster" and backup_store(project, log_id.segments[0]).items.get("active") is not None
