"""Events in backups: what lies in the archive is what a list of the events gives."""

import io
import json
import random
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.backups import event_files
from logkeep.backups.archive import Archive
from logkeep.backups.cuts import Cut
from logkeep.backups.event_files import EventFile, Piece, in_order, pack_lines
from logkeep.clock import MINUTE
from logkeep.events.segments import TIME_MAX, Event, EventType, PackedSegment, minute_key, pack_segments, unpack_segment
from logkeep.extents import ObjectRange
from tests.cuts import take_cut
from tests.memory import MemoryLogs, content

pytestmark = pytest.mark.unit

NOON = 1_769_860_800_000
EVENTS = st.builds(
    Event,
    occur_time=st.one_of(st.integers(NOON, NOON + 3 * MINUTE), st.integers(10**11, TIME_MAX)),
    event_type=st.sampled_from(EventType),
    event_info=st.text(max_size=30),
)
# When a request was received, and its events.
REQUESTS = st.lists(st.tuples(st.integers(0, 50), st.lists(EVENTS, max_size=20)), max_size=8)
SIZES = st.sampled_from([(1, 1), (100, 1), (300, 200), (1 << 20, 8 << 20)])  # of a fragment's text, and of a piece


class MemorySegments:
    def __init__(self, requests: Iterable[tuple[int, list[Event]]]) -> None:
        self._segments = [
            PackedSegment(f"{minute_key(each.minute)}/{each.id}", each.type, received_at, each.packed)
            for number, (received_at, events) in enumerate(requests)
            for each in pack_segments(events, str(number))
        ]

    def segments_after(self, kind: EventType, at: str) -> Iterator[PackedSegment]:
        return iter(sorted(each for each in self._segments if each.type == kind and each.at > at))

    def rows(self, since: int) -> list[dict[str, Any]]:
        return [
            {
                "id": f"{at.partition('/')[2]}-{place}",
                "occur_time": time,
                "event_type": kind,
                "event_info": info,
                "received_at": received_at,
            }
            for at, kind, received_at, packed in sorted(self._segments)
            if received_at >= since
            for place, (time, info) in enumerate(unpack_segment(packed))
        ]


