"""The worker that builds renders. It is in this room because it must know the files of every API."""

import time
from typing import Annotated, Any

from pydantic import Field

from logkeep.apis.build.files import BuildFile
from logkeep.apis.check.files import CheckFile
from logkeep.aws.logger import logger
from logkeep.aws.multipart import Unfinished
from logkeep.aws.triggers import RESERVE_SECONDS
from logkeep.downloads.files import LogFile
from logkeep.downloads.orders import FileOrder, order_file
from logkeep.downloads.plan_store import Noting, plans
from logkeep.downloads.render_store import renders
from logkeep.errors import Busy, LogNotFound, NotFound
from logkeep.logs.store import log_store

type AnyFile = Annotated[LogFile | BuildFile | CheckFile, Field(discriminator="kind")]


def build_ordered_file(event: Any, seconds_left: float, _: str) -> None:
    """Build the file that a FileOrder names. If the time ends first, order it again: that call continues.

    Raises Busy if not one new part was finished, because another call would fare no better.
    """
    deadline = time.monotonic() + seconds_left - RESERVE_SECONDS
    order = FileOrder[AnyFile].model_validate(event)
    store, logs = renders(order.project), Noting(log_store(order.project))
    try:
        now = order.file.rendition(logs, gzip=order.gzip)
    except NotFound:
        logger.info("the logs of the file no longer exist", extra={"order": event})
        return
    rendition = plans(order.project).find(order.file, logs, gzip=order.gzip) or now
    if store.find(rendition):
        return
    try:
        built = store.build(rendition, deadline, logs)
    except LogNotFound:
        logger.info("a log of the file was deleted meanwhile", extra={"order": event})
        return
    if isinstance(built, Unfinished):
        if not built.new_parts:
            raise Busy("no part of the file could be finished in time", retry_after=0)
        order_file(order)
        store.mark_ordered(rendition)
