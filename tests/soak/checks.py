"""What must be true of a log and of a service, however they came to be."""

import gzip
import zlib
from typing import Any

from botocore.exceptions import ClientError

from logkeep.errors import LogNotFound
from logkeep.extents import ObjectRange
from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.logs.store import log_store
from tests.calls import PROJECT, list_events
from tests.conftest import Objects


def stored_text(log_id: str, objects: Objects) -> bytes:
    """The text of a log, whose rows touch and refer to objects that are there and open with gzip."""
    store = log_store(PROJECT)
    head = store.head(LogId.parse(log_id))
    rows = list(store.rows(head))
    assert [row.fragment.offset for row in rows] == [0, *(row.fragment.end for row in rows)][: len(rows)]
    assert (len(rows), sum(row.fragment.packed for row in rows)) == (head.fragments, head.packed)
    for key in {row.extent.key for row in rows if isinstance(row.extent, ObjectRange)}:
        try:
            gzip.decompress(objects.read(key))
        except ClientError as error:
            raise AssertionError(f"a row refers to {key}, which is missing") from error
    return b"".join(store.texts(head))


def check_prefix(log_id: str, text: bytes, answered: int) -> None:
    """A log that is being written vouches for the first bytes of the text, at least those that were answered."""
    try:
        head = log_store(PROJECT).head(LogId.parse(log_id))
    except LogNotFound:
        head = Head.born(LogId.parse(log_id))
    assert head.end >= answered
    assert head.crc32 == zlib.crc32(text[: head.end])


def unreferenced(log_id: str, text: bytes, objects: Objects) -> int:
    """How many of the log's objects no row refers to; each of them opens with gzip and holds some of the text."""
    store = log_store(PROJECT)
    keys = objects.keys(f"logs/{PROJECT}/{log_id}@")
    assert len(keys) < 1000, "more than one page"
    for key in keys:
        assert gzip.decompress(objects.read(key)) in text, key
    rows = store.rows(store.head(LogId.parse(log_id)))
    return len(keys) - len({row.extent.key for row in rows if isinstance(row.extent, ObjectRange)})


def check_events(service: str, expected: list[dict[str, Any]]) -> None:
    """Every event is there once, in order, and counted."""
    found: list[dict[str, Any]] = []
    while True:
        answer = list_events(service, offset=len(found) // 1000, limit=1000, order="asc")
        assert answer.status == 200, answer
        assert answer.json["total_count"] == len(expected)
        found += answer.json["events"]
        if answer.json["count"] < 1000:
            break
    assert sorted(map(_key, found)) == sorted(map(_key, expected))
    assert [each["occur_time"] for each in found] == sorted(each["occur_time"] for each in expected)
    for kind in ("normal", "abnormal"):
        of_kind = sum(each["event_type"] == kind for each in expected)
        assert list_events(service, event_type=kind, limit=1).json["total_count"] == of_kind


def _key(event: dict[str, Any]) -> tuple[Any, ...]:
    return event["occur_time"], event["event_type"], event["event_info"]
