"""POST …/clusters/{cluster_id}/logs/search: the newest log records of a cluster that match (docs/search.md)."""

from logkeep.apis.css.codes import CSS
from logkeep.apis.css.search import SearchAnswer
from logkeep.apis.css.search_http import search_log
from logkeep.web.app import Answer, App
from logkeep.web.entrypoints import entrypoint

app = App(CSS, "search_logs")


@app.post("/v1.0/<project_id>/clusters/<cluster_id>/logs/search")
def search_logs(project_id: str, cluster_id: str) -> Answer[SearchAnswer]:
    return search_log(app, cluster_id)


lambda_handler = entrypoint(app)
