"""A page of a build's log, also while the build runs."""

from contextlib import suppress
from typing import Protocol

from pydantic import BaseModel

from logkeep.apis.build.pages import strip_of
from logkeep.errors import LogNotFound
from logkeep.logs.reader import LogReader
from logkeep.logs.registration import Registration
from logkeep.logs.store import log_store
from logkeep.reading.pages import Strip
from logkeep.web.app import Answer, App


class _PageQuery[A: BaseModel](Protocol):
    @property
    def build(self) -> Registration: ...
    def answer(self, reader: LogReader, strip: Strip) -> A: ...


def answer_page[A: BaseModel](app: App, query: _PageQuery[A]) -> Answer[A]:
    """Raises LogNotFound for an unregistered build and for one without a stage, TooLarge for one with too many."""
    logs = log_store(app.caller.project)
    for record_id in logs.registrations.records(query.build):
        with suppress(LogNotFound):  # the logs of the latest record were deleted, or have expired
            return app.answer_json(query.answer(logs, strip_of(logs.heads(f"build/{record_id}"))))
    raise LogNotFound(f"no log is registered for build {query.build.member} of job {query.build.group}")
