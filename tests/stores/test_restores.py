"""Restores against the emulator: byte for byte, killed anywhere, by two at once, and never over other bytes."""

import io
import os
import random
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from logkeep.aws import clients
from logkeep.aws import restores as module
from logkeep.aws.backup_runs import backup_runs
from logkeep.aws.backups import BackupStore, backup_store
from logkeep.aws.logs import LogStore, log_store
from logkeep.aws.restores import Restores, restores
from logkeep.backups import Status
from logkeep.clock import now_ms
from logkeep.errors import Busy, Conflict, RecordNotFound, TooLarge
from logkeep.jobs import STALLED_AFTER
from logkeep.log import Certificate, Head, Totals
from logkeep.logid import LogId
from logkeep.restores import RestoreReport, RestoreRequest
from tests.calls import CLUSTER, PROJECT
from tests.faults import Killed, at_once, counted, killed_at

pytestmark = pytest.mark.usefixtures("aws")
OWNER = f"cluster/{CLUSTER}"
LOG = LogId.parse(f"{OWNER}/node-1/instance")
NEVER = float("inf")
HERE = RestoreRequest()
ASIDE = RestoreRequest(prefix="copy-")


@pytest.fixture
def logs(aws) -> LogStore:
    return log_store(PROJECT)


@pytest.fixture
def store(aws) -> BackupStore:
    store = backup_store(PROJECT, CLUSTER)
    store.enable()
    return store


@pytest.fixture
def restoring(store: BackupStore) -> Restores:
    return restores(PROJECT, CLUSTER)


def log_id(name: str) -> LogId:
    return LogId.parse(f"{OWNER}/{name}")


def append(logs: LogStore, of: LogId, text: bytes) -> None:
    logs.append(of, lambda: iter((text,)), None)


def back_up(store: BackupStore, id: str) -> None:
    number = len(list(store.records()))
    record = store.cluster(log_store(PROJECT)).new_record(id, 1000 + number, "Manual")
    assert store.start(record, now_ms())
    assert not backup_runs(PROJECT, CLUSTER).go_on(900)
    assert store.record(id).status is Status.SUCCESS, store.record(id).failed_msg


def held(logs: LogStore, owner: str = OWNER) -> dict[str, tuple[bytes, Certificate]]:
    """The logs of an owner, by what follows its name."""
    return {
        head.log_id.rest: (b"".join(logs.texts(head)), Certificate.of(head).model_copy(update={"log_id": ""}))
        for head in logs.heads(owner)
    }


def lose(*names: str) -> None:
    """The table loses logs of the cluster: all, or these."""
    dynamodb, table = clients.dynamodb(), os.environ["LOGS_TABLE"]
    for page in dynamodb.get_paginator("scan").paginate(TableName=table):
        for item in page["Items"]:
            key = {name: item[name] for name in ("pk", "sk")}
            place = f"{key['pk']['S']}/{key['sk']['S']}".replace("/head/", "/")
            if OWNER in place and (not names or any(f"{OWNER}/{name}" in place for name in names)):
                dynamodb.delete_item(TableName=table, Key=key)


def restore(restoring: Restores, id: str, asked: RestoreRequest = HERE) -> RestoreReport:
    """Begin a restore and go on until it has ended."""
    report, is_new = restoring.begin(id, asked, now_ms())
    assert is_new
    while restoring.go_on(id, report.run, NEVER):
        pass
    return noted(id)


def noted(id: str) -> RestoreReport:
    return RestoreReport.model_validate(backup_store(PROJECT, CLUSTER).record(id).restore)


def filled(logs: LogStore, store: BackupStore) -> dict[str, tuple[bytes, Certificate]]:
    """A full backup and an incremental one: logs that grew, that were sealed, an empty one, a truncated one."""
    for node in (1, 2):
        append(logs, log_id(f"node-{node}/instance"), b"2026-11-22 05:00:00 INFO first\n" * 300)
    append(logs, log_id("node-1/empty"), b"")
    append(logs, log_id("node-1/sealed"), b"WARN whole\n")
    logs.seal(log_id("node-1/sealed"), Totals(lines=1))
    back_up(store, "full")
    append(logs, LOG, b"2026-11-22 06:00:00 ERROR second\n" * 500)
    append(logs, log_id("node-3/truncated"), b"INFO half\n")
    logs.seal(log_id("node-3/truncated"), Totals(bytes=1000))
    back_up(store, "more")
    return held(logs)


