"""A worker: an order is a log whose fragments are to be packed."""

from logkeep.aws.triggers import worker_entrypoint
from logkeep.logs.worker import pack_ordered_log

lambda_handler = worker_entrypoint(pack_ordered_log)
