"""POST …/clusters/{cluster_id}/logs/settings: change the settings of a cluster's backups."""

from logkeep.apis.css.codes import CSS
from logkeep.apis.css.http import change_settings
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(CSS, "change_log_settings")


@app.post("/v1.0/<project_id>/clusters/<cluster_id>/logs/settings")
def change_log_settings(project_id: str, cluster_id: str) -> Answer[None]:
    return change_settings(app, cluster_id)


lambda_handler = entrypoint(app)
