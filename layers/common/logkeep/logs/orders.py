"""Orders to the workers that pack logs and that delete many."""

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


class DeleteOrder(BaseModel):
    """Count logs, or delete those that were counted. Two at the same time do no harm."""

    project: str
    token: str


def order_deletions(order: DeleteOrder) -> None:
    orders.send(settings().delete_logs, order)
