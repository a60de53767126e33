"""A worker: an order is a file that could not be built within its request."""

from logkeep.apis.worker import build_ordered_file
from logkeep.aws.triggers import worker_entrypoint

lambda_handler = worker_entrypoint(build_ordered_file)
