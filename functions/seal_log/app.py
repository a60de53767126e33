"""PUT /v1/{project_id}/logs/{log_id}: seal a log; the answer is its certificate."""

from logkeep.apis.logs.codes import LOGKEEP
from logkeep.apis.logs.http import check_readable, totals_of
from logkeep.logs.head import Certificate
from logkeep.logs.store import log_store
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint
from logkeep.web.parsing import Nothing

app = App(LOGKEEP, "seal_log")


@app.put("/v1/.+")
def seal_log() -> Answer[Certificate]:
    """Raises LogNotFound, or Conflict if the log is not what the totals say."""
    app.query(Nothing)
    log_id, totals, store = app.log_id(), totals_of(app), log_store(app.caller.project)
    if totals.bytes is not None:  # which may begin the log
        check_readable(store, log_id)
    return app.answer_json(Certificate.of(store.seal(log_id, totals)))


lambda_handler = entrypoint(app)
