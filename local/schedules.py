"""Functions that are called at a fixed rate, as EventBridge Scheduler does on AWS."""

import logging
import uuid
from typing import Any, Final

from local import ACCOUNT, REGION
from local.sandbox import FunctionFailed, Sandboxes
from local.template import Function, Template
from local.threads import Threads

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


class Schedules(Threads):
    """Calls the function of every schedule of the template at its rate, the first time after one period."""

    def __init__(self, template: Template, sandboxes: Sandboxes) -> None:
        super().__init__()
        self._sandboxes = sandboxes
        for function in template.functions.values():
            for seconds in function.schedules:
                self.add(function.name, self._repeat, function, seconds)

    def _repeat(self, function: Function, seconds: float) -> None:
        while not self.ended.wait(seconds):
            request_id = str(uuid.uuid4())
            try:
                self._sandboxes.invoke(function, _EVENT | {"id": request_id}, request_id, function.timeout)
            except FunctionFailed as error:
                logger.warning("%s failed on its schedule: %s", function.name, error)
