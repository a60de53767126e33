"""Queues that call functions: what an SQS event source mapping does."""

import logging
import threading
import time
import uuid
from types import TracebackType
from typing import Any, Final, Self

from botocore.exceptions import BotoCoreError, ClientError

from local import REGION
from local.emulator import Emulator, values_of
from local.sandbox import FunctionFailed, FunctionTimedOut, Sandboxes
from local.template import Function, Template

_WAIT_SECONDS: Final = 1  # of a poll, after which the end of the service is noticed

logger = logging.getLogger(__name__)


class Queues:
    """Polls every queue of the template's SQS events, in a thread each, and calls its function."""

    def __init__(self, template: Template, sandboxes: Sandboxes, emulator: Emulator) -> None:
        self._sandboxes = sandboxes
        self._emulator = emulator
        self._values = values_of(template, emulator.endpoint)
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._poll, args=(function, queue), name=queue)
            for function in template.functions.values()
            for queue in function.queues
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _poll(self, function: Function, queue: str) -> None:
        sqs = self._emulator.client("sqs")
        url = self._values[queue]
        while not self._ended.is_set():
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
                self._ended.wait(_WAIT_SECONDS)

    def _call(self, function: Function, queue: str, message: Any) -> bool:
        """Whether the function succeeded; a message that is left comes again, and at last to the dead letters."""
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
    """A received message as a function sees it."""
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
