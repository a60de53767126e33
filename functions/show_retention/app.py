"""GET /v1/{project_id}/retention: for how many days logs are kept after their last append."""

from logkeep.apis.logs.codes import LOGKEEP
from logkeep.apis.logs.deletion_http import ShownRetention, answer_retention
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(LOGKEEP, "show_retention")


@app.get("/v1/<project_id>/retention")
def show_retention(project_id: str) -> Answer[ShownRetention]:
    return answer_retention(app)


lambda_handler = entrypoint(app)
