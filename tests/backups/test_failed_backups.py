"""Backups that failed: what they leave is swept, and what they could not continue is taken whole by the next one."""

import os
from typing import Any

import pytest

from logkeep.aws import clients
from logkeep.backups.lease_store import Leases
from logkeep.backups.records import BackupRecord, Status
from logkeep.backups.retention_store import LEFT_FOR, retention
from logkeep.backups.runs import BackupRuns, backup_runs
from logkeep.backups.store import BackupStore
from logkeep.backups.work_store import TRIES_MAX
from logkeep.clock import now_ms
from logkeep.errors import Busy, Corrupt
from logkeep.logid import LogId
from logkeep.logs.store import log_store
from logkeep.restores.plan import RestoreRequest
from logkeep.restores.store import restores
from tests.backups.test_runs import LOGS, TIME, append, begin, expire, fill, in_two_parts, only, restored, stored
from tests.calls import CLUSTER, PROJECT
from tests.faults import SIDES, Killed, killed, killed_at

pytestmark = pytest.mark.usefixtures("aws")


CLAIM = 1  # the transaction with which a worker takes the lease


def uploads() -> list[Any]:
    return clients.s3().list_multipart_uploads(Bucket=os.environ["BUCKET"]).get("Uploads", [])


def give_up(store: BackupStore) -> None:
    """Let workers take a backup and die until it has failed."""
    for _ in range(TRIES_MAX):
        expire(store)
        assert Leases(store).claim(now_ms(), 900)
    expire(store)
    assert not backup_runs(PROJECT, CLUSTER).resume(TIME)


def sweep(store: BackupStore, later: int = LEFT_FOR + 1000) -> None:
    """Sweep so many ms behind the last record's end."""
    finished = max(each.finished_at or 0 for each in store.records())
    assert not retention(PROJECT, CLUSTER).sweep(finished + later, TIME)


# What they leave


def test_the_archive_of_a_backup_that_was_given_up_goes_when_no_worker_can_live_any_more(store, runs, objects) -> None:
    fill()
    begin(store)
    with pytest.raises(Killed), killed(clients.dynamodb(), "TransactWriteItems", after=False, passing=CLAIM):
        runs.resume(TIME)
    give_up(store)
    assert only(store).status is Status.FAIL
    left = objects.keys("backups/")
    sweep(store, LEFT_FOR - 1000)
    assert objects.keys("backups/") == left != []
    sweep(store)
    assert objects.keys("backups/") == []
    assert only(store).leftovers is None


def test_uploads_of_a_backup_that_was_given_up_go_as_well(store, runs, monkeypatch) -> None:
    monkeypatch.setattr("logkeep.aws.multipart.plan", in_two_parts)
    fill()
    begin(store)
    with pytest.raises(Killed), killed(clients.s3(), "UploadPart", after=True):
        runs.resume(TIME)
    give_up(store)
    assert uploads()
    sweep(store)
    assert uploads() == []


def test_an_upload_that_an_overtaken_worker_began_behind_a_success_goes_and_the_archive_stays(
    store, runs, objects
) -> None:
    fill()
    begin(store)
    assert not runs.resume(TIME)
    clients.s3().create_multipart_upload(Bucket=objects.bucket, Key=str(only(store).key))
    sweep(store)
    assert uploads() == []
    assert restored(objects, only(store)) == stored()


def test_a_worker_killed_behind_a_failure_leaves_its_archive_to_the_sweep(store, runs, objects, monkeypatch) -> None:
    fill()
    begin(store)
    monkeypatch.setattr(BackupRuns, "_verify", corrupt)
    with pytest.raises(Killed), killed(clients.dynamodb(), "TransactWriteItems", after=True, passing=CLAIM):
        runs.resume(TIME)
    assert objects.keys("backups/")
    sweep(store)
    assert objects.keys("backups/") == []


@pytest.mark.soak
@SIDES
def test_a_sweep_of_leftovers_killed_at_any_call_is_finished_by_the_next(after, store, runs, objects) -> None:
    fill()
    begin(store)
    with pytest.raises(Killed), killed(clients.dynamodb(), "TransactWriteItems", after=False, passing=CLAIM):
        runs.resume(TIME)
    clients.s3().create_multipart_upload(Bucket=objects.bucket, Key=objects.keys("backups/")[0])
    give_up(store)
    for number in range(20):
        try:
            with killed_at(number, after=after):
                sweep(store)
            break
        except Killed:
            assert only(store).leftovers or not (objects.keys("backups/") or uploads())
    assert number > 4
    assert objects.keys("backups/") == uploads() == []


def test_what_could_not_be_deleted_stays_marked(store, runs, objects) -> None:
    fill()
    begin(store)
    with pytest.raises(Killed), killed(clients.dynamodb(), "TransactWriteItems", after=False, passing=CLAIM):
        runs.resume(TIME)
    give_up(store)

    def refuse(**_: Any) -> Any:
        raise clients.s3().exceptions.ClientError({"Error": {"Code": "SlowDown"}}, "DeleteObject")

    clients.s3().meta.events.register_first("before-call.s3.DeleteObject", refuse)
    try:
        with pytest.raises(clients.s3().exceptions.ClientError):
            sweep(store)
    finally:
        clients.s3().meta.events.unregister("before-call.s3.DeleteObject", refuse)
    assert only(store).leftovers
    sweep(store)
    assert objects.keys("backups/") == []


def test_a_run_that_met_another_has_left_nothing(store) -> None:
    record = store.cluster(log_store(PROJECT)).new_record("late", 1000, "Auto")
    store.put(record.failed("overlapped", now_ms()))
    assert only(store).leftovers is None


# What comes after them


