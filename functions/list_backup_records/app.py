"""GET /v1.0/{project_id}/clusters/{cluster_id}/logs/records: a page of a cluster's backup tasks (seed 003)."""

from logkeep.backups.records import RecordQuery
from logkeep.backups.store import backup_store
from logkeep.errors import ClusterNotFound
from logkeep.logid import is_segment
from logkeep.logs.store import log_store
from logkeep.web.app import Answer, App, entrypoint
from logkeep.web.error_bodies import CSS

app = App(CSS, "list_backup_records")


@app.get("/v1.0/<project_id>/clusters/<cluster_id>/logs/records")
def list_backup_records(project_id: str, cluster_id: str) -> Answer:
    query = app.query(RecordQuery)
    if not is_segment(cluster_id):
        raise ClusterNotFound(cluster_id)
    project = app.caller.project
    return app.answer_json(backup_store(project, cluster_id).page(query, log_store(project)))


lambda_handler = entrypoint(app)
