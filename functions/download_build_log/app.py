"""GET /v1/log/{record_id}/task-log and /v4/{record_id}/task-log: the log of one build action (seed 002)."""

from logkeep.files import BuildLogQuery, build_log_file
from logkeep.web.files import deliver
from logkeep.web.http import Answer, App, entrypoint
from logkeep.web.services import BUILD

app = App(BUILD, "download_build_log")


@app.get("/v1/log/<record_id>/task-log")
@app.get("/v4/<record_id>/task-log")
def download_build_log(record_id: str) -> Answer:
    return deliver(app, build_log_file(record_id, app.query(BuildLogQuery)))


lambda_handler = entrypoint(app)
