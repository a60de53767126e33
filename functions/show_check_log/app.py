"""GET /v2/{project_id}/tasks/{task_id}/log-detail and GET /v1/console-log: a code check's logs as text."""

from logkeep.apis.check.codes import CHECK
from logkeep.apis.check.detail import ConsoleAnswer, LogDetail
from logkeep.apis.check.http import answer_console, answer_detail
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(CHECK, "show_check_log")


@app.get("/v2/<project_id>/tasks/<task_id>/log-detail")
def show_detail(project_id: str, task_id: str) -> Answer[LogDetail]:
    return answer_detail(app, task_id)


@app.get("/v1/console-log")
def show_console() -> Answer[ConsoleAnswer]:
    return answer_console(app)


lambda_handler = entrypoint(app)
