"""Makes the Lambda handlers of workers and schedules."""

from collections.abc import Callable
from typing import Any, Final

from aws_lambda_powertools.utilities.typing import LambdaContext

from logkeep.aws.logger import logger
from logkeep.clock import now_ms

RESERVE_SECONDS: Final = 45  # the longest step of a worker: with less time left it starts none


def worker_entrypoint(work: Callable[[Any, float, str], None]) -> Callable[[Any, LambdaContext], None]:
    """The Lambda handler of a worker: calls `work` with the order, the seconds left and the id of the request.

    After an exception, or when the worker was killed, Lambda calls it again with the same order and the same id. After
    the last attempt the order goes to the dead letters.
    """

    @logger.inject_lambda_context(clear_state=True)
    def lambda_handler(event: Any, context: LambdaContext) -> None:
        work(event, context.get_remaining_time_in_millis() / 1000, context.aws_request_id)

    return lambda_handler


def schedule_entrypoint(work: Callable[[int], None]) -> Callable[[dict[str, Any], LambdaContext], None]:
    """The Lambda handler of a schedule: calls `work` with the time in epoch milliseconds."""

    @logger.inject_lambda_context(clear_state=True)
    def lambda_handler(event: dict[str, Any], context: LambdaContext) -> None:
        work(now_ms())

    return lambda_handler