def test_nine_backups_restore_byte_for_byte_with_their_seals(logs, store, restoring) -> None:
    chance = random.Random(9)
    states = {}
    for number in range(9):
        for name in ("node-1/instance", "node-1/searchSlow", f"node-{number}/new"):
            append(logs, log_id(name), chance.randbytes(chance.randint(0, 9000)).hex().encode() + b"\n")
        append(logs, log_id(f"node-{number}/empty"), b"")
        append(logs, log_id(f"node-{number}/sealed"), b"INFO done\n" * number)
        logs.seal(log_id(f"node-{number}/sealed"), Totals(lines=number))
        back_up(store, f"r{number}")
        states[number] = held(logs)
    for number in (0, 5, 6, 7, 8):  # the eighth is full again
        report = restore(restoring, f"r{number}", RestoreRequest(prefix=f"copy{number}-"))
        assert (report.state, report.counts) == ("done", {"new": len(states[number])})
        assert held(logs, f"cluster/copy{number}-{CLUSTER}") == states[number]
    lose()
    assert held(logs) == {}
    report = restore(restoring, "r6")
    assert report.bytes == sum(len(text) for text, _ in states[6].values())
    assert held(logs) == states[6]


def test_a_truncated_log_comes_back_truncated_and_can_be_completed(logs, store, restoring) -> None:
    before = filled(logs, store)
    lose()
    restore(restoring, "more")
    assert held(logs) == before
    truncated = log_id("node-3/truncated")
    assert Certificate.of(logs.head(truncated)).missing == {"bytes": 990}
    append(logs, truncated, b"x" * 990)
    assert logs.seal(truncated, Totals()).state == "sealed"


def test_what_is_there_is_held_and_nothing_is_written(logs, store, restoring) -> None:
    filled(logs, store)
    append(logs, LOG, b"behind the backup\n")
    before = held(logs)
    assert restore(restoring, "more").counts == {"held": 5}
    report = restore(restoring, "full")
    assert (report.state, report.counts, report.bytes) == ("done", {"held": 4}, 0)
    assert held(logs) == before


@pytest.mark.parametrize("dry", [True, False], ids=["dry", "real"])
def test_what_a_log_holds_is_never_overwritten(dry, logs, store, restoring) -> None:
    before = filled(logs, store)
    lose("node-1/instance", "node-1/sealed", "node-2/instance", "node-3/truncated")
    append(logs, LOG, b"shorter, other bytes\n")
    append(logs, log_id("node-1/sealed"), b"other byte\n")  # as long
    append(logs, log_id("node-2/instance"), before["node-2/instance"][0][:-1] + b"!and longer\n")
    append(logs, log_id("node-3/truncated"), b"INFO")
    logs.seal(log_id("node-3/truncated"), Totals())  # sealed earlier
    kept = held(logs)
    if dry:
        report = restoring.planned("more", HERE, now_ms(), NEVER)
        assert (report.state, report.bytes) == ("planned", 0)
    else:
        report = restore(restoring, "more")
        assert (report.state, report.bytes) == ("done", 0)
    assert report.counts == {"held": 1, "differs": 4}
    assert report.differs == [f"{OWNER}/{name}" for name in kept if name != "node-1/empty"]
    assert held(logs) == kept


@pytest.mark.parametrize("end", [0, 1, 31, 9300, 9301, 20_000])
def test_a_log_that_is_a_beginning_of_the_backup_grows(end, logs, store, restoring) -> None:
    before = filled(logs, store)
    lose("node-1/instance")
    text = before["node-1/instance"][0]
    append(logs, LOG, text[:end])
    plan = restoring.planned("more", HERE, now_ms(), NEVER)
    assert (plan.counts, plan.bytes, plan.unchecked) == ({"grow": 1, "held": 4}, len(text) - end, 0)
    report = restore(restoring, "more")
    assert (report.counts, report.bytes) == (plan.counts, plan.bytes)
    assert held(logs) == before


