"""The logs of a code check as text: all logs of an execution at once, or a page of a console."""

from contextlib import suppress

from logkeep.apis.check.detail import ConsoleAnswer, ConsoleQuery, DetailQuery, LogDetail
from logkeep.apis.check.files import check_heads
from logkeep.errors import LogNotFound
from logkeep.logs.store import log_store
from logkeep.web.app import Answer, App


def answer_detail(app: App, task_id: str) -> Answer[LogDetail]:
    """All logs of an execution. Raises LogNotFound if it is not registered, TooLarge if they exceed an answer."""
    query, logs = app.query(DetailQuery, task_id=task_id), log_store(app.caller.project)
    ids = logs.registrations.sub_jobs(query.task_id, query.execute_id)
    return app.answer_json(LogDetail.of(logs, check_heads(logs, ids)))


def answer_console(app: App) -> Answer[ConsoleAnswer]:
    """A page of the sub-job with the id, or of the task if there is no such sub-job.

    Raises LogNotFound, or TooLarge if there are too many logs.
    """
    query, logs = app.query(ConsoleQuery), log_store(app.caller.project)
    with suppress(LogNotFound):
        return app.answer_json(query.answer(logs, check_heads(logs, [query.job_id])))
    return app.answer_json(query.answer(logs, check_heads(logs, logs.registrations.sub_jobs(query.job_id))))
