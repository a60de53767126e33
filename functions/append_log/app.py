"""PATCH /v1/{project_id}/logs/{log_id}: write bytes to a log at an offset, or at its end."""

from logkeep.apis.logs.codes import LOGKEEP
from logkeep.apis.logs.deletion_http import retention_of
from logkeep.apis.logs.http import AppendQuery, answer_appended, check_readable, labels_of, pieces_of, time_zone_of
from logkeep.logs.head import Certificate
from logkeep.logs.store import log_store
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(LOGKEEP, "append_log", takes_files=True)


@app.patch("/v1/.+")
def append_log() -> Answer[Certificate]:
    """Raises Conflict if the log holds other bytes, labels or days, or is sealed, OffsetBeyondEnd if there is a gap.

    Raises LogDeleted for an offset in a log that was deleted; the answer has the certificate as `deletion`.
    """
    log_id, query = app.log_id(), app.query(AppendQuery)
    registration = query.registration(log_id)
    store = log_store(app.caller.project)
    check_readable(store, log_id, registration)
    zone, labels = time_zone_of(app), labels_of(app, log_id)
    days = retention_of(app)
    head, grew = store.append(log_id, pieces_of(app), query.offset, registration, zone, labels=labels, retention=days)
    return answer_appended(app, head, grew=grew)


lambda_handler = entrypoint(app)