def test_a_dry_run_writes_nothing(logs, store, restoring) -> None:
    before = filled(logs, store)
    lose("node-1/instance")
    with counted() as requests:
        report = restoring.planned("more", HERE, now_ms(), NEVER)
    assert report.counts == {"new": 1, "held": 4}
    assert report.bytes == len(before["node-1/instance"][0])
    assert not [name for name in requests if name.startswith(("Put", "Update", "Delete", "Transact", "Create"))]
    assert store.record("more").restore is None


@pytest.mark.parametrize("name", ["_DRY_ROWS_MAX", "_DRY_TEXT_MAX"])
def test_a_dry_run_says_where_it_would_take_too_long_to_compare(name, logs, store, restoring, monkeypatch) -> None:
    append(logs, LOG, b"first\n" * 100)
    append(logs, LOG, b"second\n" * 100)
    back_up(store, "full")
    if name == "_DRY_ROWS_MAX":
        append(logs, LOG, b"behind the backup\n")
    else:
        lose()
        append(logs, LOG, b"first\n" * 99)
    assert restoring.planned("full", HERE, now_ms(), NEVER).unchecked == 0
    monkeypatch.setattr(module, name, 1)
    assert restoring.planned("full", HERE, now_ms(), NEVER).unchecked == 1


def test_a_chain_that_takes_longer_than_a_request_may_is_not_planned(logs, store, restoring) -> None:
    filled(logs, store)
    with pytest.raises(TooLarge, match="restore them under a prefix"):
        restoring.planned("more", HERE, now_ms(), time.monotonic())


def test_a_restore_into_a_cluster_of_more_logs_than_a_request_can_read_is_not_planned(
    logs, store, restoring, monkeypatch
) -> None:
    filled(logs, store)
    now, heads = [0.0], LogStore.heads

    def slow(self: LogStore, owner: str) -> Iterator[Head]:
        for each in heads(self, owner):
            now[0] += 10
            yield each

    monkeypatch.setattr(LogStore, "heads", slow)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert restoring.planned("more", HERE, now_ms(), 60).logs == 5
    now[0] = 0
    with pytest.raises(TooLarge):
        restoring.planned("more", HERE, now_ms(), 30)


def test_a_log_that_has_grown_is_not_sealed_as_the_backup_was(logs, store, restoring) -> None:
    """A truncated one that was written anew, further than it was backed up."""
    filled(logs, store)
    lose("node-3/truncated")
    append(logs, log_id("node-3/truncated"), b"INFO half\nand more\n")
    before = held(logs)
    assert restore(restoring, "more").state == "done"
    assert held(logs) == before


def test_backups_after_a_restore_hold_every_byte(logs, store, restoring) -> None:
    """What was restored is packed anew, so that what follows it cannot continue the backups of before."""
    filled(logs, store)
    lose("node-1/instance", "node-2/instance")
    append(logs, log_id("node-2/instance"), b"2026-11-22 05:00:00 INFO first\n")
    restore(restoring, "more")
    append(logs, LOG, b"new after the restore\n")
    back_up(store, "after")
    assert store.record("after").base == "more"
    append(logs, LOG, b"and more\n")
    back_up(store, "later")
    before = held(logs)
    restore(restoring, "later", ASIDE)
    assert held(logs, f"cluster/copy-{CLUSTER}") == before


# Killed, continued, raced


