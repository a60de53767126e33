"""GET /v1/{project_id}/deletions: the certificates of deletions, of one log's id or of a time."""

from logkeep.apis.logs.codes import LOGKEEP
from logkeep.apis.logs.deletion_http import DeletionPage, answer_deletions
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(LOGKEEP, "list_deletions")


@app.get("/v1/<project_id>/deletions")
def list_deletions(project_id: str) -> Answer[DeletionPage]:
    return answer_deletions(app)


lambda_handler = entrypoint(app)
