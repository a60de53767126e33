"""Workers of backups, as the processes of tests/soak run them: what Lambda does with orders, and the function."""

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import boto3

import functions.run_backup.app as run_backup
import functions.run_restore.app as run_restore
from logkeep.aws import clients, parts
from logkeep.aws import multipart as uploads
from logkeep.backups import runs as backup_runs
from logkeep.backups import work_store
from logkeep.errors import Busy
from logkeep.restores import progress_store as progress
from logkeep.restores import store as restores
from logkeep.restores import worker
from tests.calls import Context
from tests.orders import queue_of
from tests.soak.processes import LONG, Tell

# What the forks have from this: botocore's models of the services, which take longer to read than a backup runs.
for _service in ("s3", "dynamodb", "lambda", "sqs"):
    boto3.client(_service, region_name="us-east-1")

ORDERED_FOR: Final = 1500  # ms, instead of two minutes
_TAKE_TIME: Final = ("GetObject", "UploadPart", "UploadPartCopy")


@dataclass(frozen=True)
class Pace:
    """How a worker's invocations go; seconds."""

    time: float = 900.0  # of an invocation
    reserve: float = 45.0
    lease_over: float = 30.0
    restores: bool = False  # of restores instead of backups
    small: bool = False  # parts and steps of a thousandth of their size, so that there are several
    part: float = 0.0  # what a part, or a read from S3, seems to take
    visibility: int = 0  # after which Lambda calls another worker with an order that was not carried out
    idle: float = 0.0  # how long it waits for another order
    serves: float = 60.0  # how long it takes orders
    tries: int = work_store.TRIES_MAX


def serve(tell: Tell, pace: Pace) -> None:
    """Call the function with what was ordered, one order at a time, until there is none for some time.

    An order that is repeated has the same id, as a request to Lambda. It is repeated while a slow worker still runs,
    too, which Lambda does more rarely.
    """
    _set(pace)
    function = run_restore if pace.restores else run_backup
    sqs, queue = boto3.client("sqs"), queue_of("RunRestore" if pace.restores else "RunBackup")
    end = time.monotonic() + pace.serves
    idle_until = time.monotonic() + pace.idle
    while time.monotonic() < end:
        messages = sqs.receive_message(
            QueueUrl=queue,
            VisibilityTimeout=pace.visibility,
        ).get("Messages", [])
        if not messages:
            if time.monotonic() > idle_until:
                return
            time.sleep(0.05 if LONG else 0.2)
        for message in messages:
            tell("messages", 1)
            try:
                function.lambda_handler(json.loads(message["Body"]), Context(pace.time, message["MessageId"]))
            except Busy:
                tell("busy", 1)  # and is called again
                continue
            with suppress(sqs.exceptions.ReceiptHandleIsInvalid):  # another worker had it too, and was faster
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            tell("messages done", 1)
            idle_until = time.monotonic() + pace.idle


def _set(pace: Pace) -> None:
    clock = SimpleNamespace(passed=0.0)
    clock.monotonic = lambda: time.monotonic() + clock.passed

    def pass_time(**_: Any) -> None:
        clock.passed += pace.part

    for operation in _TAKE_TIME:
        clients.s3().meta.events.register(f"after-call.s3.{operation}", pass_time)
    changes: dict[Any, dict[str, Any]] = {
        work_store: {"ORDERED_FOR": ORDERED_FOR},
        backup_runs: {"time": clock, "_RESERVE": pace.reserve, "LEASE_OVER": pace.lease_over, "TRIES_MAX": pace.tries},
        uploads: {"time": clock},
        worker: {
            "time": clock,
            "RESERVE_SECONDS": pace.reserve,
            "LEASE_OVER": pace.lease_over,
            "TRIES_MAX": pace.tries,
        },
        restores: {"time": clock},
        progress: {"time": clock, "_NOTED_EVERY": 0 if pace.small else 2},
    }
    if pace.small:
        changes[backup_runs] |= {"_STEP": 64 << 10}
        changes[uploads] |= {"part_size_for": lambda _: 16 << 10}
        changes[parts] = {"PART_MIN": 5 << 10}
        changes[restores] |= {"_AT_ONCE": 32 << 10, "_KEPT_MAX": 16 << 10, "_STEP": 16 << 10}
    for module, values in changes.items():
        for name, value in values.items():
            setattr(module, name, value)
