"""GET …/logs/records/{record_id}: a backup with its archive, last verification and last restore."""

from logkeep.apis.css.archive_http import BackupDetail, show_record
from logkeep.apis.css.codes import CSS
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(CSS, "show_backup_record")


@app.get("/v1.0/<project_id>/clusters/<cluster_id>/logs/records/<record_id>")
def show_backup_record(project_id: str, cluster_id: str, record_id: str) -> Answer[BackupDetail]:
    return show_record(app, cluster_id, record_id)


lambda_handler = entrypoint(app)
