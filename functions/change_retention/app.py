"""PUT /v1/{project_id}/retention: set for how many days logs are kept after their last append."""

from logkeep.apis.logs.codes import LOGKEEP
from logkeep.apis.logs.deletion_http import ShownRetention, set_retention
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(LOGKEEP, "change_retention")


@app.put("/v1/<project_id>/retention")
def change_retention(project_id: str) -> Answer[ShownRetention]:
    return set_retention(app)


lambda_handler = entrypoint(app)
