"""Queue of archives: one message is a restore, or a verification in full, to go on with."""

from logkeep.aws.triggers import queue_entrypoint
from logkeep.restores.worker import work_on_archive

lambda_handler = queue_entrypoint(work_on_archive)
