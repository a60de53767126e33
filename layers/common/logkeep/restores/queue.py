"""The queue of restores and full verifications."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from logkeep.aws import clients
from logkeep.settings import settings


class _Order(BaseModel):
    model_config = ConfigDict(frozen=True)

    project: str
    cluster: str
    record: str
    run: str  # id of the job; if the record has another one, this order is outdated


class RestoreOrder(_Order):
    """Continue a restore."""

    kind: Literal["restore"] = "restore"


class VerifyOrder(_Order):
    """Continue a full verification."""

    kind: Literal["verify"] = "verify"


type Order = Annotated[RestoreOrder | VerifyOrder, Field(discriminator="kind")]

ORDERS: Final = TypeAdapter[RestoreOrder | VerifyOrder](Order)


def order_restore(order: Order) -> None:
    clients.sqs().send_message(QueueUrl=settings().restore_queue_url, MessageBody=order.model_dump_json())
