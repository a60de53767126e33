"""Backups against the emulator: killed anywhere, raced for, continued, and honest about what they could not save."""

import io
import json
import os
import random
import time
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from logkeep.aws import clients
from logkeep.aws.parts import PART_MIN, Upload
from logkeep.backups.lease_store import Leases
from logkeep.backups.records import BackupRecord, Status
from logkeep.backups.runs import BackupRuns, backup_runs
from logkeep.backups.store import BackupStore
from logkeep.clock import now_ms
from logkeep.errors import BackupInProgress, Busy
from logkeep.logid import LogId
from logkeep.logs.store import log_store
from tests import faults
from tests.calls import CLUSTER, PROJECT
from tests.faults import SIDES, Killed, answering, at_once, killed_at

pytestmark = pytest.mark.usefixtures("aws")
LOGS = [f"cluster/{CLUSTER}/node-{node}/{kind}" for node in (1, 2) for kind in ("instance", "searchSlow")]
TIME = 900.0


def append(log_id: str, text: bytes) -> None:
    log_store(PROJECT).append(LogId.parse(log_id), lambda: iter((text,)), None)


def fill(times: int = 1) -> None:
    for number, log_id in enumerate(LOGS):
        for _ in range(times):
            append(log_id, f"2026-11-22 05:00:00 INFO log {number}\n".encode() * 300)


def begin(store: BackupStore, id: str = "first", created_at: int = 1000) -> BackupRecord:
    record = store.cluster(log_store(PROJECT)).new_record(id, created_at, "Manual")
    assert Leases(store).start(record, now_ms())
    return record


def expire(store: BackupStore) -> None:
    """Let the lease of a dead worker run out."""
    store.items.update("active", {"lease_until": 0})


def verified(objects: Any, record: BackupRecord) -> dict[str, bytes]:
    """The entries of a record's archive, which is as the record says."""
    assert (record.status, record.failed_msg, record.lease_until) == (Status.SUCCESS, None, None)
    assert record.key
    data = objects.read(record.key)
    assert (len(data), zlib.crc32(data)) == (record.size, record.crc32)
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    assert len(archive.namelist()) == (record.logs or 0) + 1
    return {name: archive.read(name) for name in archive.namelist()}


def stored() -> dict[str, bytes]:
    logs = log_store(PROJECT)
    return {str(head.log_id): b"".join(logs.texts(head)) for head in logs.heads(f"cluster/{CLUSTER}")}


def restored(objects: Any, *records: BackupRecord) -> dict[str, bytes]:
    """The logs as a chain of archives has them."""
    texts: dict[str, bytes] = {}
    for record in records:
        entries = verified(objects, record)
        for row in json.loads(entries["manifest.json"])["logs"]:
            texts[row["id"]] = texts.get(row["id"], b"") if row["from"] else b""
            assert len(texts[row["id"]]) == row["from"]
            texts[row["id"]] += entries[row["entry"]] if row["entry"] else b""
    return texts


def only(store: BackupStore) -> BackupRecord:
    (record,) = store.records()
    return record


def test_a_backup_holds_every_log_of_its_cluster_and_no_other(store, runs, objects) -> None:
    fill()
    append("cluster/other/node/instance", b"not mine\n")
    begin(store)
    assert not runs.resume(TIME)
    assert restored(objects, only(store)) == stored()
    assert only(store).key == f"backups/{PROJECT}/{CLUSTER}/css/log/first.zip"
    assert store.items.get("active") is None


def test_a_cluster_without_logs_has_a_backup_that_says_so(store, runs, objects) -> None:
    begin(store)
    assert not runs.resume(TIME)
    assert json.loads(verified(objects, only(store))["manifest.json"])["logs"] == []


def test_one_of_seven_backups_is_full_and_the_chain_restores_byte_for_byte(store, runs, objects) -> None:
    for number in range(9):
        fill()
        append(f"cluster/{CLUSTER}/node-{number}/new", b"of its own\n")
        begin(store, f"r{number}", 1000 + number)
        assert not runs.resume(TIME)
    oldest_first = list(store.records())[::-1]
    assert [each.base for each in oldest_first] == [None, "r0", "r1", "r2", "r3", "r4", "r5", None, "r7"]
    assert restored(objects, *oldest_first[7:]) == stored()
    assert restored(objects, *oldest_first) == stored()


@pytest.mark.parametrize("gone", [0, 1])
def test_behind_an_archive_that_is_gone_a_backup_is_full(gone, store, runs, objects) -> None:
    for number in range(4):
        if number == 3:
            key = f"backups/{PROJECT}/{CLUSTER}/css/log/r{gone}.zip"
            clients.s3().delete_object(Bucket=runs.bucket.name, Key=key)
        fill()
        begin(store, f"r{number}", 1000 + number)
        assert not runs.resume(TIME)
    newest, *before = store.records()
    assert [each.base for each in before] == ["r1", "r0", None]
    assert newest.base is None
    assert restored(objects, newest) == stored()


