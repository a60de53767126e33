"""GET and POST …/logs/settings, POST …/logs/policy/update, PUT …/logs/policy/close: how and when logs are backed up."""

from logkeep.web.backups import change_settings, close_policy, show_settings, update_policy
from logkeep.web.http import Answer, App, entrypoint
from logkeep.web.services import CSS

app = App(CSS, "configure_log_backup")


@app.get("/v1.0/<project_id>/clusters/<cluster_id>/logs/settings")
def show_log_settings(project_id: str, cluster_id: str) -> Answer:
    return show_settings(app, cluster_id)


@app.post("/v1.0/<project_id>/clusters/<cluster_id>/logs/settings")
def update_log_settings(project_id: str, cluster_id: str) -> Answer:
    return change_settings(app, cluster_id)


@app.post("/v1.0/<project_id>/clusters/<cluster_id>/logs/policy/update")
def start_policy(project_id: str, cluster_id: str) -> Answer:
    return update_policy(app, cluster_id)


@app.put("/v1.0/<project_id>/clusters/<cluster_id>/logs/policy/close")
def stop_policy(project_id: str, cluster_id: str) -> Answer:
    return close_policy(app, cluster_id)


lambda_handler = entrypoint(app)
