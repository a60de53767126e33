"""POST …/logs/records/{record_id}/verify: compare the archives of a backup with what was recorded of them."""

from logkeep.apis.css.archive_http import verify
from logkeep.apis.css.codes import CSS
from logkeep.restores.verification import ShownVerification
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(CSS, "verify_backup")


@app.post("/v1.0/<project_id>/clusters/<cluster_id>/logs/records/<record_id>/verify")
def verify_backup(project_id: str, cluster_id: str, record_id: str) -> Answer[ShownVerification]:
    return verify(app, cluster_id, record_id)


lambda_handler = entrypoint(app)