def corrupt(*_: Any) -> Any:
    raise Corrupt("for the test")


def lose(log_id: str) -> None:
    """Take a log out of the table, as somebody who restores an old state of it may."""
    table = os.environ["LOGS_TABLE"]
    name = LogId.parse(log_id)
    head = {"pk": {"S": f"{PROJECT}/{name.owner}"}, "sk": {"S": f"head/{name.rest}"}}
    birth = log_store(PROJECT).head(name).birth
    clients.dynamodb().delete_item(TableName=table, Key=head)
    rows = clients.dynamodb().query(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"{PROJECT}/{name}@{birth}"}},
    )
    for row in rows["Items"]:
        clients.dynamodb().delete_item(TableName=table, Key={"pk": row["pk"], "sk": row["sk"]})


def back_up(store: BackupStore, runs: BackupRuns, id: str, created_at: int) -> BackupRecord:
    begin(store, id, created_at)
    assert not runs.resume(TIME)
    return store.record(id)


def comes_back(record: BackupRecord) -> dict[str, bytes]:
    """The logs as a restore of a record writes them, by the ids of their sources."""
    found, asked = restores(PROJECT, CLUSTER), RestoreRequest(prefix=f"of-{record.id}-")
    report, _ = found.begin(record.id, asked, now_ms())
    while True:
        try:
            if not found.resume(record.id, report.run, float("inf")):
                break
        except Busy:
            continue
    logs = log_store(PROJECT)
    heads = logs.heads(f"cluster/{asked.prefix}{CLUSTER}")
    return {str(head.log_id).replace(asked.prefix, "", 1): b"".join(logs.texts(head)) for head in heads}


FIRST = [b"2026-11-22 05:00:00 INFO of the first life %d\n" % number for number in range(40)]
SECOND = b"2026-11-22 06:00:00 INFO of the second life\n"


@pytest.mark.parametrize(
    "again",
    [
        pytest.param([SECOND], id="shorter"),
        pytest.param([b"".join(FIRST).replace(b"first", b"other")], id="as long"),
        pytest.param([b"2" * 10_000], id="longer and packed smaller"),
    ],
)
def test_a_log_that_is_seen_to_be_another_is_taken_whole_at_once(again, store, runs, objects) -> None:
    for line in FIRST:
        append(LOGS[0], line)
    append(LOGS[1], b"stays\n")
    back_up(store, runs, "r1", 1000)
    lose(LOGS[0])
    for text in again:
        append(LOGS[0], text)
    append(LOGS[1], b"and grows\n")
    second = back_up(store, runs, "r2", 2000)
    assert (second.status, second.base) == (Status.SUCCESS, "r1")
    assert comes_back(second) == stored()


@pytest.mark.parametrize(
    "again",
    [
        pytest.param([SECOND * 100, *(SECOND + os.urandom(40) for _ in range(60))], id="its fragments meet elsewhere"),
        pytest.param([*(line.replace(b"first", b"other") for line in FIRST), SECOND], id="its fragments meet there"),
    ],
)
def test_a_log_that_turns_out_to_be_another_fails_one_backup_and_the_next_one_is_full(
    again, store, runs, objects, monkeypatch
) -> None:
    """As one may that an older table brought back: it has the birth of the log that was backed up, and other text."""
    monkeypatch.setattr("logkeep.logs.head.secrets.token_hex", lambda size: "0" * 2 * size)
    for line in FIRST:
        append(LOGS[0], line)
    append(LOGS[1], b"stays\n")
    back_up(store, runs, "r1", 1000)
    lose(LOGS[0])
    for text in again:
        append(LOGS[0], text)
    failed = back_up(store, runs, "r2", 2000)
    assert failed.status is Status.FAIL
    assert LOGS[0] in (failed.failed_msg or "")
    third = back_up(store, runs, "r3", 3000)
    assert (third.status, third.base) == (Status.SUCCESS, None)
    assert restored(objects, third) == stored()
    assert comes_back(third) == stored()
    append(LOGS[0], b"and on\n")
    fourth = back_up(store, runs, "r4", 4000)
    assert (fourth.status, fourth.base) == (Status.SUCCESS, "r3"), "it is full once"
    assert restored(objects, third, fourth) == stored()


def test_a_full_backup_that_fails_behind_a_corrupt_one_is_followed_by_a_full_one(store, runs, monkeypatch) -> None:
    fill()
    back_up(store, runs, "r1", 1000)
    for id, created_at in (("r2", 2000), ("r3", 3000)):
        with monkeypatch.context() as patch:
            patch.setattr(BackupRuns, "_verify", corrupt)
            back_up(store, runs, id, created_at)
    last = store.last_success()
    assert last
    assert last.id == "r1", "retention keeps it, and people are told of it"
    assert back_up(store, runs, "r4", 4000).base is None


def test_what_was_given_up_for_lack_of_a_worker_makes_no_full_backup(store, runs) -> None:
    fill()
    back_up(store, runs, "r1", 1000)
    begin(store, "r2", 2000)
    give_up(store)
    assert store.record("r2").status is Status.FAIL
    assert back_up(store, runs, "r3", 3000).base == "r1"


def test_a_worker_killed_before_it_notes_the_failure_is_followed_by_one_that_does(store, runs, monkeypatch) -> None:
    fill()
    back_up(store, runs, "r1", 1000)
    begin(store, "r2", 2000)
    with monkeypatch.context() as patch:
        patch.setattr(BackupRuns, "_verify", corrupt)
        with pytest.raises(Killed), killed(clients.dynamodb(), "TransactWriteItems", after=False, passing=CLAIM):
            runs.resume(TIME)
        expire(store)
        runs.resume(TIME)
    assert back_up(store, runs, "r3", 3000).base is None
