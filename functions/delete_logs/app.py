"""A worker: an order is a count of logs, or a deletion of those that were counted."""

from logkeep.aws.triggers import worker_entrypoint
from logkeep.logs.worker import work_on_order

lambda_handler = worker_entrypoint(work_on_order)
