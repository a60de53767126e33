"""Events of services in backups, against the emulator: no event is lost, whoever writes or is killed meanwhile."""

import io
import json
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from logkeep.aws import clients
from logkeep.backups import event_file_store, event_files
from logkeep.backups.event_files import OVERLAP, in_order
from logkeep.backups.records import BackupRecord, Status
from logkeep.backups.runs import BackupRuns, backup_runs
from logkeep.backups.store import BackupStore, backup_store
from logkeep.clock import DAY, HOUR, MINUTE, now_ms
from logkeep.errors import Busy
from logkeep.events.segments import Event, EventBatch, EventType, unpack_segment
from logkeep.events.store import event_store
from tests.backups.test_runs import TIME, append, begin, expire, fill, only
from tests.calls import CLUSTER, PROJECT, SERVICE
from tests.faults import SIDES, STEP, Killed, killed_at

pytestmark = pytest.mark.usefixtures("aws")
OTHER = "another-service"


@pytest.fixture
def store(aws) -> BackupStore:
    store = backup_store(PROJECT, CLUSTER)
    store.enable()
    register(store, SERVICE)
    return store


@pytest.fixture
def small(monkeypatch) -> None:
    """A piece of about every segment."""
    monkeypatch.setattr(event_files, "FRAGMENT_MAX", 1)
    monkeypatch.setattr(event_files, "PIECE_SIZE", 1)


def register(store: BackupStore, *services: str) -> None:
    store.items.update("cluster", {"services": list(services)})


