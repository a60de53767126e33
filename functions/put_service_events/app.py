"""POST /v1/{project_id}/services/{service_id}/events: store events. Repeating a request stores nothing twice."""

from logkeep.apis.modelarts.codes import MODELARTS
from logkeep.events.segments import EventBatch
from logkeep.events.store import Written, event_store
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint
from logkeep.web.parsing import Nothing

BODY_MAX = 1 << 20
KEY_MAX = 256

app = App(MODELARTS, "put_service_events")


@app.post("/v1/<project_id>/services/<service_id>/events")
def put_service_events(project_id: str, service_id: str) -> Answer[Written]:
    service = app.segment("service_id", service_id)
    app.query(Nothing)
    batch = app.json_body(EventBatch, BODY_MAX)
    key = app.header("idempotency-key", KEY_MAX)
    return app.answer_json(event_store(app.caller.project, service).put(batch, key, app.charge_writes))


lambda_handler = entrypoint(app)
