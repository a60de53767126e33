"""Every minute: start backups and sweeps that are due, order workers for what has none, publish failures."""

from logkeep.aws.triggers import schedule_entrypoint
from logkeep.backups.worker import start_what_is_due

lambda_handler = schedule_entrypoint(start_what_is_due)