def put(label: str, count: int = 20, service: str = SERVICE, at: int | None = None) -> None:
    start = (at or now_ms()) - HOUR
    kinds = list(EventType)
    events = [
        Event(occur_time=start + n * MINUTE // 7, event_type=kinds[n % 2], event_info=f"{label} {n}")
        for n in range(count)
    ]
    event_store(PROJECT, service).put(EventBatch(events=events), label)


def stored(service: str = SERVICE) -> set[str]:
    """The ids of what is stored."""
    return {
        f"{each.at.partition('/')[2]}-{place}"
        for each in in_order(event_store(PROJECT, service), "")
        for place, _ in enumerate(unpack_segment(each.packed))
    }


def held(objects: Any, record: BackupRecord, service: str = SERVICE) -> list[dict[str, Any]]:
    """The events of a service in a record's archive, which is as the record and its manifest say."""
    assert (record.status, record.failed_msg) == (Status.SUCCESS, None)
    data = objects.read(record.key)
    assert (len(data), zlib.crc32(data)) == (record.size, record.crc32)
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    (row,) = [each for each in json.loads(archive.read("manifest.json"))["services"] if each["id"] == service]
    events = [json.loads(line) for line in archive.read(row["entry"]).split(b"\n")[:-1]]
    assert len(events) == row["events"] == len({each["id"] for each in events})
    return events


def ids(objects: Any, *records: BackupRecord, service: str = SERVICE) -> set[str]:
    return {each["id"] for record in records for each in held(objects, record, service)}


def records(store: BackupStore) -> list[BackupRecord]:
    """Oldest first."""
    return list(store.records())[::-1]


def back_up(store: BackupStore, runs: BackupRuns, number: int = 0) -> BackupRecord:
    begin(store, f"r{number:03d}", 1000 + number)
    assert not runs.resume(TIME)
    return records(store)[-1]


def test_a_backup_holds_the_events_of_the_services_that_are_registered(store, runs, objects) -> None:
    fill()
    for service in (SERVICE, OTHER, "unregistered"):
        put("an event of", 1000, service)
    register(store, SERVICE, OTHER, "nobody-knows-it")
    record = back_up(store, runs)
    for service in (SERVICE, OTHER):
        events = held(objects, record, service)
        assert len(events) == 1000
        assert {each["id"] for each in events} == stored(service)
        assert sorted(each["event_info"] for each in events) == sorted(f"an event of {n}" for n in range(1000))
        minutes = [each["occur_time"] // MINUTE for each in events]
        assert minutes == sorted(minutes)
    assert held(objects, record, "nobody-knows-it") == []
    assert b"unregistered" not in objects.read(record.key)
    assert objects.keys("staging/") == []


def test_a_cluster_without_services_reads_and_stores_no_events(store, runs, objects) -> None:
    put("not asked for")
    register(store)
    assert not records(store)
    record = back_up(store, runs)
    assert objects.keys("staging/") == []
    assert b"services" not in objects.read(f"cuts/{PROJECT}/{CLUSTER}/{record.id}.json")


def test_the_next_backup_holds_what_was_received_since_but_for_an_overlap(store, runs, objects, monkeypatch) -> None:
    began = now_ms()
    monkeypatch.setattr("logkeep.events.store.now_ms", lambda: began - 2 * OVERLAP)
    put("long before")
    monkeypatch.setattr("logkeep.events.store.now_ms", lambda: began - OVERLAP // 2)
    put("shortly before")
    first = back_up(store, runs)
    monkeypatch.undo()
    put("behind")
    second = back_up(store, runs, 1)
    assert len(held(objects, first)) == 40
    assert {each["event_info"].partition(" 1")[0] for each in held(objects, second) if " 1" in each["event_info"]} == {
        "shortly before",
        "behind",
    }
    assert ids(objects, first, second) == stored()


def test_a_service_that_is_registered_later_is_taken_whole(store, runs, objects, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("logkeep.events.store.now_ms", lambda: now_ms() - DAY)
        for service in (SERVICE, OTHER):
            put("old", service=service)
    store.items.update("cluster", {"services": [SERVICE]})
    back_up(store, runs)
    register(store, OTHER)
    second = back_up(store, runs, 1)
    assert second.base == "r000"
    assert len(stored(OTHER)) == 20
    assert ids(objects, second, service=OTHER) == stored(OTHER)
    register(store, SERVICE, OTHER)
    third = back_up(store, runs, 2)
    assert ids(objects, third) == stored(), "the backup before did not have it"


def test_events_of_days_that_have_expired_are_left_out(store, runs, objects, monkeypatch) -> None:
    put("of a day that is kept")
    monkeypatch.setattr("logkeep.events.store.EventStore._expires_at", lambda *_: 1 << 60)
    put("of the first day that is kept", at=(now_ms() - 3650 * DAY) // DAY * DAY + HOUR)
    put("expired", at=(now_ms() - 3650 * DAY) // DAY * DAY)
    labels = {each["event_info"].rpartition(" ")[0] for each in held(objects, back_up(store, runs))}
    assert labels == {"of a day that is kept", "of the first day that is kept"}


@pytest.mark.dates
def test_a_chain_made_while_events_are_put_loses_none(store, runs, objects, monkeypatch) -> None:
    monkeypatch.setattr(event_file_store, "OVERLAP", 1500)
    ended, batches = threading.Event(), 0

    def write() -> None:
        nonlocal batches
        while not ended.wait(0.02):
            put(f"batch {batches}", 10)
            batches += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(6):
            back_up(store, runs, number)
            time.sleep(0.5)
    finally:
        ended.set()
        writer.join()
    back_up(store, runs, 6)
    made = records(store)
    assert [each.base is None for each in made] == [True] + [False] * 6, "one chain"
    assert len(held(objects, made[-1])) < len(stored()), "the last one holds what is new"
    assert ids(objects, *made) == stored()
    assert len(stored()) == batches * 10


def test_an_event_that_is_committed_late_is_in_the_next_backup(store, runs, objects, monkeypatch) -> None:
    """Its time of receipt is from before the cut, and the place where it comes to lie was read already."""
    fill()
    collect = event_file_store.EventFileStore.collect
    received = now_ms()

    def late(*arguments: Any) -> Any:
        collected = collect(*arguments)
        with monkeypatch.context() as patch:
            patch.setattr("logkeep.events.store.now_ms", lambda: received)
            put("late")
        return collected

    with monkeypatch.context() as patch:
        patch.setattr(event_file_store.EventFileStore, "collect", late)
        first = back_up(store, runs)
    assert held(objects, first) == []
    assert ids(objects, back_up(store, runs, 1)) == stored()


@pytest.mark.soak
@SIDES
def test_a_worker_killed_at_any_call_loses_no_event(after, store, runs, objects) -> None:
    """A backup after the other, each killed a call later than the one before, until one gets through."""
    register(store, SERVICE, OTHER)
    put("of the other one", 4, OTHER)
    for number in range(100):
        put(f"round {number}", 4)
        append(f"cluster/{CLUSTER}/node-1/instance", b"a line\n")
        begin(store, f"r{number:03d}", 1000 + number)
        try:
            with killed_at(number * STEP, after=after):
                runs.resume(TIME)
            break
        except Killed:
            assert len(list(store.records())) == number + 1
        if store.items.get("active"):
            expire(store)
            assert not runs.resume(TIME)
    made = records(store)
    assert len(made) == number + 1 > 15 // STEP
    assert ids(objects, *made) == stored()
    for start in range(0, len(made), 7):
        assert made[start].base is None
        expected = {f"round {n}" for n in range(start + 1)}
        assert {each["event_info"].rpartition(" ")[0] for each in held(objects, made[start])} == expected


def test_two_workers_at_once_end_with_the_events_of_one_cut(store, runs, objects, small, monkeypatch) -> None:
    put("before")
    begin(store)
    slow = backup_runs(PROJECT, CLUSTER)
    read = slow._events._read
    theirs: list[bool] = []

    def late(*arguments: Any) -> Any:
        reading = read(*arguments)
        if not theirs:
            theirs.append(True)
            put("meanwhile")
            expire(store)
            assert not runs.resume(TIME)
        return reading

    monkeypatch.setattr(slow._events, "_read", late)
    slow.resume(TIME)
    assert theirs
    assert ids(objects, only(store)) == stored(), "the other one was faster, and saw more"


# Time and size


@pytest.fixture
def clock(monkeypatch) -> Iterator[SimpleNamespace]:
    """A clock that only a stored piece moves."""
    clock = SimpleNamespace(now=0.0, step=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    moved = "after-call.s3.PutObject"
    clients.s3().meta.events.register(moved, lambda **_: setattr(clock, "now", clock.now + clock.step))
    return clock


@pytest.mark.no_faults("an invocation has time for one step, and none to repeat a call")
def test_events_that_take_several_invocations_are_read_on_where_it_was(store, runs, objects, small, clock) -> None:
    register(store, SERVICE, OTHER)
    put("one", 30)
    put("two", 30, OTHER)
    begin(store)
    calls, pieces = 1, 0
    while runs.resume(50):
        calls += 1
        clock.now += 1
        pieces = max(pieces, len(objects.keys("staging/")))
        if calls == 4:
            put("written meanwhile", 30)
    assert calls > 8
    record = only(store)
    assert ids(objects, record, service=OTHER) == stored(OTHER)
    assert objects.keys("staging/") == []
    clock.step = 0
    register(store, SERVICE)
    assert ids(objects, record, back_up(store, runs, 1)) == stored()


def test_a_worker_without_time_for_a_segment_says_so_and_changes_nothing(store, runs, objects) -> None:
    put("waiting")
    begin(store)
    with pytest.raises(Busy):
        runs.resume(0)
    assert (only(store).status, objects.keys("staging/")) == (Status.RUNNING, [])
    assert not runs.resume(TIME)
    assert ids(objects, only(store)) == stored()


def test_what_was_read_for_another_base_is_read_anew(store, runs, objects, small, clock) -> None:
    clock.step = 0
    put("old", 30, at=now_ms() - DAY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("logkeep.events.store.now_ms", lambda: int(time.time() * 1000) - DAY)
        put("received long ago", 30)
    back_up(store, runs)
    clock.step = 100.0
    begin(store, "second", 2000)
    assert runs.resume(50)
    store.items.update("cluster", {"full_every": 1})
    clock.step = 0
    assert not runs.resume(50)
    second = records(store)[-1]
    assert second.base is None
    assert ids(objects, second) == stored()


def test_more_events_than_a_cut_can_name_fail_with_the_services_name(store, runs, objects, small, monkeypatch) -> None:
    monkeypatch.setattr(event_file_store, "PIECES_MAX", 3)
    put("one of many")
    begin(store)
    assert not runs.resume(TIME)
    record = only(store)
    assert (record.status, record.failed_msg) == (
        Status.FAIL,
        f"the events of service {SERVICE} do not fit into one backup",
    )
    assert objects.keys("backups/") == objects.keys("cuts/") == []


@pytest.mark.parametrize("missing", [False, True], ids=["damaged", "missing"])
def test_a_piece_that_is_not_as_it_was_stored_is_named(missing, store, runs, objects, monkeypatch) -> None:
    fill()
    put("precious")
    begin(store)
    work = runs._work

    def meanwhile(*arguments: Any) -> Any:
        (key,) = objects.keys("staging/")
        data = bytearray(objects.read(key))
        data[len(data) // 2] ^= 1
        objects.s3.put_object(Bucket=objects.bucket, Key=key, Body=bytes(data))
        if missing:
            objects.s3.delete_object(Bucket=objects.bucket, Key=key)
        return work(*arguments)

    monkeypatch.setattr(runs, "_work", meanwhile)
    assert not runs.resume(TIME)
    record = only(store)
    assert record.status is Status.FAIL
    named = "staging/" if missing else f"the stored bytes of the events of {SERVICE}"
    assert named in (record.failed_msg or "")
    assert objects.keys("backups/") == []
