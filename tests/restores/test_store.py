"""Restores against the emulator: byte for byte, killed anywhere, by two at once, and never over other bytes."""

import io
import os
import random
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from logkeep.aws import clients
from logkeep.backups.lease_store import Leases
from logkeep.backups.records import Status
from logkeep.backups.runs import backup_runs
from logkeep.backups.store import BackupStore, backup_store
from logkeep.clock import now_ms
from logkeep.errors import Conflict, RecordNotFound, TooLarge
from logkeep.logid import LogId
from logkeep.logs.head import Certificate, Head, Totals
from logkeep.logs.store import LogStore, log_store
from logkeep.restores import store as module
from logkeep.restores.plan import RestoreReport, RestoreRequest
from logkeep.restores.store import Restores
from tests.calls import CLUSTER, PROJECT
from tests.examples import LONG
from tests.faults import counted

pytestmark = pytest.mark.usefixtures("aws")
OWNER = f"cluster/{CLUSTER}"
LOG = LogId.parse(f"{OWNER}/node-1/instance")
NEVER = float("inf")
HERE = RestoreRequest()
ASIDE = RestoreRequest(prefix="copy-")


def log_id(name: str) -> LogId:
    return LogId.parse(f"{OWNER}/{name}")


def append(logs: LogStore, of: LogId, text: bytes) -> None:
    logs.append(of, lambda: iter((text,)), None)


def back_up(store: BackupStore, id: str) -> None:
    number = len(list(store.records()))
    record = store.cluster(log_store(PROJECT)).new_record(id, 1000 + number, "Manual")
    assert Leases(store).start(record, now_ms())
    assert not backup_runs(PROJECT, CLUSTER).resume(900)
    assert store.record(id).status is Status.SUCCESS, store.record(id).failed_msg


def held(logs: LogStore, owner: str = OWNER) -> dict[str, tuple[bytes, Certificate]]:
    """The logs of an owner, by what follows its name."""
    unnamed = {"log_id": "", "labels": {}}
    return {
        head.log_id.rest: (b"".join(logs.texts(head)), Certificate.of(head).model_copy(update=unnamed))
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
    while restoring.resume(id, report.run, NEVER):
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


def test_a_restored_log_keeps_its_time_zone_its_labels_and_the_year_of_its_arrival(logs, store, restoring) -> None:
    text, arrival = b"Jan 31 08:00:00 host app: ERROR x\n", 1612137600000  # 1 February 2021
    logs.append(LOG, lambda: iter((text,)), 0, time_zone="Asia/Shanghai", received_at=arrival, labels={"a": "1"})
    logs.append(log_id("node-1/empty"), lambda: iter(()), 0, time_zone="America/Lima", labels={"a": "2"})
    back_up(store, "full")
    before = held(logs)
    assert before["node-1/instance"][1].first_time == 1612051200000  # 2021-01-31T08:00:00+08:00
    lose()
    restore(restoring, "full")
    assert held(logs) == before
    assert logs.head(LOG).received_at == arrival


@pytest.mark.soak
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
    for number in range(9) if LONG else (6, 7):  # the eighth is full again
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
    assert not restoring.resume("more", report.run, NEVER)
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
