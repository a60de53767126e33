"""A log followed for the lines that a query wants."""

from collections.abc import Iterator

from logkeep import ndjson
from logkeep.limits import FRAGMENT_MAX, LOG_MAX
from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.logs.reader import LogSource
from logkeep.reading.ansi import Ansi
from logkeep.reading.answers import Records
from logkeep.reading.cursors import cursor_at
from logkeep.reading.follow import Follower
from logkeep.reading.query import Query
from logkeep.reading.select import Place, Selection


class Growth:
    """A source of which a follower learns how much there is, and not what: others read that."""

    def __init__(self, logs: LogSource) -> None:
        self._logs = logs

    def head(self, log_id: LogId) -> Head:
        return self._logs.head(log_id)

    def texts(self, head: Head, start: int = 0) -> Iterator[bytes]:
        for position in range(start, head.end, FRAGMENT_MAX):
            yield bytes(min(FRAGMENT_MAX, head.end - position))


def found_lines(
    logs: LogSource, follower: Follower, query: Query, place: Place | None, room: int, ansi: Ansi
) -> Iterator[bytes]:
    """The lines that a query wants of a followed log, as JSON lines of at most `room` bytes; then one with `end`.

    The follower is of Growth, from the log's end on. A line without a newline waits for it, or for the seal.
    """
    left, lost, is_full = room, False, False

    def look(*, is_final: bool) -> Iterator[bytes]:
        nonlocal left, lost, is_full, place
        head = follower.head
        selection = Selection(logs, head, query, lambda: False, place=place, needs_times=True, is_final=is_final)
        records = Records(selection, head, query, LOG_MAX, left, ansi)
        for line in records:
            left -= len(line)
            yield line
        place, lost = records.place, lost or bool(selection.gaps)
        is_full = not records.is_over

    yield from look(is_final=follower.has_all)
    if not follower.has_all:
        for text in follower.texts():
            if is_full:
                break
            if text and follower.position >= follower.head.end:
                yield from look(is_final=False)
            yield b""
        if follower.has_all and not is_full and not follower.is_deleted:
            yield from look(is_final=True)
    has_all = follower.has_all and not is_full
    at = place or Place(0)
    yield ndjson.line(
        cursor=cursor_at(follower.head, at),
        offset=at.offset,
        end=True,
        more=not has_all and not follower.is_deleted,
        complete=has_all and not lost,
        state="deleted" if follower.is_deleted else follower.head.state.value,
    )
