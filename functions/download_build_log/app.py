"""GET /v1/log/{record_id}/task-log, the log of one build stage, and …/download-log, the logs of the whole build."""

from logkeep.apis.build.codes import BUILD
from logkeep.apis.build.files import BuildContent, BuildLogQuery, FullLogQuery, RecordId, build_log_file, full_log_file
from logkeep.downloads.http import deliver
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint, stream_entrypoint

app = App(BUILD, "download_build_log")


@app.get("/v1/log/<record_id>/task-log")
@app.get("/v4/<record_id>/task-log")
def download_build_log(record_id: RecordId) -> Answer[BuildContent]:
    """The log of one action of a build."""
    return deliver(app, build_log_file(record_id, app.query(BuildLogQuery)))


@app.get("/v1/log/<record_id>/download-log")
@app.get("/v4/<record_id>/download-log")
@app.get("/v3/<record_id>/download-log")
def download_full_log(record_id: RecordId) -> Answer[BuildContent]:
    """The log of a whole build."""
    return deliver(app, full_log_file(record_id, app.query(FullLogQuery)))


lambda_handler = entrypoint(app)
stream_handler = stream_entrypoint(app)
