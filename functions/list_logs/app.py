"""GET /v1/{project_id}/logs: the certificates of a project's logs, in the order of their ids."""

from logkeep.apis.logs.codes import LOGKEEP
from logkeep.apis.logs.http import ListQuery, LogPage
from logkeep.clock import now_ms
from logkeep.logs.listing_store import listing
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(LOGKEEP, "list_logs")


@app.get("/v1/<project_id>/logs")
def list_logs(project_id: str) -> Answer[LogPage]:
    """Raises Invalid for a window that is empty or longer than 31 days."""
    query, now = app.query(ListQuery), now_ms()
    wanted, logs = query.selection(now), listing(app.caller.project)
    app.charge(read_units=query.limit + logs.least_requests(wanted, now))  # a head is read for each log
    page = logs.page(wanted, query.marker, query.limit, now)
    return app.answer_json(LogPage.of(page, wanted.window))


lambda_handler = entrypoint(app)
