"""CSS's search in the logs of a cluster."""

import time
from typing import Final

from logkeep.apis.css.http import cluster_of
from logkeep.apis.css.search import SearchRequest, nothing, search
from logkeep.errors import LogNotFound
from logkeep.web.app import Answer, App

_SECONDS: Final = 10  # that a search reads


def search_log(app: App, cluster_id: str) -> Answer:
    """A page of matches; none where the instance or the type has no log. Backup need not be switched on."""
    until = time.monotonic() + _SECONDS
    asked = app.json_body(SearchRequest)
    store, logs = cluster_of(app, cluster_id)
    store.cluster(logs)
    try:
        head = logs.head(asked.log_id(cluster_id))
    except LogNotFound:
        return app.answer_json(nothing(asked))
    return app.answer_json(search(logs, head, asked, lambda: time.monotonic() > until))
