"""Pages of a build's log, whose stages are read as one text: requests and answers of CodeArts Build."""

from collections.abc import Iterable
from typing import Final

from pydantic import BaseModel

from logkeep.apis.build.stages import STAGES_MAX, stage_number, stages
from logkeep.logs.head import Head
from logkeep.logs.reader import LogReader
from logkeep.logs.registration import BuildNo, JobId, Registration
from logkeep.reading.pages import PLACES, PageQuery, StretchQuery, Strip, shown

# Places below this belong to the stage of that number; the places after them are for all other logs.
_NUMBERED: Final = PLACES - STAGES_MAX


def strip_of(heads: Iterable[Head]) -> Strip:
    """The stages of a record, each at the place of its number, so that a stage that begins later moves no other."""
    placed: list[tuple[int, Head]] = []
    for index, head in enumerate(stages(heads)):
        number = stage_number(head)
        placed.append((number - 1 if number and number <= _NUMBERED else _NUMBERED + index, head))
    return Strip.of(placed)


class BuildKey(BaseModel):
    """The build that a request names, in its path or in its query."""

    job_id: JobId
    build_no: BuildNo

    @property
    def build(self) -> Registration:
        return Registration(self.job_id, str(self.build_no))


class _LogPageResult(BaseModel):
    has_more: bool
    start_offset: str
    end_offset: str
    log: str
    location: None = None


class LogPageAnswer(BaseModel):
    """The published OctopusV3LogResponseBodyResult.

    Ascending, `end_offset` is the next `start_offset`. Descending, `start_offset` is the next `end_offset`.
    """

    result: _LogPageResult
    error: None = None
    status: str = "success"


class BuildPageQuery(BuildKey, PageQuery):
    """The query of DownloadBuildRealTimeLog and ShowActionIInfo: a page of lines."""

    def answer(self, reader: LogReader, strip: Strip) -> LogPageAnswer:
        start, end, text, has_more = self.page(reader, strip)
        page = _LogPageResult(has_more=has_more, start_offset=str(start), end_offset=str(end), log=shown(text))
        return LogPageAnswer(result=page)


class _LogStretchResult(BaseModel):
    has_more_data: bool
    offset: int
    content: str
    current_offset: int


class LogStretchAnswer(BaseModel):
    """The published RealTimeLogResponseBodyResult: `offset` is for the next request, `current_offset` is this one's."""

    result: _LogStretchResult
    error: None = None
    status: str = "success"


class BuildStretchQuery(BuildKey, StretchQuery):
    """The query of DownloadRealTimeLog: a page of bytes."""

    def answer(self, reader: LogReader, strip: Strip) -> LogStretchAnswer:
        start, end, text, has_more = self.page(reader, strip)
        stretch = _LogStretchResult(has_more_data=has_more, offset=end, content=shown(text), current_offset=start)
        return LogStretchAnswer(result=stretch)
