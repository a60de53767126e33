"""Deleting logs against the emulator: what goes, what stays, who is told; kills and races."""

import random
from collections.abc import Callable
from typing import Any, cast

import pytest

from logkeep.apis.logs.worker import tend_logs
from logkeep.aws import clients
from logkeep.aws.dynamo import decode
from logkeep.backups.lease_store import Leases
from logkeep.backups.runs import backup_runs
from logkeep.backups.store import backup_store
from logkeep.clock import DAY, HOUR, now_ms
from logkeep.errors import Conflict, LogDeleted, LogNotFound, OffsetBeyondEnd
from logkeep.limits import INLINE_MAX
from logkeep.logid import LogId
from logkeep.logs.deletion import Deletion
from logkeep.logs.deletion_store import deleting
from logkeep.logs.pack_store import packer
from logkeep.logs.registration import Registration
from logkeep.logs.store import LogStore, _claim_format, _note_project, log_store
from tests.calls import CLUSTER, PROJECT
from tests.faults import STEP, Killed, at_once, killed_at

pytestmark = pytest.mark.usefixtures("aws")
LOG = LogId.parse("check/s")
NEIGHBOURS = [LogId.parse(name) for name in ("check/s/f.log", "check/s2", "app/check/s", "cluster/s/a/b")]
NOISE = random.Random(1).randbytes(2 * INLINE_MAX).hex().encode() + b"\n"
TEXTS = (NOISE, b"2026-01-01 10:00:00 INFO a line\n", NOISE)
EXECUTION = Registration("task", "e")


def few_shards(patch: pytest.MonkeyPatch, days: int = 0) -> None:
    """Let the schedule look at less: a test calls it often, and passes over months."""
    for module in ("activity", "activity_store", "tending_store"):
        patch.setattr(f"logkeep.logs.{module}.SHARDS", 1)
    patch.setattr("logkeep.logs.tending_store._LOOKED_BACK", days)


@pytest.fixture
def store(aws, monkeypatch) -> LogStore:
    few_shards(monkeypatch)
    _note_project.cache_clear()  # the table is new in each test
    _claim_format.cache_clear()
    return log_store(PROJECT)


def write(store: LogStore, log_id: LogId, *texts: bytes, **options) -> None:
    for text in texts:
        store.append(log_id, (text,).__iter__, None, **options)


def everything() -> dict[str, object]:
    """All items of the table and all objects of the bucket, but for what the sweep notes."""
    dynamodb, store = clients.dynamodb(), log_store(PROJECT)
    found: dict[str, object] = {}
    for page in dynamodb.get_paginator("scan").paginate(TableName=store.table):
        for item in map(decode, page["Items"]):
            if item["sk"] != "silent":
                found[f"{item['pk']} {item['sk']}"] = item
    return found | store.bucket.sizes("")


def about(found: dict[str, object], birth: str) -> list[str]:
    """What bears a birth, apart from deletions and the calendar."""
    bearing = [key for key, item in found.items() if birth in f"{key} {item}"]
    return [key for key in bearing if "/deleted" not in key and " deleted" not in key and "/due/" not in key]


def test_a_deleted_log_is_gone_at_once_and_its_certificate_stays(store) -> None:
    write(store, LOG, *TEXTS)
    head = store.head(LOG)
    deletion = deleting(PROJECT).delete(LOG, "a-credential")
    with pytest.raises(LogNotFound):
        store.head(LOG)
    assert list(store.heads("check/s")) == []
    assert (deletion.end, deletion.crc32, deletion.by, deletion.why) == (
        head.end,
        head.crc32,
        "a-credential",
        "request",
    )
    assert [*store.deletions.of_log(LOG)] == [deletion]
    assert [each for _, each in store.deletions.between(deletion.at, deletion.at + 1, "")] == [deletion]
    assert deleting(PROJECT).delete(LOG, "another") == deletion, "a repeated request finds what was done"
    with pytest.raises(LogNotFound):
        deleting(PROJECT).delete(LogId.parse("check/none"), "a-credential")


