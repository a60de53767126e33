"""Orders to the worker that packs logs."""

from pydantic import BaseModel

from logkeep.aws import orders
from logkeep.settings import settings


class PackOrder(BaseModel):
    """Pack what a log holds now. Two at the same time do no harm."""

    project: str
    log_id: str
    birth: str


def order_packing(order: PackOrder) -> None:
    orders.send(settings().pack_logs, order)
