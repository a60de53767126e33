"""The files of CodeArts Build: the log of one action, and that of a whole build."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from logkeep.apis.build.stages import STAGE, stages
from logkeep.downloads.files import LogFile, TextFile
from logkeep.errors import Invalid
from logkeep.logs.head import Head
from logkeep.logs.reader import LogSource
from logkeep.params import Boolean

_RECORD_ID: Final = re.compile(r"[0-9a-z-]{36}")


class BuildFile(TextFile):
    """All stages of a build's record, in order."""

    kind: Literal["build"] = "build"
    record_id: str

    def heads(self, logs: LogSource) -> Sequence[Head]:
        return stages(logs.heads(f"build/{self.record_id}"))


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
