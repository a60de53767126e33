"""GET /v1/{project_id}/logs/{log_id}: a log as a file, its lines by a query, or its text as it is appended."""

from typing import Literal

from logkeep.apis.logs.codes import LOGKEEP
from logkeep.downloads.files import text_file
from logkeep.downloads.http import deliver
from logkeep.reading.http import ReadQuery, follow_log, is_query, read_lines, read_range
from logkeep.web.app import Answer, App
from logkeep.web.delivery import Content
from logkeep.web.entrypoints import entrypoint, stream_entrypoint

app = App(LOGKEEP, "read_log")


@app.get("/v1/<project_id>/logs/.+")
def read_log(**_: str) -> Answer[Content[Literal["text/plain; charset=utf-8", "application/x-ndjson"]]]:
    query = app.query(ReadQuery)
    if query.follow:
        return follow_log(app, app.log_id(), query)
    if is_query(app, query):
        return read_lines(app, app.log_id(), query)
    return read_range(app, app.log_id()) if "range" in app.headers else deliver(app, text_file(app.log_id()))


@app.head("/v1/<project_id>/logs/.+")
def measure_log(**_: str) -> Answer[Content[Literal["text/plain; charset=utf-8"]]]:
    return read_range(app, app.log_id())


lambda_handler = entrypoint(app)
stream_handler = stream_entrypoint(app)
