"""GET /v1/{project_id}/logs/{log_id}: a log as a file, its lines by a query, or its text as it is appended."""

from typing import Literal

from logkeep.apis.logs.codes import LOGKEEP
from logkeep.reading.http import ReadQuery, answer_log, measure
from logkeep.web.app import Answer, App
from logkeep.web.delivery import Content
from logkeep.web.entrypoints import entrypoint, stream_entrypoint

app = App(LOGKEEP, "read_log")


@app.get("/v1/<project_id>/logs/.+")
def read_log(
    **_: str,
) -> Answer[Content[Literal["text/plain; charset=utf-8", "application/x-ndjson", "text/event-stream"]]]:
    return answer_log(app, app.log_id(), app.query(ReadQuery))


@app.head("/v1/<project_id>/logs/.+")
def measure_log(**_: str) -> Answer[Content[Literal["text/plain; charset=utf-8"]]]:
    """How large a log is, and its tag."""
    return measure(app, app.log_id())


lambda_handler = entrypoint(app)
stream_handler = stream_entrypoint(app)