def test_a_cluster_may_choose_how_often_a_backup_is_full(store, runs) -> None:
    store.items.update("cluster", {"full_every": 1})
    for number in range(3):
        begin(store, f"r{number}", 1000 + number)
        runs.resume(TIME)
    assert [each.base for each in store.records()] == [None] * 3


def test_while_one_backup_runs_no_other_starts(store) -> None:
    first = begin(store)
    other = store.cluster(log_store(PROJECT)).new_record("second", 2000, "Manual")
    with pytest.raises(BackupInProgress):
        Leases(store).start(other, now_ms())
    assert not Leases(store).start(first, now_ms()), "it was started before"
    assert only(store).id == "first"


def test_of_two_that_start_at_once_one_runs(store) -> None:
    cluster = store.cluster(log_store(PROJECT))

    def start(id: str) -> Callable[[], str]:
        def attempt() -> str:
            try:
                return str(Leases(store).start(cluster.new_record(id, 1000, "Manual"), now_ms()))
            except BackupInProgress:
                return "runs"

        return attempt

    assert sorted(at_once(*(start(f"r{n}") for n in range(4)))) == ["True", "runs", "runs", "runs"]
    assert len(list(store.records())) == 1


def test_a_second_message_for_one_backup_does_nothing(store, runs, objects) -> None:
    fill()
    begin(store)
    assert sorted(at_once(*[lambda: runs.resume(TIME)] * 3), key=str) == [False, None, None]
    restored(objects, only(store))
    assert not runs.resume(TIME)
    assert len(objects.keys("backups/")) == 1


@pytest.mark.soak
@SIDES
@pytest.mark.parametrize("parts", [False, True], ids=["put at once", "in parts"])
def test_a_worker_killed_at_any_call_is_followed_by_one_that_goes_on(parts, after, store, runs, objects, monkeypatch):
    """A backup after the other, each killed a call later than the one before, until one gets through."""
    if parts:
        monkeypatch.setattr("logkeep.aws.multipart.plan", in_two_parts)
    for number in range(100):
        fill()
        begin(store, f"r{number:03d}", 1000 + number)
        try:
            with killed_at(number, after=after):
                runs.resume(TIME)
            break
        except Killed:
            assert len(list(store.records())) == number + 1
        if store.items.get("active"):
            expire(store)
            assert not runs.resume(TIME)
        assert _uploads() == []
    oldest_first = list(store.records())[::-1]
    assert len(oldest_first) == number + 1 > (12 if parts else 9)
    for begin_of_chain in range(0, number + 1, 7):
        assert oldest_first[begin_of_chain].base is None
    assert restored(objects, *oldest_first) == stored()


def in_two_parts(making: Any, _: int) -> Any:
    extents = tuple(making)
    middle = len(extents) // 2
    yield from (Upload(extents[:middle]), Upload(extents[middle:]))


def _uploads() -> list[Any]:
    """The uploads that are not ended. One whose end meets a fault is left to the bucket's rule for them."""
    if faults.of_all:
        return []
    return clients.s3().list_multipart_uploads(Bucket=os.environ["BUCKET"]).get("Uploads", [])


def test_a_worker_whose_lease_ended_changes_nothing_any_more(store, runs, objects) -> None:
    fill()
    record = begin(store)
    slow = Leases(store).claim(now_ms(), 60)
    assert slow
    assert Leases(store).claim(now_ms(), 60) is None, "the lease is good"
    expire(store)
    assert not runs.resume(TIME)
    assert not Leases(store).finish(slow, record.failed("too late", now_ms()), None)
    restored(objects, only(store))

    begin(store, "second", 2000)
    theirs = Leases(store).claim(now_ms(), 60)
    assert theirs
    assert theirs.claim.fence == slow.claim.fence
    assert not Leases(store).finish(slow, record.failed("of another record", now_ms()), None)
    Leases(store).release(slow, now_ms(), progress=True)
    assert Leases(store).claim(now_ms(), 60) is None, "the second one's lease is as it was"


def test_two_live_workers_end_with_one_archive(store, runs, objects, monkeypatch) -> None:
    """The lease of the first ends while it works; the second makes equal bytes."""
    monkeypatch.setattr("logkeep.aws.multipart.plan", in_two_parts)
    fill()
    begin(store)
    other = backup_runs(PROJECT, CLUSTER)
    build, outcome = other._work, []

    def slow(*arguments: Any) -> Any:
        expire(store)
        outcome.append(runs.resume(TIME))
        return build(*arguments)

    monkeypatch.setattr(other, "_work", slow)
    append(LOGS[0], b"behind the cut of neither\n")
    assert not other.resume(TIME)
    assert outcome == [False]
    assert restored(objects, only(store)) == stored()
    assert _uploads() == []


