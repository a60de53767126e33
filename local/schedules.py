"""Functions that are called again and again: what EventBridge Scheduler does."""

import logging
import threading
import uuid
from types import TracebackType
from typing import Any, Final, Self

from local import ACCOUNT, REGION
from local.sandbox import FunctionFailed, FunctionTimedOut, Sandboxes
from local.template import Function, Template

_EVENT: Final[dict[str, Any]] = {
    "version": "0",
    "detail-type": "Scheduled Event",
    "source": "aws.scheduler",
    "account": ACCOUNT,
    "region": REGION,
    "resources": [],
    "detail": "{}",
}

logger = logging.getLogger(__name__)


class Schedules:
    """Calls the function of every schedule of the template at its rate, the first time after one pause."""

    def __init__(self, template: Template, sandboxes: Sandboxes) -> None:
        self._sandboxes = sandboxes
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(function, seconds), name=function.name)
            for function in template.functions.values()
            for seconds in function.schedules
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, function: Function, seconds: float) -> None:
        while not self._ended.wait(seconds):
            call = str(uuid.uuid4())
            try:
                self._sandboxes.invoke(function, _EVENT | {"id": call}, call, function.timeout)
            except (FunctionFailed, FunctionTimedOut) as error:
                logger.warning("%s failed on its schedule: %s", function.name, type(error).__name__)
