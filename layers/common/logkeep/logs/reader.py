"""The protocols through which logs are read, so that readers depend on no store."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from logkeep.extents import Extent
from logkeep.logid import LogId
from logkeep.logs.fragment import Fragment
from logkeep.logs.head import Head
from logkeep.logs.sums import Sums


class Row(NamedTuple):
    """A fragment and its packed bytes: inline, or the range of an object that holds them."""

    fragment: Fragment
    extent: Extent


class Stretch(NamedTuple):
    """Packed bytes of a log in one piece, and their sums."""

    extent: Extent
    sums: Sums


class LogReader(Protocol):
    """Reads rows and text of logs whose heads are known. Offsets are bytes of text.

    What a head covers never changes, so a reader may use one that was read long ago. The methods that read text raise
    Corrupt if the stored bytes do not match their checksums.
    """

    def rows(self, head: Head, start: int = 0) -> Iterator[Row]:
        """The rows from the one that holds byte `start` to the head's end, without gaps.

        Raises Corrupt if one is missing, and LogChanged if rows were merged meanwhile.
        """
        ...

    def rows_back(self, head: Head, end: int) -> Iterator[Row]:
        """The rows that hold [0, end), the last one first, without gaps.

        The first may end after `end`. If rows are merged meanwhile, a row may also hold bytes of the row yielded before
        it. Raises Corrupt if one is missing.
        """
        ...

    def rows_near(self, head: Head, offset: int) -> list[Row]:
        """Some rows without gaps, found with one request. One holds byte `offset`. Raises Corrupt if none does."""
        ...

    def row_after(self, head: Head, offset: int) -> int:
        """Where the first row begins that begins after byte `offset`; the head's end if there is none."""
        ...

    def stretches(self, head: Head, start: int = 0) -> Iterator[Stretch]:
        """The packed bytes from byte `start` of the text, where one begins, to the head's end, in few pieces.

        Raises Corrupt if some are missing, and LogChanged if they were packed long after the head was read.
        """
        ...

    def sums_to(self, head: Head, offset: int) -> tuple[Sums, Row | None]:
        """The sums of the fragments that end by `offset`, and the row in which it lies, if none ends there."""
        ...

    def texts_of(self, rows: Iterable[Row]) -> Iterator[bytes]:
        """The text of each row, in the order of the rows."""
        ...

    def texts(self, head: Head, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The text of [start, end), a fragment at a time. Without `end`, to the head's end."""
        ...

    def text(self, row: Row) -> bytes:
        """The text of one row."""
        ...


class LogSource(LogReader, Protocol):
    """A reader that also finds the heads of a project's logs."""

    def head(self, log_id: LogId) -> Head:
        """The head of a log. Raises LogNotFound if nothing was ever appended to it and it was never sealed."""
        ...

    def heads(self, owner: str) -> Iterator[Head]:
        """The heads of all logs of an owner such as `check/{sub_job_id}`, in order of id."""
        ...
