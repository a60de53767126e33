"""The request to search in a log of a cluster."""

import time
from typing import Final

from logkeep.apis.css.http import cluster_of
from logkeep.apis.css.search import SearchAnswer, SearchRequest, no_matches, search
from logkeep.errors import LogNotFound
from logkeep.web.app import Answer, App

_SECONDS: Final = 10  # after which a search stops reading
_CHARGED_SECONDS: Final = 4  # which a search may well take


def search_log(app: App, cluster_id: str) -> Answer[SearchAnswer]:
    """A page of matches; none if the instance has no log of that type. Backups need not be switched on.

    Raises ClusterNotFound.
    """
    deadline = time.monotonic() + _SECONDS
    request = app.json_body(SearchRequest)
    app.charge(seconds=_CHARGED_SECONDS)
    store, logs = cluster_of(app, cluster_id)
    store.cluster(logs)
    try:
        head = logs.head(request.log_id(cluster_id))
    except LogNotFound:
        return app.answer_json(no_matches(request))
    return app.answer_json(search(logs, head, request, lambda: time.monotonic() > deadline))
