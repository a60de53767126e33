"""Queue of archives: one message is a restore or a full verification to continue."""

from logkeep.aws.triggers import queue_entrypoint
from logkeep.restores.worker import work_on_archive

lambda_handler = queue_entrypoint(work_on_archive)
