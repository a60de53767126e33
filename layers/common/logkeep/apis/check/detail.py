"""The logs of a code check as text: requests and answers of CodeArts Check."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from logkeep.apis.check.files import SubJobId, check_entry
from logkeep.downloads.archive import entry_names
from logkeep.errors import TooLarge
from logkeep.limits import ANSWER_MAX
from logkeep.logs.head import Certificate, Head
from logkeep.logs.levels import LEVELS
from logkeep.logs.reader import LogReader
from logkeep.params import Decimal, Segment
from logkeep.reading.pages import LINES_MAX, PageQuery, Strip, shown

_CONSOLE_LINES: Final = 100


class DetailQuery(BaseModel):
    """The parameters of ShowTasklog. Without an execute_id the latest execution is meant."""

    task_id: Segment
    execute_id: Segment | None = None


class _ParamInfo(BaseModel):
    """The configuration of the check. All of it is null, because Logkeep knows only the logs."""

    url: None = None
    branch: None = None
    language: None = None
    exclude_dir: None = None
    encode: None = None
    compile_config: None = None
    rule_template: None = None


class _LogInfo(BaseModel):
    display_name: str
    log: str
    level: str
    analysis: None = None
    faq: None = None


class LogDetail(BaseModel):
    """The published ShowTasklogResponse. A log's level is the most severe one of its log records, or INFO."""

    param_info: _ParamInfo
    log_info: list[_LogInfo]

    @classmethod
    def of(cls, reader: LogReader, heads: Sequence[Head]) -> "LogDetail":
        """Raises TooLarge if the texts are more than ANSWER_MAX bytes."""
        if sum(head.end for head in heads) > ANSWER_MAX:
            sub_jobs = dict.fromkeys(head.log_id.segments[0] for head in heads)
            raise TooLarge(f"the logs are too large for one answer: GET /v1/log-file?sub_job_id={','.join(sub_jobs)}")
        names = entry_names(check_entry(head.log_id) for head in heads)
        return cls(
            param_info=_ParamInfo(),
            log_info=[
                _LogInfo(display_name=name, log=shown(b"".join(reader.texts(head))), level=_worst_level(head))
                for name, head in zip(names, heads, strict=True)
            ],
        )


class _ConsolePage(BaseModel):
    hasMore: bool
    startOffset: int
    endOffset: int
    logs: str


class ConsoleAnswer(BaseModel):
    """A page of a console. Ascending, `endOffset` is the next start_offset. Descending, `startOffset` is the next
    end_offset.
    """

    result: _ConsolePage
    error: None = None
    status: str = "success"


class ConsoleQuery(PageQuery):
    """The query of ShowLog: `job_id` is the id of a sub-job or of a task."""

    job_id: SubJobId
    sort: Literal["AES", "ASC", "DESC"] = "DESC"
    size: Annotated[Decimal, Field(ge=0, le=LINES_MAX)] = _CONSOLE_LINES

    def answer(self, reader: LogReader, heads: Sequence[Head]) -> ConsoleAnswer:
        start, end, text, has_more = self.page(reader, Strip.of(enumerate(heads)))
        return ConsoleAnswer(result=_ConsolePage(hasMore=has_more, startOffset=start, endOffset=end, logs=shown(text)))


def _worst_level(head: Head) -> str:
    counted = Certificate.of(head).levels
    return next((level for level in reversed(LEVELS) if level in counted), "INFO")
