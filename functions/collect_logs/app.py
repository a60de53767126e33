"""POST …/clusters/{cluster_id}/logs/collect: back up a cluster's logs now."""

from logkeep.apis.css.codes import CSS
from logkeep.apis.css.http import start_backup
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(CSS, "collect_logs")


@app.post("/v1.0/<project_id>/clusters/<cluster_id>/logs/collect")
def collect_logs(project_id: str, cluster_id: str) -> Answer[None]:
    return start_backup(app, cluster_id)


lambda_handler = entrypoint(app)
