"""Orders to workers: asynchronous invocations, which Lambda keeps and repeats, or puts among the dead letters."""

from pydantic import BaseModel

from logkeep.aws import clients
from logkeep.aws.refusals import unavailable


def send(function: str, order: BaseModel) -> None:
    """Have a worker called with an order, soon and at least once. `function` is its name.

    Raises Unavailable if Lambda refuses for now, or does not answer.
    """
    try:
        clients.functions().invoke(FunctionName=function, InvocationType="Event", Payload=order.model_dump_json())
    except Exception as error:
        if passing := unavailable(error):
            raise passing from error
        raise
