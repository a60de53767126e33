"""The files that clients may request, as models that fit into an order."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from logkeep.downloads.rendition import Rendition, log_file
from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.logs.reader import LogSource


class File(BaseModel, ABC):
    """A file made of logs. Each API defines its own kinds."""

    model_config = ConfigDict(frozen=True)

    @abstractmethod
    def rendition(self, logs: LogSource, *, gzip: bool) -> Rendition:
        """How to make the file, for a client that accepts gzip or for one that does not. Raises LogNotFound."""


class TextFile(File):
    """Logs joined to one text."""

    filename: str
    content_type: str
    as_file: bool = False  # as a .gz file, not as text
    without_debug: bool = False

    @abstractmethod
    def heads(self, logs: LogSource) -> Sequence[Head]:
        """The heads of the logs, in the order of the text. Raises LogNotFound if there are none."""

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


def text_file(log_id: LogId) -> LogFile:
    """A log as a text file, named after the last segment of its id."""
    last = log_id.segments[-1]
    name = last if last.endswith((".log", ".txt")) else f"{last}.log"
    return LogFile(log_id=str(log_id), filename=name, content_type="text/plain; charset=utf-8")
