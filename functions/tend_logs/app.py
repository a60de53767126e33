"""Every hour: remove what packs have replaced, and order a worker for logs that fell silent."""

from logkeep.apis.logs.worker import tend_logs
from logkeep.aws.triggers import schedule_entrypoint

lambda_handler = schedule_entrypoint(tend_logs)
