"""The queue of backups: orders to run them and to delete expired ones."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from logkeep.aws import clients
from logkeep.settings import settings

DELAY_MAX: Final = 900  # seconds by which SQS can delay a message


class _Order(BaseModel):
    model_config = ConfigDict(frozen=True)

    project: str
    cluster: str


class RunOrder(_Order):
    """Continue the backup that runs."""

    kind: Literal["run"] = "run"


class DueOrder(_Order):
    """Run the daily backup that was due at a time (epoch ms)."""

    kind: Literal["due"] = "due"
    due: int


class ExpireOrder(_Order):
    """Delete the expired backups."""

    kind: Literal["expire"] = "expire"


type Order = Annotated[RunOrder | DueOrder | ExpireOrder, Field(discriminator="kind")]

ORDERS: Final = TypeAdapter[RunOrder | DueOrder | ExpireOrder](Order)


def order_backup(order: Order, delay: int = 0) -> None:
    """Send an order to the queue, to be received after `delay` seconds, at most DELAY_MAX."""
    clients.sqs().send_message(
        QueueUrl=settings().backup_queue_url, MessageBody=order.model_dump_json(), DelaySeconds=min(delay, DELAY_MAX)
    )
