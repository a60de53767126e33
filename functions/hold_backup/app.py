"""PUT and DELETE …/logs/records/{record_id}/hold: keep a backup from expiring, and lift that hold."""

from logkeep.apis.css.codes import CSS
from logkeep.apis.css.http import hold_record
from logkeep.apis.css.records import HeldRecord
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(CSS, "hold_backup")


@app.put("/v1.0/<project_id>/clusters/<cluster_id>/logs/records/<record_id>/hold")
def hold_backup(project_id: str, cluster_id: str, record_id: str) -> Answer[HeldRecord]:
    """Keep a backup from expiring."""
    return hold_record(app, cluster_id, record_id, held=True)


@app.delete("/v1.0/<project_id>/clusters/<cluster_id>/logs/records/<record_id>/hold")
def let_backup_go(project_id: str, cluster_id: str, record_id: str) -> Answer[HeldRecord]:
    """Lift the hold on a backup."""
    return hold_record(app, cluster_id, record_id, held=False)


lambda_handler = entrypoint(app)
