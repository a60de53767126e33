"""Orders to the worker that builds renders."""

from pydantic import BaseModel

from logkeep.aws import orders
from logkeep.downloads.files import File
from logkeep.settings import settings


class FileOrder[F](BaseModel):
    """Build this file. F is the union of the kinds that the worker knows."""

    project: str
    gzip: bool
    file: F


def order_file[F: File](order: FileOrder[F]) -> None:
    orders.send(settings().build_render, order)
