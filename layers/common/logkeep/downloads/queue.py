"""The queue of renders to build."""

from logkeep.aws import clients
from logkeep.downloads.files import File, FileOrder
from logkeep.settings import settings


def order_file[F: File](order: FileOrder[F]) -> None:
    """Send an order to the queue of the render worker."""
    clients.sqs().send_message(QueueUrl=settings().build_queue_url, MessageBody=order.model_dump_json())
