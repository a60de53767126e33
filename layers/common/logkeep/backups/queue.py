"""Queue of the backups to be run."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from logkeep.aws import clients
from logkeep.settings import settings

DELAY_MAX: Final = 900  # seconds that SQS keeps a message back


class _Order(BaseModel):
    model_config = ConfigDict(frozen=True)

    project: str
    cluster: str


class RunOrder(_Order):
    """Go on with the backup that runs."""

    kind: Literal["run"] = "run"


class DueOrder(_Order):
    """Run the backup that a schedule was due for at that time (epoch ms)."""

    kind: Literal["due"] = "due"
    due: int


class ExpireOrder(_Order):
    """Delete the backups that have had their time."""

    kind: Literal["expire"] = "expire"


type Order = Annotated[RunOrder | DueOrder | ExpireOrder, Field(discriminator="kind")]

ORDERS: Final = TypeAdapter[RunOrder | DueOrder | ExpireOrder](Order)


def order_backup(order: Order, delay: int = 0) -> None:
    """Put an order into the queue; it is seen after so many seconds."""
    clients.sqs().send_message(
        QueueUrl=settings().backup_queue_url, MessageBody=order.model_dump_json(), DelaySeconds=min(delay, DELAY_MAX)
    )
