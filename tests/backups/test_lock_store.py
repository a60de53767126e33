"""Backups under S3 Object Lock: locked before they count as made, and their chain with them."""

import os
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from local.template import Template
from logkeep.aws.objects import Bucket
from logkeep.backups.lease_store import Leases
from logkeep.backups.lock_store import retain, set_legal_hold
from logkeep.backups.records import Status
from logkeep.backups.retention_store import Retention, retention
from logkeep.backups.runs import backup_runs
from logkeep.backups.settings import SettingsChange
from logkeep.backups.store import BackupStore, backup_store
from logkeep.clock import DAY, now_ms
from tests.backups.test_retention_store import TIME, back_up, shown, sweep
from tests.backups.test_runs import begin, expire, fill, restored, stored
from tests.calls import CLUSTER, PROJECT, forget_aws
from tests.conftest import Objects
from tests.faults import SIDES, STEP, Killed, at_once, counted, killed_at
from tests.rewinding import Rewinding


@pytest.fixture(params=["GOVERNANCE"])
def locked(request: pytest.FixtureRequest, emulator: Rewinding, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    emulator.reset()
    template = Template.load(overrides=f"BackupLockDays=10 BackupLockMode={request.param}")
    for name, value in emulator.create(template).items():
        monkeypatch.setenv(name, value)
    forget_aws()
    yield
    forget_aws()


@pytest.fixture
def store(locked: None) -> BackupStore:
    store = backup_store(PROJECT, CLUSTER)
    store.open(SettingsChange(keep_days=1, full_every=3), now_ms())
    return store


@pytest.fixture
def keeper(store: BackupStore) -> Retention:
    return retention(PROJECT, CLUSTER)


@pytest.fixture
def objects(locked: None) -> Objects:
    return Objects()


def keys_of(objects: Objects, id: str) -> list[str]:
    keys = [*objects.keys("backups/"), *objects.keys("cuts/")]
    found = [each for each in keys if each.endswith((f"/{id}.zip", f"/{id}.json"))]
    assert len(found) == 2
    return found


def locks(objects: Objects, id: str) -> set[tuple[str, int]]:
    """The mode and the end of each lock of a record's objects."""
    found: set[tuple[str, int]] = set()
    for key in keys_of(objects, id):
        lock = objects.s3.get_object_retention(Bucket=objects.bucket, Key=key)["Retention"]
        found.add((lock["Mode"], int(lock["RetainUntilDate"].timestamp() * 1000)))
    return found


def holds(objects: Objects, *ids: str) -> dict[str, set[str]]:
    def status(key: str) -> str:
        try:
            return objects.s3.get_object_legal_hold(Bucket=objects.bucket, Key=key)["LegalHold"]["Status"]
        except ClientError as error:
            return "OFF" if error.response["Error"]["Code"] == "NoSuchObjectLockConfiguration" else str(error)

    return {id: {status(key) for key in keys_of(objects, id)} for id in ids}


def near(found: set[tuple[str, int]], mode: str, until: int) -> bool:
    """S3 keeps seconds."""
    return len(found) == 1 and all((each, abs(end - until) <= 1000) == (mode, True) for each, end in found)


@pytest.mark.parametrize("locked", ["GOVERNANCE", "COMPLIANCE"], indirect=True)
def test_a_backup_and_what_it_continues_are_locked_as_long_as_the_newest(store, runs, objects, monkeypatch):
    mode = os.environ["BACKUP_LOCK_MODE"]
    first, second, third, full = back_up(store, runs, monkeypatch, 5, 4, 3, 2)
    assert [each.base for each in (first, second, third, full)] == [None, "r5", "r4", None]
    for each, last in ((first, third), (second, third), (third, third), (full, full)):
        assert last.finished_at
        assert near(locks(objects, each.id), mode, last.finished_at + 10 * DAY)
        assert each.locked_until == (each.finished_at or 0) + 10 * DAY
        for key in keys_of(objects, each.id):
            versions = objects.s3.list_object_versions(Bucket=objects.bucket, Prefix=key)["Versions"]
            (version,) = (each for each in versions if each["IsLatest"])  # a put that was repeated left an older one
            with pytest.raises(ClientError, match="AccessDenied"):
                objects.s3.delete_object(Bucket=objects.bucket, Key=key, VersionId=version["VersionId"])


def test_a_lock_that_was_made_in_another_mode_is_made_longer_as_it_is(store, runs, objects, monkeypatch) -> None:
    back_up(store, runs, monkeypatch, 5)
    monkeypatch.setenv("BACKUP_LOCK_MODE", "COMPLIANCE")
    forget_aws()
    first, second = back_up(store, backup_runs(PROJECT, CLUSTER), monkeypatch, 4)
    assert second.finished_at
    assert near(locks(objects, first.id), "GOVERNANCE", second.finished_at + 10 * DAY)
    assert near(locks(objects, second.id), "COMPLIANCE", second.finished_at + 10 * DAY)


def test_a_chain_that_is_locked_for_more_days_stays_so_and_is_continued(store, runs, objects, monkeypatch) -> None:
    back_up(store, runs, monkeypatch, 5, 4)
    monkeypatch.setenv("BACKUP_LOCK_DAYS", "2")
    forget_aws()
    first, second, third = back_up(store, backup_runs(PROJECT, CLUSTER), monkeypatch, 3)
    assert (third.status, third.base) == (Status.SUCCESS, second.id)
    assert second.locked_until
    for each in (first, second):
        assert near(locks(objects, each.id), "GOVERNANCE", second.locked_until)
    assert near(locks(objects, third.id), "GOVERNANCE", (third.finished_at or 0) + 2 * DAY)


@pytest.mark.soak
@SIDES
def test_a_worker_killed_anywhere_leaves_no_success_without_its_lock(after, store, runs, objects) -> None:
    for number in range(0, 100, STEP):
        fill()
        begin(store, f"k{number:03d}", 1000 + number)
        try:
            with killed_at(number, after=after):
                runs.resume(TIME)
            break
        except Killed:
            (newest, *_) = store.records()
            if newest.status is Status.SUCCESS:
                assert locks(objects, newest.id)
        if store.items.get("active"):
            expire(store)
            assert not runs.resume(TIME)
    oldest_first = list(store.records())[::-1]
    assert len(oldest_first) > 12 // STEP
    for each in oldest_first:
        assert each.status is Status.SUCCESS
        assert min(end for _, end in locks(objects, each.id)) >= (each.locked_until or 0)
    assert restored(objects, *oldest_first) == stored()


def test_a_backup_asks_twice_for_each_link_of_its_chain(store, runs, monkeypatch) -> None:
    back_up(store, runs, monkeypatch, 5, 4)
    with counted() as counts:
        back_up(store, runs, monkeypatch, 3)
    assert counts["PutObjectRetention"] == 2 * 3


def test_what_is_locked_does_not_expire_and_its_bytes_outlive_its_record(store, runs, keeper, objects, monkeypatch):
    back_up(store, runs, monkeypatch, 16, 15, 9, 8, 7)
    sweep(keeper)
    assert shown(store) == {"r16", "r15", "r9", "r8", "r7"}, "the newest of the chain is locked"
    later = now_ms() + 2 * DAY
    keeper.sweep(later, TIME)
    assert shown(store) == {"r8", "r7"}
    versions = objects.s3.list_object_versions(Bucket=objects.bucket, Prefix="backups/")
    gone = {each["Key"]: each["VersionId"] for each in versions["Versions"] if "/r9." in each["Key"]}
    ((key, version),) = gone.items()
    assert {each["Key"] for each in versions["DeleteMarkers"]} >= {key}
    with pytest.raises(ClientError, match="AccessDenied"):
        objects.s3.delete_object(Bucket=objects.bucket, Key=key, VersionId=version)


def test_a_hold_is_a_legal_hold_of_the_chain_until_the_last_that_needs_it_is_let_go(
    store, runs, keeper, objects, monkeypatch
) -> None:
    back_up(store, runs, monkeypatch, 5, 4, 3)
    assert holds(objects, "r5", "r4", "r3") == {"r5": {"OFF"}, "r4": {"OFF"}, "r3": {"OFF"}}
    keeper.hold("r3")
    keeper.hold("r4")
    assert holds(objects, "r5", "r4", "r3") == {"r5": {"ON"}, "r4": {"ON"}, "r3": {"ON"}}
    keeper.let_go("r3")
    assert holds(objects, "r5", "r4", "r3") == {"r5": {"ON"}, "r4": {"ON"}, "r3": {"OFF"}}
    keeper.let_go("r4")
    assert holds(objects, "r5", "r4", "r3") == {"r5": {"OFF"}, "r4": {"OFF"}, "r3": {"OFF"}}


def test_a_chain_that_is_held_by_one_and_let_go_by_another_at_once_is_locked(
    store, runs, keeper, objects, monkeypatch
) -> None:
    back_up(store, runs, monkeypatch, 5, 4, 3)
    for _ in range(5):
        keeper.hold("r3")
        at_once(lambda: keeper.let_go("r3"), lambda: keeper.hold("r4"))
        assert holds(objects, "r5", "r4") == {"r5": {"ON"}, "r4": {"ON"}}
        keeper.let_go("r4")


def test_a_failure_has_nothing_to_be_locked_and_is_held_as_a_record(store, keeper) -> None:
    record = begin(store)
    lease = Leases(store).claim(now_ms(), 60)
    assert lease
    Leases(store).finish(lease, record.failed("for the test", now_ms()), None)
    keeper.hold("first")
    assert store.record("first").hold
    keeper.let_go("first")


def test_what_was_deleted_is_left_out_of_locks_and_holds(objects, monkeypatch) -> None:
    """What the emulator does not tell apart: S3 answers so where the current version is a delete marker."""
    bucket, asked = Bucket(objects.s3, objects.bucket), list[str]()
    for code in ("NoSuchKey", "MethodNotAllowed"):

        def answer(code: str = code, **_: object) -> None:
            asked.append(code)
            raise ClientError({"Error": {"Code": code}}, "PutObject")

        monkeypatch.setattr(objects.s3, "put_object_retention", answer)
        monkeypatch.setattr(objects.s3, "put_object_legal_hold", answer)
        retain(bucket, ["backups/deleted.zip"], now_ms() + DAY, "GOVERNANCE")
        set_legal_hold(bucket, ["backups/deleted.zip"], on=True)
    assert asked == ["NoSuchKey"] * 2 + ["MethodNotAllowed"] * 2