def test_two_workers_agree_on_the_cut_that_was_written_first(store, runs, objects, monkeypatch) -> None:
    fill()
    begin(store)
    first = backup_runs(PROJECT, CLUSTER)
    heads = log_store(PROJECT).heads

    def late(owner: str) -> Any:
        taken = list(heads(owner))
        append(LOGS[0], b"meanwhile\n")
        expire(store)
        runs.resume(TIME)
        return iter(taken)

    monkeypatch.setattr(first._logs, "heads", late)
    first.resume(TIME)
    assert restored(objects, only(store)) == stored()


@pytest.mark.no_faults("puts its own")
def test_a_cut_that_meets_another_write_is_made_anew(store, runs, objects) -> None:
    """S3 answers 409 where neither of two writes may have come to pass: there need not be a cut."""
    fill()
    begin(store)
    with answering(clients.s3(), "PutObject", "ConditionalRequestConflict", times=2):
        assert not runs.resume(TIME)
    assert restored(objects, only(store)) == stored()


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """A clock that only a finished part moves."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    clients.s3().meta.events.register("after-call.s3.UploadPart", lambda **_: setattr(clock, "now", clock.now + 100))
    return clock


def test_a_backup_that_takes_several_invocations_keeps_what_was_finished(store, runs, objects, clock, monkeypatch):
    monkeypatch.setattr("logkeep.aws.multipart.part_size_for", lambda _: PART_MIN)
    monkeypatch.setattr("logkeep.backups.runs._STEP", 4 << 20)
    chance = random.Random(5)
    for log_id in LOGS:
        append(log_id, chance.randbytes(3 << 20).hex().encode())
    begin(store)
    calls = 1
    while runs.resume(50):
        calls += 1
        clock.now += 1
    assert calls >= 2
    assert restored(objects, only(store)) == stored()


def test_verification_goes_on_where_it_was(store, runs, objects, clock, monkeypatch) -> None:
    fill(3)
    begin(store)
    monkeypatch.setattr("logkeep.backups.runs._STEP", 1000)
    monkeypatch.setattr("logkeep.aws.multipart.plan", in_two_parts)  # of such, the emulator tells no checksum
    crc32, steps = BackupRuns._crc32, []

    def slow(self: BackupRuns, key: str, start: int, size: int, before: int = 0) -> int:
        steps.append(start)
        clock.now += 100
        return crc32(self, key, start, size, before)

    monkeypatch.setattr(BackupRuns, "_crc32", slow)
    while True:
        with suppress(Busy):
            if not runs.resume(50):
                break
    assert steps == list(range(0, len(objects.read(only(store).key)), 1000))
    assert only(store).read_back is None
    restored(objects, only(store))


def test_a_worker_without_time_for_anything_says_so_and_leaves_the_backup_to_the_next(store, runs, objects) -> None:
    fill()
    begin(store)
    with pytest.raises(Busy):
        runs.resume(0)
    assert only(store).status is Status.RUNNING
    assert not runs.resume(TIME)
    restored(objects, only(store))


# What cannot be saved


def _large() -> str:
    """A log in an object of its own."""
    append(LOGS[0], b"".join(b"%d unlike all others\n" % (n * n * 7919) for n in range(20_000)))
    return LOGS[0]


@pytest.mark.parametrize("parts", [False, True], ids=["put at once", "in parts"])
def test_a_corrupted_object_is_named_and_its_archive_removed(parts, store, runs, objects, monkeypatch) -> None:
    if parts:
        monkeypatch.setattr("logkeep.aws.multipart.plan", in_two_parts)
    fill()
    name = _large()
    (key,) = [each for each in objects.keys("logs/") if name in each and len(objects.read(each)) > 20_000]
    data = bytearray(objects.read(key))
    data[len(data) // 2] ^= 1
    objects.s3.put_object(Bucket=objects.bucket, Key=key, Body=bytes(data))
    begin(store)
    assert not runs.resume(TIME)
    record = only(store)
    assert record.status is Status.FAIL
    assert name in (record.failed_msg or "")
    assert record.key is None
    assert objects.keys("backups/") == []
    assert _uploads() == []


def test_a_missing_object_is_named_and_nothing_half_written_stays(store, runs, objects, monkeypatch) -> None:
    monkeypatch.setattr("logkeep.aws.multipart.plan", in_two_parts)
    fill()
    name = _large()
    (key,) = [each for each in objects.keys("logs/") if name in each and len(objects.read(each)) > 20_000]
    kept = objects.read(key)
    objects.s3.delete_object(Bucket=objects.bucket, Key=key)
    begin(store)
    assert not runs.resume(TIME)
    assert only(store).failed_msg == f"the object {key} is missing"
    assert objects.keys("backups/") == []
    assert _uploads() == []

    objects.s3.put_object(Bucket=objects.bucket, Key=key, Body=kept)
    begin(store, "second", 2000)
    assert not runs.resume(TIME)
    second, _ = store.records()
    assert second.base is None, "what failed is nothing to go on from"
    assert restored(objects, second) == stored()
