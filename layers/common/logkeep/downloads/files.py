"""What a client may ask for as a file, in a form that a request and a queue can carry."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from logkeep.downloads.rendition import Rendition, log_file
from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.logs.reader import LogSource


class File(BaseModel, ABC):
    """A file made of logs. Its kinds belong to the APIs that hand them out."""

    model_config = ConfigDict(frozen=True)

    @abstractmethod
    def rendition(self, logs: LogSource, *, gzip: bool) -> Rendition:
        """The file for a client that accepts gzip, or for one that does not. Raises LogNotFound."""


class TextFile(File):
    """Logs joined to one text."""

    filename: str
    content_type: str
    as_file: bool = False  # a .gz file, not text
    without_debug: bool = False

    @abstractmethod
    def heads(self, logs: LogSource) -> Sequence[Head]:
        """The logs in their order. Raises LogNotFound if there are none."""

    def rendition(self, logs: LogSource, *, gzip: bool) -> Rendition:
        return log_file(
            logs,
            self.heads(logs),
            self.filename,
            self.content_type,
            gzip=gzip,
            as_file=self.as_file,
            without_debug=self.without_debug,
        )


class LogFile(TextFile):
    """One log."""

    kind: Literal["log"] = "log"
    log_id: str

    def heads(self, logs: LogSource) -> Sequence[Head]:
        return [logs.head(LogId.parse(self.log_id))]


class FileOrder[F](BaseModel):
    """A file for the queue to build. F is the union of the kinds that the reader of the queue knows."""

    project: str
    gzip: bool
    file: F


def text_file(log_id: LogId) -> LogFile:
    """A log as text, named after its last segment."""
    last = log_id.segments[-1]
    name = last if last.endswith((".log", ".txt")) else f"{last}.log"
    return LogFile(log_id=str(log_id), filename=name, content_type="text/plain; charset=utf-8")
