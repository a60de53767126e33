"""POST /api/v1/log/task/query: a Kuscia task's log as NDJSON messages; can be followed (docs/apis.md#kuscia)."""

from typing import Literal

from logkeep.apis.kuscia.http import answer_error, answer_log, query_of
from logkeep.apis.logs.codes import LOGKEEP
from logkeep.identity.credentials import Kind
from logkeep.logs.store import log_store
from logkeep.web.app import Answer, App
from logkeep.web.delivery import Content
from logkeep.web.entrypoints import entrypoint, stream_entrypoint

app = App(LOGKEEP, "query_task_log", token=Kind.KUSCIA_TOKEN, error_answer=answer_error)


@app.post("/api/v1/log/task/query")
def query_task_log() -> Answer[Content[Literal["application/json; charset=utf-8"]]]:
    return answer_log(app, query_of(app), log_store(app.caller.project))


lambda_handler = entrypoint(app)
stream_handler = stream_entrypoint(app)
