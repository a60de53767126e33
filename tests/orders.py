"""Lambda as the tests have it: what is ordered of a worker waits in a queue of the emulator until a test takes it."""

import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3

from local import ACCOUNT
from local.__main__ import listen
from local.emulator import Emulator
from local.invocations import InvokeServer
from local.template import Function, Template

TEMPLATE = Template.load()


class _Queues:
    def __init__(self, emulator: Emulator, may: Callable[[str], bool]) -> None:
        self._may = may
        self._sqs = emulator.client("sqs")
        self._urls = {
            name: self._sqs.create_queue(QueueName=f"orders-{name}")["QueueUrl"]
            for name, each in TEMPLATE.functions.items()
            if each.is_worker
        }

    def find(self, name: str) -> Function | None:
        return TEMPLATE.functions[name] if name in self._urls and self._may(name) else None

    def take(self, function: Function, payload: Any, trace: str) -> str:
        self._sqs.send_message(QueueUrl=self._urls[function.name], MessageBody=json.dumps(payload))
        return str(uuid.uuid4())


@contextmanager
def taking_orders(emulator: Emulator, may: Callable[[str], bool] = lambda _: True) -> Iterator[str]:
    """The endpoint of a Lambda whose orders wait in the emulator; `may` says whether a function may be called."""
    with listen(0) as listening, InvokeServer(listening, _Queues(emulator, may)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield "http://{}:{}".format(*listening.getsockname())
        server.shutdown()
        thread.join()


def queue_of(worker: str) -> str:
    """The URL of the queue in which the orders of a worker wait; each message has an order."""
    return f"{os.environ['AWS_ENDPOINT_URL']}/{ACCOUNT}/orders-{worker}"


def ordered(worker: str) -> list[Any]:
    """What was ordered of a worker since this was last asked."""
    sqs, url, found = boto3.client("sqs"), queue_of(worker), []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for each in messages:
            found.append(json.loads(each["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return found