def test_its_text_goes_an_hour_later_and_nothing_of_a_neighbour(store) -> None:
    for log_id in NEIGHBOURS:
        write(store, log_id, *TEXTS)
    before = everything()
    write(store, LOG, *TEXTS)
    birth = store.head(LOG).birth
    assert about(everything(), birth)
    deletion = deleting(PROJECT).delete(LOG, "a")
    tend_logs(deletion.at + HOUR - 1000)
    assert [key for key in everything() if key.startswith("logs/") and birth in key]
    tend_logs(deletion.at + HOUR + 1000)
    after = everything()
    assert about(after, birth) == []
    assert {key: after.get(key) for key in before} == before
    (noted,) = store.deletions.of_log(LOG)
    assert noted.objects == 2
    assert noted.removed_at
    tend_logs(deletion.at + 89 * DAY)
    assert store.deletions.newest(LOG)
    tend_logs(deletion.at + 91 * DAY)
    assert everything() == before


def test_an_append_that_continues_a_deleted_log_is_told_and_one_from_the_start_begins_a_new_one(store) -> None:
    write(store, LOG, *TEXTS)
    birth, end = store.head(LOG).birth, store.head(LOG).end
    deletion = deleting(PROJECT).delete(LOG, "a")
    with pytest.raises(LogDeleted) as told:
        store.append(LOG, (b"more\n",).__iter__, end)
    assert told.value.certificate["deleted_at"] == deletion.at
    store.append(LOG, (b"anew\n",).__iter__, 0)
    head = store.head(LOG)
    assert head.birth != birth
    tend_logs(deletion.at + 2 * HOUR)
    assert about(everything(), birth) == []
    assert store.head(LOG) == head
    assert b"".join(store.texts(head)) == b"anew\n"
    with pytest.raises(OffsetBeyondEnd):
        store.append(LOG, (b"more\n",).__iter__, end)


def test_a_log_that_is_held_cannot_be_deleted_until_the_hold_is_lifted(store) -> None:
    write(store, LOG, *TEXTS)
    assert store.hold(LOG, on=True).hold
    version = store.head(LOG).version
    assert store.hold(LOG, on=True).version == version, "nothing was written"
    with pytest.raises(Conflict, match="is held"):
        deleting(PROJECT).delete(LOG, "a")
    write(store, LOG, b"more\n")
    assert store.head(LOG).hold
    store.hold(LOG, on=False)
    assert deleting(PROJECT).delete(LOG, "a")
    with pytest.raises(LogNotFound):
        store.hold(LOG, on=True)


def test_the_text_stays_while_a_backup_runs_whose_cut_may_name_it(store, objects) -> None:
    log_id = LogId.parse(f"cluster/{CLUSTER}/node-1/instance")
    write(store, log_id, *TEXTS)
    backups = backup_store(PROJECT, CLUSTER)
    backups.enable()
    Leases(backups).start(backups.cluster(store).new_record("r", now_ms(), "Manual"), now_ms())
    runs = backup_runs(PROJECT, CLUSTER)
    lease = runs._leases.claim(now_ms(), 900)
    assert lease
    runs._cut(lease.record, backups.cluster(store), 1e12)
    runs._leases.release(lease, now_ms(), progress=True)
    deletion = deleting(PROJECT).delete(log_id, "a")
    tend_logs(deletion.at + 2 * HOUR)
    assert len(objects.keys("logs/")) == 2
    assert backup_runs(PROJECT, CLUSTER).resume(900) is False
    assert backups.record("r").status == "SUCCESS"
    tend_logs(deletion.at + 3 * HOUR)
    assert objects.keys("logs/") == []
    tend_logs(deletion.at + 400 * DAY)
    assert store.deletions.newest(log_id), "it stays known as long as a backup from before it"


