"""Queue of the archives to be restored from, or read back."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from logkeep.aws import clients
from logkeep.settings import settings


class _Order(BaseModel):
    model_config = ConfigDict(frozen=True)

    project: str
    cluster: str
    record: str
    run: str  # which restore or verification of the record; another one has taken its place where this does not fit


class RestoreOrder(_Order):
    """Go on with a restore."""

    kind: Literal["restore"] = "restore"


class VerifyOrder(_Order):
    """Go on with a verification in full."""

    kind: Literal["verify"] = "verify"


type Order = Annotated[RestoreOrder | VerifyOrder, Field(discriminator="kind")]

ORDERS: Final = TypeAdapter[RestoreOrder | VerifyOrder](Order)


def order_restore(order: Order) -> None:
    clients.sqs().send_message(QueueUrl=settings().restore_queue_url, MessageBody=order.model_dump_json())
