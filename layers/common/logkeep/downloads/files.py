"""What a client may ask for as a file, in a form that a queue carries as well as a request."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from logkeep.apis.build.pages import STAGE, stages
from logkeep.downloads.rendition import LogReader, Rendition, log_file, zip_file
from logkeep.errors import Invalid, LogNotFound, TooLarge
from logkeep.logid import LogId, is_segment
from logkeep.logs.head import Head
from logkeep.params import Boolean

SUB_JOBS_MAX: Final = 100
ZIP_ENTRIES_MAX: Final = 10_000
_SUB_JOB_ID_LENGTH: Final = 32
_RECORD_ID: Final = re.compile(r"[0-9a-z-]{36}")


class LogSource(LogReader, Protocol):
    def head(self, log_id: LogId) -> Head:
        """Raise LogNotFound where there is none."""
        ...

    def heads(self, owner: str) -> Iterator[Head]:
        """The logs of an owner such as `check/{sub_job_id}`."""
        ...


class _TextFile(BaseModel):
    model_config = ConfigDict(frozen=True)

    filename: str
    content_type: str
    as_file: bool = False  # a .gz file, not text
    without_debug: bool = False

    def _rendition(self, logs: LogSource, heads: Sequence[Head], *, gzip: bool) -> Rendition:
        return log_file(
            logs,
            heads,
            self.filename,
            self.content_type,
            gzip=gzip,
            as_file=self.as_file,
            without_debug=self.without_debug,
        )


class LogFile(_TextFile):
    """One log."""

    kind: Literal["log"] = "log"
    log_id: str

    def rendition(self, logs: LogSource, *, gzip: bool) -> Rendition:
        """The file for a client that takes gzip or does not."""
        return self._rendition(logs, [logs.head(LogId.parse(self.log_id))], gzip=gzip)


class BuildFile(_TextFile):
    """All stages of a build's record, in order."""

    kind: Literal["build"] = "build"
    record_id: str

    def rendition(self, logs: LogSource, *, gzip: bool) -> Rendition:
        """The file for a client that takes gzip or does not; raise LogNotFound where the record has no stage."""
        return self._rendition(logs, stages(logs.heads(f"build/{self.record_id}")), gzip=gzip)


class CheckFile(BaseModel):
    """All logs of some sub-jobs as one ZIP."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["check"] = "check"
    sub_job_ids: list[str]

    def rendition(self, logs: LogSource, *, gzip: bool) -> Rendition:
        """The ZIP, the same for every client; raise LogNotFound if a sub-job has no log, never a smaller ZIP."""
        heads = check_heads(logs, self.sub_job_ids)
        filename = f"{self.sub_job_ids[0]}.zip" if len(self.sub_job_ids) == 1 else "logs.zip"
        return zip_file(logs, heads, (check_entry(head.log_id) for head in heads), filename)


type AnyFile = LogFile | BuildFile | CheckFile


class FileOrder(BaseModel):
    """A file that the queue is asked to build."""

    project: str
    gzip: bool
    file: Annotated[AnyFile, Field(discriminator="kind")]


def _stage(name: str) -> str:
    if not STAGE.fullmatch(name):
        raise ValueError("must be stageX, X being the number of the action, from 1")
    return name


class FullLogQuery(BaseModel):
    """DownloadBuildFullLog."""

    model_config = ConfigDict(frozen=True)

    log_level: Literal["INFO", "DEBUG"] = "INFO"
    compress: Boolean = False

    def form(self, name: str) -> dict[str, Any]:
        """How a text of that name is handed over; compressed, it is a .gz."""
        return {
            "filename": f"{name}.log.gz" if self.compress else f"{name}.log",
            # SDKs read what is not an octet-stream into memory before they hand it over.
            "content_type": "application/gzip" if self.compress else "application/octet-stream",
            "as_file": self.compress,
            "without_debug": self.log_level == "INFO",
        }


class BuildLogQuery(FullLogQuery):
    """Seed 002, table 2."""

    task_name: Annotated[str, AfterValidator(_stage)]


def build_log_file(record_id: str, query: BuildLogQuery) -> LogFile:
    """The log of a build action, named after the stage."""
    return LogFile(log_id=f"build/{_record(record_id)}/{query.task_name}", **query.form(query.task_name))


def full_log_file(record_id: str, query: FullLogQuery) -> BuildFile:
    """The log of a whole build, named after the record."""
    return BuildFile(record_id=_record(record_id), **query.form(record_id))


def _record(record_id: str) -> str:
    if not _RECORD_ID.fullmatch(record_id):
        raise Invalid("record_id", "must be 36 characters of 0-9 a-z -")
    return record_id


def text_file(log_id: LogId) -> LogFile:
    """A log as text, named after its last segment."""
    last = log_id.segments[-1]
    name = last if last.endswith((".log", ".txt")) else f"{last}.log"
    return LogFile(log_id=str(log_id), filename=name, content_type="text/plain; charset=utf-8")


def _sub_job_id(text: str) -> str:
    if len(text) != _SUB_JOB_ID_LENGTH or not is_segment(text):
        raise ValueError(f"must be {_SUB_JOB_ID_LENGTH} characters of A-Z a-z 0-9 . _ -")
    return text


type SubJobId = Annotated[str, AfterValidator(_sub_job_id)]


def sub_job_ids(values: Iterable[str]) -> list[str]:
    """Seed 004, table 1: ids repeated or joined by commas, each once, in the order of the request."""
    ids = list(dict.fromkeys(each for value in values for each in value.split(",")))
    if not ids:
        raise Invalid("sub_job_id", "is required")
    for each in ids:
        try:
            _sub_job_id(each)
        except ValueError as error:
            raise Invalid("sub_job_id", str(error)) from error
    if len(ids) > SUB_JOBS_MAX:
        raise Invalid("sub_job_id", f"at most {SUB_JOBS_MAX} at once")
    return ids


def check_heads(logs: LogSource, ids: Iterable[str]) -> list[Head]:
    """All logs of some sub-jobs; raise LogNotFound if one of them has none, TooLarge beyond ZIP_ENTRIES_MAX."""
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
    if unknown:
        raise LogNotFound(f"no logs of sub_job_id {', '.join(unknown)}")
    return heads


def check_entry(log_id: LogId) -> str:
    """The name under which a check log is shown, before it is made safe."""
    sub_job_id = log_id.segments[0]
    return f"{sub_job_id}/{log_id.rest}" if log_id.rest else f"{sub_job_id}.log"
