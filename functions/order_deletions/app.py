"""POST /v1/{project_id}/deletions: count logs by prefix, kind or labels, and then order their deletion."""

from logkeep.apis.logs.codes import LOGKEEP
from logkeep.apis.logs.many_http import ShownOrder, count_or_order, show_order
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(LOGKEEP, "order_deletions")


@app.post("/v1/<project_id>/deletions")
def order_deletions(project_id: str) -> Answer[ShownOrder]:
    """Count logs, or delete those that were counted: the body is a selection, or the token of a count."""
    return count_or_order(app)


@app.get("/v1/<project_id>/deletions/<token>")
def show_deletion_order(project_id: str, token: str) -> Answer[ShownOrder]:
    """How far a count or a deletion has come."""
    return show_order(app, token)


lambda_handler = entrypoint(app)
