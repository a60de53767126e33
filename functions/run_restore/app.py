"""A worker: an order is a restore or a full verification to continue."""

from logkeep.aws.triggers import worker_entrypoint
from logkeep.restores.worker import work_on_archive

lambda_handler = worker_entrypoint(work_on_archive)
