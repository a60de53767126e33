"""GET /v1/log/{job_id}/{build_no}/real-time-log and its older paths: a page of a build's log, even while it runs."""

from logkeep.apis.build.codes import BUILD
from logkeep.apis.build.http import answer_page
from logkeep.apis.build.pages import BuildPageQuery, BuildStretchQuery, LogPageAnswer, LogStretchAnswer
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(BUILD, "page_build_log")


@app.get("/v1/log/<job_id>/<build_no>/real-time-log")
@app.get("/v1/log/stage/page")
def page_lines(**path: str) -> Answer[LogPageAnswer]:
    """A page of lines of a build's log, even while it runs."""
    return answer_page(app, app.query(BuildPageQuery, **path))


@app.get("/v3/jobs/<job_id>/<build_no>/real-time-log")
def page_bytes(**path: str) -> Answer[LogStretchAnswer]:
    """A page of bytes of a build's log, even while it runs."""
    return answer_page(app, app.query(BuildStretchQuery, **path))


lambda_handler = entrypoint(app)
