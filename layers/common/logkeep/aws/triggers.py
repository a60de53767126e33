"""Makes the Lambda handlers of queues and schedules."""

from collections.abc import Callable
from typing import Any, Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from logkeep.clock import now_ms

RESERVE_SECONDS: Final = 45  # the longest step of a worker: with less time left it starts none

logger = Logger(use_rfc3339=True)  # Lambda takes no other time of a line


def queue_entrypoint(work: Callable[[str, float], None]) -> Callable[[dict[str, Any], LambdaContext], None]:
    """The Lambda handler of a queue: calls `work` with the body of each message and the seconds left.

    An exception returns the message to the queue; after the last attempt it moves to the dead-letter queue.
    """

    @logger.inject_lambda_context(clear_state=True)
    def lambda_handler(event: dict[str, Any], context: LambdaContext) -> None:
        for record in event["Records"]:
            work(record["body"], context.get_remaining_time_in_millis() / 1000)

    return lambda_handler


def schedule_entrypoint(work: Callable[[int], None]) -> Callable[[dict[str, Any], LambdaContext], None]:
    """The Lambda handler of a schedule: calls `work` with the time in epoch milliseconds."""

    @logger.inject_lambda_context(clear_state=True)
    def lambda_handler(event: dict[str, Any], context: LambdaContext) -> None:
        work(now_ms())

    return lambda_handler
