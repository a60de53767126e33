"""The log of a build: its stages in order as one text, and pages of it as CodeArts Build answers them."""

import re
from collections.abc import Iterable
from typing import Final

from pydantic import BaseModel

from logkeep.downloads.rendition import LogReader
from logkeep.errors import LogNotFound, TooLarge
from logkeep.logs.head import Head
from logkeep.logs.registration import BuildNo, JobId, Registration
from logkeep.reading.pages import PLACES, PageQuery, StretchQuery, Strip, shown

STAGE: Final = re.compile(r"stage([1-9][0-9]{0,8})")
STAGES_MAX: Final = 1000
_NUMBERED: Final = PLACES - STAGES_MAX  # places that belong to the stages of these numbers; behind them lies the rest


def stages(heads: Iterable[Head]) -> list[Head]:
    """The logs of a record by the numbers of their stages, and behind them others by name.

    Raises LogNotFound where there are none, TooLarge where they are more than STAGES_MAX.
    """
    found: list[Head] = []
    for head in heads:
        found.append(head)
        if len(found) > STAGES_MAX:
            raise TooLarge(f"the record has more than {STAGES_MAX} stages; ask for each by its name")
    if not found:
        raise LogNotFound("the record has no stage")
    return sorted(found, key=lambda head: (_number(head) or PLACES**2, head.log_id.rest))


def strip_of(heads: Iterable[Head]) -> Strip:
    """The stages of a record, each at the place of its number: one that begins later moves no other."""
    placed: list[tuple[int, Head]] = []
    for index, head in enumerate(stages(heads)):
        number = _number(head)
        placed.append((number - 1 if number and number <= _NUMBERED else _NUMBERED + index, head))
    return Strip.of(placed)


def _number(head: Head) -> int | None:
    match = STAGE.fullmatch(head.log_id.rest)
    return int(match[1]) if match else None


class BuildKey(BaseModel):
    """Which build; the parameters are in the path or in the query."""

    job_id: JobId
    build_no: BuildNo

    @property
    def build(self) -> Registration:
        return Registration(self.job_id, str(self.build_no))


class _LogPage(BaseModel):
    has_more: bool
    start_offset: str
    end_offset: str
    log: str
    location: None = None


class LogPageAnswer(BaseModel):
    """OctopusV3LogResponseBodyResult: ascending, end_offset is the next start_offset; descending, the other way."""

    result: _LogPage
    error: None = None
    status: str = "success"


class BuildPageQuery(BuildKey, PageQuery):
    """DownloadBuildRealTimeLog and ShowActionIInfo."""

    def answer(self, reader: LogReader, strip: Strip) -> LogPageAnswer:
        start, end, text, has_more = self.page(reader, strip)
        page = _LogPage(has_more=has_more, start_offset=str(start), end_offset=str(end), log=shown(text))
        return LogPageAnswer(result=page)


class _LogStretch(BaseModel):
    has_more_data: bool
    offset: int
    content: str
    current_offset: int


class LogStretchAnswer(BaseModel):
    """RealTimeLogResponseBodyResult: `offset` is for the next request, `current_offset` is this one's."""

    result: _LogStretch
    error: None = None
    status: str = "success"


class BuildStretchQuery(BuildKey, StretchQuery):
    """DownloadRealTimeLog."""

    def answer(self, reader: LogReader, strip: Strip) -> LogStretchAnswer:
        start, end, text, has_more = self.page(reader, strip)
        stretch = _LogStretch(has_more_data=has_more, offset=end, content=shown(text), current_offset=start)
        return LogStretchAnswer(result=stretch)
