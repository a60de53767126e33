"""Queue of files to be built: one message is one file that took a request too long."""

from logkeep.apis.worker import build_ordered_file
from logkeep.aws.triggers import queue_entrypoint

lambda_handler = queue_entrypoint(build_ordered_file)
