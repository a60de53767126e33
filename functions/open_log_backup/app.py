"""POST …/clusters/{cluster_id}/logs/open and PUT …/logs/close: switch a cluster's backups on and off."""

from logkeep.apis.css.codes import CSS
from logkeep.apis.css.http import close_collection, open_collection
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(CSS, "open_log_backup")


@app.post("/v1.0/<project_id>/clusters/<cluster_id>/logs/open")
def start_logs(project_id: str, cluster_id: str) -> Answer[None]:
    return open_collection(app, cluster_id)


@app.put("/v1.0/<project_id>/clusters/<cluster_id>/logs/close")
def stop_logs(project_id: str, cluster_id: str) -> Answer[None]:
    return close_collection(app, cluster_id)


lambda_handler = entrypoint(app)
