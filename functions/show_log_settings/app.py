"""GET …/clusters/{cluster_id}/logs/settings: the settings of a cluster's backups."""

from logkeep.apis.css.codes import CSS
from logkeep.apis.css.http import show_settings
from logkeep.apis.css.settings import SettingsAnswer
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(CSS, "show_log_settings")


@app.get("/v1.0/<project_id>/clusters/<cluster_id>/logs/settings")
def show_log_settings(project_id: str, cluster_id: str) -> Answer[SettingsAnswer]:
    return show_settings(app, cluster_id)


lambda_handler = entrypoint(app)
