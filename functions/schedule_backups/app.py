"""Every minute: what is due of the backup policies goes into the queue, and what stopped in the middle, too."""

from logkeep.aws.triggers import schedule_entrypoint
from logkeep.backups.worker import start_what_is_due

lambda_handler = schedule_entrypoint(start_what_is_due)
