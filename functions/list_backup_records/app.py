"""GET /v1.0/{project_id}/clusters/{cluster_id}/logs/records: a page of backup records (docs/apis.md#css)."""

from logkeep.apis.css.codes import CSS
from logkeep.apis.css.records import RecordPage, RecordQuery, page_of
from logkeep.backups.store import backup_store
from logkeep.clock import now_ms
from logkeep.errors import ClusterNotFound
from logkeep.logid import is_segment
from logkeep.logs.store import log_store
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(CSS, "list_backup_records")


@app.get("/v1.0/<project_id>/clusters/<cluster_id>/logs/records")
def list_backup_records(project_id: str, cluster_id: str) -> Answer[RecordPage]:
    query = app.query(RecordQuery)
    if not is_segment(cluster_id):
        raise ClusterNotFound(cluster_id)
    project = app.caller.project
    return app.answer_json(page_of(backup_store(project, cluster_id).listed(log_store(project)), query, now_ms()))


lambda_handler = entrypoint(app)
