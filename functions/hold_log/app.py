"""PUT and DELETE /v1/{project_id}/holds/{log_id}: keep a log from expiry and deletion, and lift that hold."""

from logkeep.apis.logs.codes import LOGKEEP
from logkeep.apis.logs.deletion_http import answer_held
from logkeep.logs.head import Certificate
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(LOGKEEP, "hold_log")


@app.put("/v1/<project_id>/holds/.+")
def hold_log(**_: str) -> Answer[Certificate]:
    """Keep a log from expiry and deletion. One that has expired can be read again."""
    return answer_held(app, app.log_id(), on=True)


@app.delete("/v1/<project_id>/holds/.+")
def let_log_go(**_: str) -> Answer[Certificate]:
    """Lift the hold on a log."""
    return answer_held(app, app.log_id(), on=False)


lambda_handler = entrypoint(app)