def records(store: LogStore) -> list[str]:
    return [*store.registrations.records(Registration("job", "7"))]


def test_the_build_before_becomes_the_latest_again(store) -> None:
    logs = [LogId.parse(f"build/{name}/stage1") for name in ("b", "c", "a")]
    for log_id in logs:
        write(store, log_id, b"x\n", registration=Registration("job", "7"))
    write(store, LogId.parse("build/a/stage2"), b"x\n")
    assert records(store) == ["a", "c", "b"]
    for name in ("build/a/stage1", "build/c/stage1"):
        deleting(PROJECT).delete(LogId.parse(name), "a")
    tend_logs(now_ms() + 2 * HOUR)
    assert records(store) == ["a", "b"], "a stage is left of a"
    deleting(PROJECT).delete(LogId.parse("build/a/stage2"), "a")
    tend_logs(now_ms() + 4 * HOUR)
    assert store.registrations.record(Registration("job", "7")) == "b"
    write(store, LogId.parse("build/d/stage1"), b"x\n", registration=Registration("job", "7"))
    assert records(store) == ["d", "b"]


def test_the_execution_before_becomes_the_latest_again(store) -> None:
    for sub_job, execution in (("s", "e"), ("t", "e"), ("u", "f")):
        write(store, LogId.parse(f"check/{sub_job}"), b"x\n", registration=Registration("task", execution))
    deleting(PROJECT).delete(LogId.parse("check/u"), "a")
    tend_logs(now_ms() + 2 * HOUR)
    assert [*store.registrations.executions("task")] == ["e"]
    deleting(PROJECT).delete(LogId.parse("check/s"), "a")
    tend_logs(now_ms() + 4 * HOUR)
    assert store.registrations.sub_jobs("task") == ["t"]
    deleting(PROJECT).delete(LogId.parse("check/t"), "a")
    tend_logs(now_ms() + 6 * HOUR)
    assert [*store.registrations.executions("task")] == []
    assert not [key for key in everything() if "execution" in key or "registered" in key]


def test_a_deletion_and_its_removal_killed_at_any_call_are_completed_by_the_next(store) -> None:
    for log_id in NEIGHBOURS:
        write(store, log_id, *TEXTS)
    before, passing, kills = everything(), 0, 0
    log_id = LogId.parse("check/k")
    write(store, log_id, *TEXTS, registration=EXECUTION)
    birth = store.head(log_id).birth
    while True:
        try:
            with killed_at(passing, after=True):
                deletion = deleting(PROJECT).delete(log_id, "a")
                tend_logs(deletion.at + 2 * HOUR)
        except Killed:
            kills += 1
            passing += STEP
        else:
            break
    assert kills > 5
    assert about(everything(), birth) == []
    tend_logs(deletion.at + 91 * DAY)
    assert everything() == before


@pytest.mark.parametrize("other", ["append", "hold", "delete", "pack"])
def test_of_two_at_once_each_finds_what_the_other_has_done(store, other) -> None:
    write(store, LOG, *TEXTS)
    head = store.head(LOG)

    def remove() -> Deletion | None:
        try:
            return deleting(PROJECT).delete(LOG, "a")
        except Conflict:
            return None

    def disturb() -> Any:
        try:
            match other:
                case "append":
                    return store.append(LOG, (b"more\n",).__iter__, head.end)
                case "hold":
                    return store.hold(LOG, on=True)
                case "delete":
                    return deleting(PROJECT).delete(LOG, "b")
                case _:
                    return packer(PROJECT).pack(head, 1e12)
        except (LogDeleted, LogNotFound) as error:
            return error

    deletion, result = at_once(*cast(list[Callable[[], Any]], [remove, disturb]))
    if other == "delete":
        assert deletion == result
    if deletion is None:
        assert store.head(LOG).hold
        return
    assert deletion.end in {head.end, head.end + 5}
    tend_logs(now_ms() + 2 * HOUR)
    assert about(everything(), head.birth) == []
