"""GET /v1/{project_id}/services/{service_id}/events: a page of a service's events, counted exactly (seed 001)."""

from logkeep.aws.events import event_store
from logkeep.errors import ServiceNotFound
from logkeep.events import EventQuery
from logkeep.logid import is_segment
from logkeep.web.http import Answer, App, entrypoint
from logkeep.web.services import MODELARTS

app = App(MODELARTS, "list_service_events")


@app.get("/v1/<project_id>/services/<service_id>/events")
def list_service_events(project_id: str, service_id: str) -> Answer:
    query = app.query(EventQuery)
    if not is_segment(service_id):
        raise ServiceNotFound(service_id)
    return app.answer_json(event_store(app.caller.project, service_id).page(query))


lambda_handler = entrypoint(app)
