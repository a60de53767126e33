"""GET /v1/log-file: all logs of some sub-jobs as one ZIP (docs/apis.md#codearts-check)."""

from logkeep.apis.check.codes import CHECK
from logkeep.apis.check.files import CheckFile, CheckLogsQuery
from logkeep.downloads.http import deliver
from logkeep.web.app import Answer, App
from logkeep.web.delivery import ZipContent
from logkeep.web.entrypoints import entrypoint, stream_entrypoint

app = App(CHECK, "download_check_logs")


@app.get("/v1/log-file")
def download_check_logs() -> Answer[ZipContent]:
    return deliver(app, CheckFile(sub_job_ids=app.query(CheckLogsQuery).sub_job_id))


lambda_handler = entrypoint(app)
stream_handler = stream_entrypoint(app)
