"""PUT /v1/{project_id}/logs/{log_id}: seal a log; the answer is its certificate."""

from logkeep.apis.logs.codes import LOGKEEP
from logkeep.apis.logs.http import totals_of
from logkeep.logs.head import Certificate
from logkeep.logs.store import log_store
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(LOGKEEP, "seal_log")


@app.put("/v1/.+")
def seal_log() -> Answer[Certificate]:
    """Raises LogNotFound, or Conflict if the log is not what the totals say."""
    log_id, totals = app.log_id(), totals_of(app)
    return app.answer_json(Certificate.of(log_store(app.caller.project).seal(log_id, totals)))


lambda_handler = entrypoint(app)
