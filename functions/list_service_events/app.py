"""GET /v1 and /v2/{project_id}/services/{service_id}/events: a page of events (docs/apis.md#modelarts)."""

from logkeep.apis.modelarts.codes import MODELARTS
from logkeep.apis.modelarts.events import EventPage, EventQuery, page_of
from logkeep.apis.modelarts.infer_events import InferEventPage, InferEventQuery, infer_page_of
from logkeep.events.store import event_store
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(MODELARTS, "list_service_events")


@app.get("/v1/<project_id>/services/<service_id>/events")
def list_service_events(project_id: str, service_id: str) -> Answer[EventPage]:
    """A page of events. Raises ServiceNotFound, or TooLarge if the page does not fit into an answer."""
    query = app.query(EventQuery)
    return app.answer_json(page_of(event_store(app.caller.project, service_id), query))


@app.get("/v2/<project_id>/services/<service_id>/events")
def list_infer_service_events(project_id: str, service_id: str) -> Answer[InferEventPage]:
    """A page of events, by keyword if one is given.

    Raises ServiceNotFound, or TooLarge if the page does not fit into an answer.
    """
    query = app.query(InferEventQuery)
    return app.answer_json(infer_page_of(event_store(app.caller.project, service_id), query))


lambda_handler = entrypoint(app)
