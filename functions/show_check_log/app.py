"""GET /v2/{project_id}/tasks/{task_id}/log-detail and /v1/console-log: a code check's logs as text."""

from contextlib import suppress

from logkeep.apis.check.detail import ConsoleQuery, DetailQuery, LogDetail
from logkeep.downloads.files import check_heads
from logkeep.errors import LogNotFound
from logkeep.logs.store import log_store
from logkeep.web.app import Answer, App, entrypoint
from logkeep.web.error_bodies import CHECK

app = App(CHECK, "show_check_log")


@app.get("/v2/<project_id>/tasks/<task_id>/log-detail")
def show_detail(project_id: str, task_id: str) -> Answer:
    query, logs = app.query(DetailQuery, task_id=task_id), log_store(app.caller.project)
    ids = logs.registrations.sub_jobs(query.task_id, query.execute_id)
    return app.answer_json(LogDetail.of(logs, check_heads(logs, ids)))


@app.get("/v1/console-log")
def show_console() -> Answer:
    query, logs = app.query(ConsoleQuery), log_store(app.caller.project)
    with suppress(LogNotFound):
        return app.answer_json(query.answer(logs, check_heads(logs, [query.job_id])))
    return app.answer_json(query.answer(logs, check_heads(logs, logs.registrations.sub_jobs(query.job_id))))


lambda_handler = entrypoint(app)