def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a log of some KB take several appends."""
    monkeypatch.setattr("logkeep.fragment.RAW_MAX", 2000)
    monkeypatch.setattr(module, "_AT_ONCE", 4000)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_worker_killed_at_any_call_is_followed_by_one_that_goes_on(after, logs, store, restoring, monkeypatch):
    """A restore after the other, each killed a call later than the one before, until one gets through."""
    append(logs, LOG, b"INFO first\n" * 300)
    append(logs, log_id("node-1/empty"), b"")
    back_up(store, "full")
    append(logs, LOG, b"ERROR second\n" * 300)
    append(logs, log_id("node-2/sealed"), b"WARN whole\n")
    logs.seal(log_id("node-2/sealed"), Totals(lines=1))
    back_up(store, "more")
    before = held(logs)
    small_steps(monkeypatch)
    monkeypatch.setattr(module, "_KEPT_MAX", 60)  # of the packed bytes, some pieces are read twice
    monkeypatch.setattr("logkeep.aws.progress._NOTED_EVERY", -1.0)
    for number in range(200):
        asked = RestoreRequest(prefix=f"copy{number}-")
        report, _ = restoring.begin("more", asked, now_ms())
        try:
            with killed_at(number, after=after):
                restoring.go_on("more", report.run, NEVER)
            break
        except Killed:
            pass
        assert not restoring.go_on("more", report.run, NEVER)
        assert (noted("more").state, noted("more").done) == ("done", 3)
        assert "differs" not in noted("more").counts
        assert held(logs, f"cluster/copy{number}-{CLUSTER}") == before
    assert 30 < number < 199


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_request_killed_at_any_call_can_be_repeated(after, logs, store, restoring) -> None:
    filled(logs, store)
    for number in range(50):
        try:
            with killed_at(number, after=after):
                report, is_new = restoring.begin("more", HERE, now_ms())
            break
        except Killed:
            report, is_new = restoring.begin("more", HERE, now_ms())
            assert is_new, "it is ordered, also where the one that was killed had noted it"
        assert not restoring.go_on("more", report.run, NEVER)
    assert number > 5


def test_two_workers_at_once_end_with_one_log_each(logs, store, restoring, monkeypatch) -> None:
    small_steps(monkeypatch)
    monkeypatch.setattr("logkeep.aws.progress._NOTED_EVERY", -1.0)
    before = filled(logs, store)
    lose()
    report, _ = restoring.begin("more", HERE, now_ms())
    assert at_once(*[lambda: restoring.go_on("more", report.run, NEVER)] * 3) == [False] * 3
    assert (noted("more").state, noted("more").done) == ("done", 5)
    assert Counter(noted("more").counts).total() == 5
    assert held(logs) == before


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """A clock that only an append moves."""
    now, append = [0.0], LogStore.append

    def slow(*arguments: Any, **named: Any) -> Any:
        now[0] += 10
        return append(*arguments, **named)

    monkeypatch.setattr(LogStore, "append", slow)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_long_restore_takes_several_invocations_also_within_a_log(logs, store, restoring, clock, monkeypatch):
    small_steps(monkeypatch)
    before = filled(logs, store)
    lose()
    report, _ = restoring.begin("more", HERE, now_ms())
    calls, done = 1, []
    while restoring.go_on("more", report.run, clock[0] + 15):
        calls += 1
        done.append(noted("more").done)
    assert calls >= 4
    assert done == sorted(done)
    assert len(set(done)) < len(done), "within a log too"
    assert noted("more").counts == {"new": 5}
    assert noted("more").bytes == sum(len(text) for text, _ in before.values())
    assert held(logs) == before


def test_a_large_piece_is_checked_in_steps_that_are_kept(logs, store, restoring, monkeypatch) -> None:
    monkeypatch.setattr(module, "_KEPT_MAX", 100)
    monkeypatch.setattr(module, "_STEP", 1000)
    append(logs, LOG, random.Random(1).randbytes(5000).hex().encode())
    back_up(store, "full")
    lose()
    now, crc32, read = [0.0], restoring._bucket.crc32, []

    def slow(source: Any, before: int = 0) -> int:
        now[0] += 10
        read.append(source.size)
        return crc32(source, before)

    monkeypatch.setattr(restoring._bucket, "crc32", slow)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    report, _ = restoring.begin("full", HERE, now_ms())
    while restoring.go_on("full", report.run, now[0] + 15):
        pass
    assert len(read) >= 5
    assert set(read[:-1]) == {1000}
    assert logs.head(LOG).end == 10_000


def test_a_worker_without_time_for_anything_says_so_and_leaves_the_restore_to_the_next(logs, store, restoring):
    before = filled(logs, store)
    lose()
    report, _ = restoring.begin("more", HERE, now_ms())
    with pytest.raises(Busy):
        restoring.go_on("more", report.run, float("-inf"))
    assert not restoring.go_on("more", report.run, NEVER)
    assert held(logs) == before


def test_one_restore_runs_and_one_that_stands_still_is_followed_by_another(logs, store, restoring) -> None:
    filled(logs, store)
    now = now_ms()
    first, _ = restoring.begin("more", HERE, now)
    assert restoring.begin("more", HERE, now) == (first, True), "nobody took it yet"
    with pytest.raises(Conflict, match="is running"):
        restoring.begin("more", ASIDE, now)
    later = now + STALLED_AFTER + 1
    shown = first.seen_at(later)
    assert (shown.state, shown.finished_at) == ("failed", now)
    assert "ask for it again" in (shown.failed_msg or "")
    second, is_new = restoring.begin("more", ASIDE, later)
    assert is_new
    assert not restoring.go_on("more", first.run, NEVER), "another one has taken its place"
    assert noted("more") == second


# Archives that are damaged


def place_of(data: bytes, name: str) -> int:
    """Where a file of an archive begins."""
    (found,) = [each for each in zipfile.ZipFile(io.BytesIO(data)).infolist() if each.filename.startswith(name)]
    return found.header_offset


def damaged(objects: Any, key: str, at: int) -> None:
    data = bytearray(objects.read(key))
    data[at] ^= 1
    objects.s3.put_object(Bucket=objects.bucket, Key=key, Body=bytes(data))


def test_of_a_damaged_archive_all_but_the_damaged_log_is_restored(logs, store, restoring, objects) -> None:
    before = filled(logs, store)
    lose()
    key = store.record("full").key or ""
    damaged(objects, key, place_of(objects.read(key), "node-2/instance/") + 100)
    report = restore(restoring, "more")
    assert (report.state, report.counts) == ("failed", {"new": 4, "failed": 1})
    assert report.failed_msg == "1 of 5 logs could not be restored"
    (failure,) = report.failures
    assert f"{OWNER}/node-2/instance" in failure
    assert "backup full" in failure
    after = held(logs)
    assert after == {name: each for name, each in before.items() if name != "node-2/instance"}


def test_an_archive_that_was_cut_off_fails_the_logs_behind(logs, store, restoring, objects) -> None:
    filled(logs, store)
    lose()
    key = store.record("full").key or ""
    data = objects.read(key)
    objects.s3.put_object(Bucket=objects.bucket, Key=key, Body=data[: place_of(data, "node-2/instance/")])
    report = restore(restoring, "more")
    assert report.counts == {"new": 4, "failed": 1}


@pytest.mark.parametrize("what", ["archive", "cut"])
def test_a_missing_link_of_the_chain_is_named(what, logs, store, restoring, objects) -> None:
    filled(logs, store)
    report, _ = restoring.begin("more", HERE, now_ms())
    key = store.record("full").key if what == "archive" else f"cuts/{PROJECT}/{CLUSTER}/full.json"
    objects.s3.delete_object(Bucket=objects.bucket, Key=key)
    assert not restoring.go_on("more", report.run, NEVER)
    assert noted("more").state == "failed"
    assert f"the {what} of the backup full is missing" in (noted("more").failed_msg or "")
    with pytest.raises(Conflict, match=f"the {what} of the backup full is missing"):
        restoring.planned("more", HERE, now_ms(), NEVER)


def test_only_a_backup_that_succeeded_is_restored(logs, store, restoring) -> None:
    append(logs, LOG, b"x\n")
    record = store.cluster(logs).new_record("running", 1000, "Manual")
    store.put(record)
    store.put(record.failed("no", 1).__class__(**{**_fields(record), "id": "bare", "status": Status.SUCCESS}))
    with pytest.raises(RecordNotFound):
        restoring.begin("none", HERE, now_ms())
    for id, text in (("running", "RUNNING"), ("bare", "no archive")):
        with pytest.raises(Conflict, match=text):
            restoring.begin(id, HERE, now_ms())


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def test_a_log_that_is_restored_with_other_bytes_is_told_of(logs, store, restoring, monkeypatch) -> None:
    """Which cannot be, as long as checksums hold."""
    append(logs, LOG, b"x\n")
    back_up(store, "full")
    lose()
    head = LogStore.head
    monkeypatch.setattr(LogStore, "head", lambda *each: _other(head(*each)))
    report = restore(restoring, "full")
    assert (report.state, report.counts) == ("failed", {"failed": 1})


def _other(head: Head) -> Head:
    return head.__class__(**{name: getattr(head, name) for name in head.__dataclass_fields__} | {"crc32": 1})
