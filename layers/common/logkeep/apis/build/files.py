"""The files of CodeArts Build: the log of one action, or of a whole build."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from logkeep.apis.build.stages import STAGE, stages
from logkeep.downloads.files import LogFile, TextFile
from logkeep.errors import Invalid
from logkeep.logid import RECORD_ID
from logkeep.logs.head import Head
from logkeep.logs.reader import LogSource
from logkeep.params import Boolean
from logkeep.web.delivery import Content

type RecordId = Annotated[str, Field(pattern=f"^{RECORD_ID.pattern}$")]
type BuildContent = Content[Literal["application/octet-stream", "application/gzip"]]


class BuildFile(TextFile):
    """All stages of a build record, in order."""

    kind: Literal["build"] = "build"
    record_id: str

    def heads(self, logs: LogSource) -> Sequence[Head]:
        return stages(logs.heads(f"build/{self.record_id}"))


def _stage(name: str) -> str:
    if not STAGE.fullmatch(name):
        raise ValueError("must be stageX, where X is the number of the action, counted from 1")
    return name


class FullLogQuery(BaseModel):
    """The query of DownloadBuildFullLog."""

    model_config = ConfigDict(frozen=True)

    log_level: Literal["INFO", "DEBUG"] = "INFO"
    compress: Boolean = False

    def form(self, name: str) -> dict[str, Any]:
        """The fields of a file that this query decides; `name` is the file's name without its suffix."""
        return {
            "filename": f"{name}.log.gz" if self.compress else f"{name}.log",
            # The SDKs read any other type than octet-stream into memory before they return it.
            "content_type": "application/gzip" if self.compress else "application/octet-stream",
            "as_file": self.compress,
            "without_debug": self.log_level == "INFO",
        }


class BuildLogQuery(FullLogQuery):
    """The query of the log of one build action (docs/apis.md#codearts-build)."""

    task_name: Annotated[str, AfterValidator(_stage), Field(json_schema_extra={"pattern": f"^{STAGE.pattern}$"})]


def build_log_file(record_id: str, query: BuildLogQuery) -> LogFile:
    """The log of a build action, named after the stage. Raises Invalid for a malformed record_id."""
    return LogFile(log_id=f"build/{_record(record_id)}/{query.task_name}", **query.form(query.task_name))


def full_log_file(record_id: str, query: FullLogQuery) -> BuildFile:
    """The log of a whole build, named after the record. Raises Invalid for a malformed record_id."""
    return BuildFile(record_id=_record(record_id), **query.form(record_id))


def _record(record_id: str) -> str:
    if not RECORD_ID.fullmatch(record_id):
        raise Invalid("record_id", "must be 36 characters of 0-9 a-z -")
    return record_id
