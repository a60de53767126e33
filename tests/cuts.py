"""Cuts as a backup takes them, of logs in memory."""

from collections.abc import Iterable, Sequence

from logkeep.backups.cuts import Cut, Mark, Rest, RestOf, Slice, rest_after
from logkeep.backups.event_files import EventFile
from logkeep.logs.head import Head
from tests.memory import MemoryLogs


def unknown(head: Head, mark: Mark) -> Rest | None:
    """Of logs that were packed since the base: they are taken whole."""
    return None


def resting(logs: MemoryLogs) -> RestOf:
    return lambda head, mark: rest_after(logs, head, mark, logs.stage)


def take_cut(
    record: str,
    cluster: str,
    now: int,
    heads: Iterable[Head],
    base: Cut | None,
    events: Sequence[EventFile] = (),
    rest_of: RestOf = unknown,
) -> Cut:
    held = {each.log_id: each for each in base.logs} if base else {}
    return Cut(
        record_id=record,
        cluster_id=cluster,
        created_at=now,
        base=base.record_id if base else None,
        logs=[Slice.of(head, held.get(str(head.log_id)), rest_of) for head in heads],
        events=list(events),
    )
