"""GET /v1/log/{job_id}/{build_no}/real-time-log and its older paths: a page of a build's log, even while it runs."""

from logkeep.apis.build.codes import BUILD
from logkeep.apis.build.pages import BuildPageQuery, BuildStretchQuery, strip_of
from logkeep.logs.store import log_store
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(BUILD, "page_build_log")


@app.get("/v1/log/<job_id>/<build_no>/real-time-log")
@app.get("/v1/log/stage/page")
def page_lines(**path: str) -> Answer:
    return _answer(app.query(BuildPageQuery, **path))


@app.get("/v3/jobs/<job_id>/<build_no>/real-time-log")
def page_bytes(**path: str) -> Answer:
    return _answer(app.query(BuildStretchQuery, **path))


def _answer(query: BuildPageQuery | BuildStretchQuery) -> Answer:
    logs = log_store(app.caller.project)
    record_id = logs.registrations.record(query.build)
    return app.answer_json(query.answer(logs, strip_of(logs.heads(f"build/{record_id}"))))


lambda_handler = entrypoint(app)
