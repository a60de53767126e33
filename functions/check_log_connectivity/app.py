"""POST …/clusters/{cluster_id}/logs/connectivity: check that the target cluster of a collection exists."""

from logkeep.apis.css.codes import CSS
from logkeep.apis.css.http import check_connectivity
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(CSS, "check_log_connectivity")


@app.post("/v1.0/<project_id>/clusters/<cluster_id>/logs/connectivity")
def check_log_connectivity(project_id: str, cluster_id: str) -> Answer[None]:
    return check_connectivity(app, cluster_id)


lambda_handler = entrypoint(app)
