"""A worker: an order is a backup to continue, or a cluster whose expired backups are to be deleted."""

from logkeep.aws.triggers import worker_entrypoint
from logkeep.backups.worker import work_on_backup

lambda_handler = worker_entrypoint(work_on_backup)
