"""Orders to workers: asynchronous invocations, which Lambda keeps and repeats, or puts among the dead letters."""

from pydantic import BaseModel

from logkeep.aws import clients


def send(function: str, order: BaseModel) -> None:
    """Have a worker called with an order, soon and at least once. `function` is its name."""
    clients.functions().invoke(FunctionName=function, InvocationType="Event", Payload=order.model_dump_json())
