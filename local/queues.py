"""Queues that call functions, as SQS event source mappings do on AWS."""

import logging
import time
import uuid
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from local import REGION
from local.emulator import Emulator, values_of
from local.sandbox import FunctionFailed, FunctionTimedOut, Sandboxes
from local.template import Function, Template
from local.threads import Threads

_WAIT_SECONDS: Final = 1  # for which a poll waits; only then is the end of the service noticed

logger = logging.getLogger(__name__)


class Queues(Threads):
    """Polls every queue of the template's SQS events, in a thread each, and calls its function."""

    def __init__(self, template: Template, sandboxes: Sandboxes, emulator: Emulator) -> None:
        super().__init__()
        self._sandboxes = sandboxes
        self._emulator = emulator
        self._values = values_of(template, emulator.endpoint)
        for function in template.functions.values():
            for queue in function.queues:
                self.add(queue, self._poll, function, queue)

    def _poll(self, function: Function, queue: str) -> None:
        sqs = self._emulator.client("sqs")
        url = self._values[queue]
        while not self.ended.is_set():
            try:
                messages = sqs.receive_message(
                    QueueUrl=url,
                    MaxNumberOfMessages=1,
                    WaitTimeSeconds=_WAIT_SECONDS,
                    MessageSystemAttributeNames=["All"],
                ).get("Messages", [])
                for message in messages:
                    if self._call(function, queue, message):
                        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            except (BotoCoreError, ClientError) as error:
                logger.warning("queue %s: %s", queue, error)
                self.ended.wait(_WAIT_SECONDS)

    def _call(self, function: Function, queue: str, message: Any) -> bool:
        """Whether the function succeeded. If not, the message comes again, and in the end goes to the dead letters."""
        event = {"Records": [record_of(message, self._values[f"{queue}.Arn"])]}
        started = time.monotonic()
        try:
            self._sandboxes.invoke(function, event, str(uuid.uuid4()), function.timeout)
        except (FunctionFailed, FunctionTimedOut) as error:
            logger.warning("%s failed on a message: %s", function.name, type(error).__name__)
            return False
        logger.info("%s %s %.0f ms", queue, function.name, (time.monotonic() - started) * 1000)
        return True


def record_of(message: Any, arn: str) -> dict[str, Any]:
    """The record of an SQS event for a received message; `arn` is the queue's."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": REGION,
    }
