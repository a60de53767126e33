"""DELETE /v1/{project_id}/logs/{log_id}: delete a log; the answer is the certificate of its deletion."""

from logkeep.apis.logs.codes import LOGKEEP
from logkeep.apis.logs.deletion_http import answer_deleted
from logkeep.logs.deletion import DeletionCertificate
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(LOGKEEP, "delete_log")


@app.delete("/v1/.+")
def delete_log() -> Answer[DeletionCertificate]:
    return answer_deleted(app, app.log_id())


lambda_handler = entrypoint(app)
