"""Queue of backups: one message is a backup to start or continue."""

from logkeep.aws.triggers import queue_entrypoint
from logkeep.backups.worker import work_on_backup

lambda_handler = queue_entrypoint(work_on_backup)
