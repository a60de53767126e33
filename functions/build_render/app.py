"""Queue of renders: one message is a file that could not be built within its request."""

from logkeep.apis.worker import build_ordered_file
from logkeep.aws.triggers import queue_entrypoint

lambda_handler = queue_entrypoint(build_ordered_file)
