"""What the readers of logs need of the store: rows, texts and heads."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from logkeep.extents import Extent
from logkeep.logid import LogId
from logkeep.logs.fragment import Fragment
from logkeep.logs.head import Head


class Row(NamedTuple):
    """A fragment and where its packed bytes are."""

    fragment: Fragment
    extent: Extent


class LogReader(Protocol):
    def rows(self, head: Head, start: int = 0) -> Iterator[Row]:
        """The rows of a log from the one that holds byte `start` to the head's end, without gaps."""
        ...

    def rows_back(self, head: Head, end: int) -> Iterator[Row]:
        """The rows that hold [0, end), the last one first; one may end behind where the one before it begins."""
        ...

    def texts_of(self, rows: Iterable[Row]) -> Iterator[bytes]:
        """The texts of rows, in order."""
        ...

    def texts(self, head: Head, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The text of [start, end), by default to the head's end, a fragment at a time."""
        ...

    def text(self, row: Row) -> bytes:
        """The text of one fragment."""
        ...


class LogSource(LogReader, Protocol):
    def head(self, log_id: LogId) -> Head:
        """Raise LogNotFound where there is none."""
        ...

    def heads(self, owner: str) -> Iterator[Head]:
        """The logs of an owner such as `check/{sub_job_id}`."""
        ...
