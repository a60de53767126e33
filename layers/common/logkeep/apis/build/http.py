"""A page of a build's log, also while the build runs."""

from logkeep.apis.build.pages import BuildPageQuery, BuildStretchQuery, strip_of
from logkeep.logs.store import log_store
from logkeep.web.app import Answer, App


def answer_page(app: App, query: BuildPageQuery | BuildStretchQuery) -> Answer:
    """Raises LogNotFound for a build that is not registered, and if its record has no stage."""
    logs = log_store(app.caller.project)
    record_id = logs.registrations.record(query.build)
    return app.answer_json(query.answer(logs, strip_of(logs.heads(f"build/{record_id}"))))
