"""POST …/logs/policy/update and PUT …/logs/policy/close: switch the daily backup of a cluster on and off."""

from logkeep.apis.css.codes import CSS
from logkeep.apis.css.http import close_policy, update_policy
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(CSS, "change_log_policy")


@app.post("/v1.0/<project_id>/clusters/<cluster_id>/logs/policy/update")
def start_policy(project_id: str, cluster_id: str) -> Answer[None]:
    return update_policy(app, cluster_id)


@app.put("/v1.0/<project_id>/clusters/<cluster_id>/logs/policy/close")
def stop_policy(project_id: str, cluster_id: str) -> Answer[None]:
    return close_policy(app, cluster_id)


lambda_handler = entrypoint(app)
