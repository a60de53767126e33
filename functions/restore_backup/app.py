"""POST …/logs/records/{record_id}/restore: restore the logs of a backup, or report what that would do."""

from logkeep.apis.css.archive_http import restore
from logkeep.apis.css.codes import CSS
from logkeep.restores.plan import ShownRestore
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(CSS, "restore_backup")


@app.post("/v1.0/<project_id>/clusters/<cluster_id>/logs/records/<record_id>/restore")
def restore_backup(project_id: str, cluster_id: str, record_id: str) -> Answer[ShownRestore]:
    return restore(app, cluster_id, record_id)


lambda_handler = entrypoint(app)
