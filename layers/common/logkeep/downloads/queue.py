"""The queue of files to build."""

from logkeep.aws import clients
from logkeep.downloads.files import File, FileOrder
from logkeep.settings import settings


def order_file[F: File](order: FileOrder[F]) -> None:
    clients.sqs().send_message(QueueUrl=settings().build_queue_url, MessageBody=order.model_dump_json())
