"""The queue of files to be built."""

from logkeep.aws import clients
from logkeep.downloads.files import FileOrder
from logkeep.settings import settings


def order_file(order: FileOrder) -> None:
    clients.sqs().send_message(QueueUrl=settings().build_queue_url, MessageBody=order.model_dump_json())