class Staging:
    """Stored pieces."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def file(self, service: str, segments: Iterable[PackedSegment], since: int | None = None) -> EventFile:
        made = EventFile(service=service, since=since)
        for each in pack_lines(segments, since):
            key = f"staging/{len(self.objects)}"
            self.objects[key] = each.data
            made.pieces.append(Piece.of(key, each))
        return made

    def zip_of(self, cut: Cut, logs: MemoryLogs) -> bytes:
        """The archive of a cut, which is as was known before."""
        extents = list(Archive(cut).make(logs))
        for each in extents:
            if isinstance(each, ObjectRange):
                assert (each.start, each.size) == (0, len(self.objects[each.key]))
        data = content(self.objects[each.key] if isinstance(each, ObjectRange) else each for each in extents)
        assert (len(data), zlib.crc32(data)) == (Archive(cut).layout.size, Archive(cut).layout.crc32)
        return data


def parsed(text: bytes) -> list[Any]:
    assert not text or text.endswith(b"\n")
    return [json.loads(line) for line in text.split(b"\n")[:-1]]


@given(st.lists(st.tuples(REQUESTS, st.none() | st.integers(0, 50)), max_size=3), SIZES)
def test_an_archive_holds_the_events_of_its_services_line_by_line(wanted, sizes) -> None:
    staging, logs = Staging(), MemoryLogs()
    logs.append("cluster/c/node/instance", b"a line\n")
    with pytest.MonkeyPatch.context() as patch:
        for name, size in zip(("FRAGMENT_MAX", "PIECE_SIZE"), sizes, strict=True):
            patch.setattr(event_files, name, size)
        stored = [MemorySegments(requests) for requests, _ in wanted]
        files = [
            staging.file(f"service-{number}", in_order(each, ""), since)
            for number, (each, (_, since)) in enumerate(zip(stored, wanted, strict=True))
        ]
    cut = take_cut("r", "c", NOON, logs.heads("cluster/c"), None, files)
    cut = Cut.model_validate_json(cut.model_dump_json())
    data = staging.zip_of(cut, logs)
    made = zipfile.ZipFile(io.BytesIO(data))
    assert made.testzip() is None
    assert made.read(Archive(cut).names[0]) == b"a line\n"
    manifest = json.loads(made.read("manifest.json"))
    assert len(manifest.get("services", [])) == len(wanted)
    for index, (segments, (_, since)) in enumerate(zip(stored, wanted, strict=True)):
        row, rows = manifest["services"][index], segments.rows(since or 0)
        assert row["entry"] == f"events/service-{index}/{NOON}.ndjson"
        assert parsed(made.read(row["entry"])) == rows
        received = [each["received_at"] for each in rows]
        assert row == {
            "id": f"service-{index}",
            "entry": row["entry"],
            "since": since,
            "events": len(rows),
            "first_received_at": min(received, default=None),
            "last_received_at": max(received, default=None),
        }
        start, size = Archive(cut).content_of(1 + index)
        assert parsed(zlib.decompress(data[start : start + size], -zlib.MAX_WBITS)) == rows


@given(REQUESTS, st.data())
def test_reading_goes_on_behind_any_segment(requests, data) -> None:
    reader = MemorySegments(requests)
    everything = list(in_order(reader, ""))
    assert [each.at for each in everything] == sorted(each.at for each in everything)
    stop = data.draw(st.integers(0, len(everything)))
    behind = everything[stop - 1].at if stop else ""
    assert everything[:stop] + list(in_order(reader, behind)) == everything


def test_ids_are_unique_where_equal_events_were_put_twice() -> None:
    same = [Event(occur_time=NOON, event_type=EventType.NORMAL, event_info="again")] * 3
    rows = MemorySegments([(1, same), (2, same)]).rows(0)
    assert len({each["id"] for each in rows}) == 6


def test_a_service_without_events_has_an_empty_file() -> None:
    cut = take_cut("r", "c", 7, [], None, [EventFile(service="quiet", since=None)])
    made = zipfile.ZipFile(io.BytesIO(Staging().zip_of(cut, MemoryLogs())))
    assert made.read("events/quiet/0000000000007.ndjson") == b""
    (row,) = json.loads(made.read("manifest.json"))["services"]
    assert (row["events"], row["first_received_at"], row["last_received_at"]) == (0, None, None)


def test_no_log_and_no_other_service_has_the_name_of_a_services_file() -> None:
    logs = MemoryLogs()
    for log_type in ("a", "a.ndjson", "0000000000007.ndjson"):
        logs.append(f"cluster/c/events/{log_type}", b"a log\n")
    files = [EventFile(service=each, since=None) for each in ("a", "A", "a.ndjson", "con")]
    cut = take_cut("r", "c", 7, logs.heads("cluster/c"), None, files)
    made = zipfile.ZipFile(io.BytesIO(Staging().zip_of(cut, logs)))
    assert made.testzip() is None
    assert len({name.casefold() for name in made.namelist()}) == 1 + 3 + 4
    assert all(made.read(name) == b"a log\n" for name in Archive(cut).names)
    rows = json.loads(made.read("manifest.json"))["services"]
    assert [each["id"] for each in rows] == ["a", "A", "a.ndjson", "con"]
    assert all(made.read(each["entry"]) == b"" for each in rows)


def test_files_of_a_chain_lie_in_order_in_one_folder() -> None:
    names = [
        Archive(take_cut("r", "c", at, [], None, [EventFile(service="s", since=None)])).event_names[0]
        for at in (1, 999_999_999_999, NOON)
    ]
    assert names == sorted(set(names))


def test_a_cut_without_services_is_written_as_before() -> None:
    logs = MemoryLogs()
    logs.append("cluster/c/node/instance", b"x\n")
    cut = take_cut("r", "c", 1, logs.heads("cluster/c"), None)
    assert json.loads(cut.model_dump_json()).keys() == {"record_id", "cluster_id", "created_at", "base", "logs"}
    assert Cut.model_validate_json(cut.model_dump_json()) == cut
    made = zipfile.ZipFile(io.BytesIO(Staging().zip_of(cut, logs)))
    assert json.loads(made.read("manifest.json")).keys() == {"record", "cluster", "created_at", "continues", "logs"}


def test_what_is_held_in_memory_does_not_grow_with_the_events(monkeypatch) -> None:
    monkeypatch.setattr(event_files, "FRAGMENT_MAX", 1 << 15)
    monkeypatch.setattr(event_files, "PIECE_SIZE", 1 << 13)
    chance = random.Random(1)  # what does not compress takes its room once it is packed, too
    infos = [chance.randbytes(100).hex() for _ in range(50)]
    (segment,) = pack_segments([Event(occur_time=NOON, event_type=EventType.NORMAL, event_info=i) for i in infos], "")

    def peak(segments: int) -> int:
        made = (PackedSegment(f"{n:012d}/{n:032x}", segment.type, n, segment.packed) for n in range(segments))
        tracemalloc.start()
        count = sum(each.events for each in pack_lines(made, None))
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == segments * 50
        return held

    assert peak(100) < 1.2 * peak(10)
