"""GET …/logs/records/{record_id}/archive: the ZIP of a backup."""

from logkeep.apis.css.archive_http import download_archive
from logkeep.apis.css.codes import CSS
from logkeep.web.app import Answer, App
from logkeep.web.delivery import ZipContent
from logkeep.web.entrypoints import entrypoint

app = App(CSS, "download_backup")


@app.get("/v1.0/<project_id>/clusters/<cluster_id>/logs/records/<record_id>/archive")
def download_backup(project_id: str, cluster_id: str, record_id: str) -> Answer[ZipContent]:
    return download_archive(app, cluster_id, record_id)


lambda_handler = entrypoint(app)
