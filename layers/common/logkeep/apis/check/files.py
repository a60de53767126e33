"""The file of CodeArts Check: the logs of sub-jobs as one ZIP."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from logkeep.downloads.files import File
from logkeep.downloads.rendition import Rendition, zip_file
from logkeep.errors import LogNotFound, TooLarge
from logkeep.limits import SUB_JOBS_MAX
from logkeep.logid import SUB_JOB_ID_LENGTH, LogId, is_segment
from logkeep.logs.head import Head
from logkeep.logs.reader import LogSource

ZIP_ENTRIES_MAX: Final = 10_000


class CheckFile(File):
    """All logs of some sub-jobs as one ZIP, the same for every client. Raises LogNotFound for one without a log."""

    kind: Literal["check"] = "check"
    sub_job_ids: list[str]

    def rendition(self, logs: LogSource, *, gzip: bool) -> Rendition:
        heads = check_heads(logs, self.sub_job_ids)
        filename = f"{self.sub_job_ids[0]}.zip" if len(self.sub_job_ids) == 1 else "logs.zip"
        return zip_file(logs, heads, (check_entry(head.log_id) for head in heads), filename)


def _sub_job_id(text: str) -> str:
    if len(text) != SUB_JOB_ID_LENGTH or not is_segment(text):
        raise ValueError(f"must be {SUB_JOB_ID_LENGTH} characters of A-Z a-z 0-9 . _ -")
    return text


type SubJobId = Annotated[
    str,
    AfterValidator(_sub_job_id),
    Field(json_schema_extra={"pattern": f"^[A-Za-z0-9._-]{{{SUB_JOB_ID_LENGTH}}}$"}),
]


def _ids(values: Sequence[str]) -> list[str]:
    """The ids of a request, which may be repeated or joined by commas: each once, in the order of the request."""
    ids = list(dict.fromkeys(each for value in values for each in value.split(",")))
    for each in ids:
        _sub_job_id(each)
    if len(ids) > SUB_JOBS_MAX:
        raise ValueError(f"must be at most {SUB_JOBS_MAX} ids")
    return ids


class CheckLogsQuery(BaseModel):
    """The query of DownloadLog. The ids may be repeated or joined by commas; each counts once."""

    model_config = ConfigDict(frozen=True)

    sub_job_id: Annotated[list[SubJobId], BeforeValidator(_ids), Field(min_length=1, max_length=SUB_JOBS_MAX)]


def check_heads(logs: LogSource, ids: Iterable[str], *, passing: bool = False) -> list[Head]:
    """All logs of some sub-jobs. Raises TooLarge beyond ZIP_ENTRIES_MAX logs.

    Raises LogNotFound if a sub-job has none or, with `passing`, if all have none.
    """
    heads: list[Head] = []
    unknown = []
    for sub_job_id in ids:
        found = len(heads)
        for head in logs.heads(f"check/{sub_job_id}"):
            heads.append(head)
            if len(heads) > ZIP_ENTRIES_MAX:
                raise TooLarge(f"more than {ZIP_ENTRIES_MAX} files; ask for fewer sub-jobs")
        if len(heads) == found:
            unknown.append(sub_job_id)
    if unknown and not (passing and heads):
        raise LogNotFound(f"no logs of sub_job_id {', '.join(unknown)}")
    return heads


def check_entry(log_id: LogId) -> str:
    """The name under which a check log is shown, before it is made safe for file systems."""
    sub_job_id = log_id.segments[0]
    return f"{sub_job_id}/{log_id.rest}" if log_id.rest else f"{sub_job_id}.log"
