"""The logs of a code check as text: all logs of an execution at once, or a page of a console."""

from contextlib import suppress

from logkeep.apis.check.detail import ConsoleAnswer, ConsoleQuery, DetailQuery, LogDetail
from logkeep.apis.check.files import check_heads
from logkeep.errors import LogNotFound
from logkeep.logs.head import Head
from logkeep.logs.store import LogStore, log_store
from logkeep.web.app import Answer, App


def answer_detail(app: App, task_id: str) -> Answer[LogDetail]:
    """All logs of an execution. Raises LogNotFound if it is not registered, TooLarge if they exceed an answer."""
    query, logs = app.query(DetailQuery, task_id=task_id), log_store(app.caller.project)
    return app.answer_json(LogDetail.of(logs, _registered(logs, query.task_id, query.execute_id)))


def answer_console(app: App) -> Answer[ConsoleAnswer]:
    """A page of the sub-job with the id, or of the task if there is no such sub-job.

    Raises LogNotFound, or TooLarge if there are too many logs.
    """
    query, logs = app.query(ConsoleQuery), log_store(app.caller.project)
    with suppress(LogNotFound):
        return app.answer_json(query.answer(logs, check_heads(logs, [query.job_id])))
    return app.answer_json(query.answer(logs, _registered(logs, query.job_id)))


def _registered(logs: LogStore, task_id: str, execute_id: str | None = None) -> list[Head]:
    """The logs of an execution of a task, or of the latest that has some: others were deleted, or have expired."""
    for each in [execute_id] if execute_id else logs.registrations.executions(task_id):
        with suppress(LogNotFound):
            return check_heads(logs, logs.registrations.sub_jobs(task_id, each), passing=True)
    raise LogNotFound(f"no log is registered for task {task_id}")
