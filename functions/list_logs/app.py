"""GET /v1/{project_id}/logs: the certificates of a project's logs, in the order of their ids."""

from logkeep.apis.logs.codes import LOGKEEP
from logkeep.apis.logs.http import ListQuery, LogPage
from logkeep.logs.store import log_store
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(LOGKEEP, "list_logs")


@app.get("/v1/<project_id>/logs")
def list_logs(project_id: str) -> Answer[LogPage]:
    query = app.query(ListQuery)
    app.charge(read_units=query.limit)  # a head is read for each log
    heads = log_store(app.caller.project).page(query.prefix, query.marker, query.limit + 1)
    return app.answer_json(LogPage.of(heads, query.limit))


lambda_handler = entrypoint(app)
