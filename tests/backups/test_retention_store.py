"""Backups that expire, against the emulator: swept by several, killed anywhere, held in the last moment."""

import io
import json
import zipfile
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from logkeep.apis.css.records import RecordQuery, page_of
from logkeep.aws import clients
from logkeep.backups.jobs import STALLED_AFTER
from logkeep.backups.records import BackupRecord, Status
from logkeep.backups.retention_store import Retention, retention
from logkeep.backups.runs import BackupRuns
from logkeep.backups.settings import SettingsChange
from logkeep.backups.store import BackupStore, backup_store, record_of
from logkeep.clock import DAY, now_ms
from logkeep.errors import Busy, Conflict, RecordNotFound
from logkeep.logs.store import log_store
from logkeep.restores.plan import RestoreRequest
from logkeep.restores.store import restores
from logkeep.restores.verification_store import verifications
from tests.backups.test_runs import begin, fill, restored, stored
from tests.calls import CLUSTER, PROJECT
from tests.faults import SIDES, Killed, at_once, killed, killed_at

pytestmark = [pytest.mark.dates, pytest.mark.usefixtures("aws")]
TIME = 900.0
AGES = (40, 39, 38, 20, 19, 18, 5)  # days; of three each, the first is full


@pytest.fixture
def store(aws) -> BackupStore:
    store = backup_store(PROJECT, CLUSTER)
    store.open(SettingsChange(keep_days=30, full_every=3), now_ms())
    return store


@pytest.fixture
def keeper(store: BackupStore) -> Retention:
    return retention(PROJECT, CLUSTER)


def back_up(store: BackupStore, runs: BackupRuns, monkeypatch: pytest.MonkeyPatch, *ages: int) -> list[BackupRecord]:
    """Backups that ended so many days ago, named after that; the oldest first."""
    for age in ages:
        at = now_ms() - age * DAY
        with monkeypatch.context() as patch:
            patch.setattr("logkeep.backups.runs.now_ms", lambda at=at: at)
            fill()
            begin(store, f"r{age}", at)
            assert not runs.resume(TIME)
    return list(store.records())[::-1]


def failed(store: BackupStore, age: int) -> None:
    at = now_ms() - age * DAY
    record = store.cluster(log_store(PROJECT)).new_record(f"f{age}", at, "Manual")
    store.put(record.failed("for the test", at))


def sweep(keeper: Retention) -> bool:
    return keeper.sweep(now_ms(), TIME)


def shown(store: BackupStore) -> set[str]:
    page = page_of(store.listed(log_store(PROJECT)), RecordQuery(limit=1000), now_ms()).clusterLogRecord
    assert {each.id for each in page} == {each.id for each in store.records()}
    for each in page:
        assert store.record(each.id).id == each.id
    return {each.id for each in page}


def left(store: BackupStore, objects: Any) -> set[str]:
    """The ids of the records that are there, of which nothing else is."""
    ids = {each["id"] for each in store.items.newest("record/")}
    assert {each["sk"] for each in store.items.newest("id/")} == {f"id/{id}" for id in ids}
    successes = {each.id for each in store.records() if each.status is Status.SUCCESS}
    for prefix in ("backups/", "cuts/"):
        assert {key.rpartition("/")[2].partition(".")[0] for key in objects.keys(prefix)} == successes
    return ids


def test_a_chain_goes_when_its_last_one_is_old_enough(store, runs, keeper, objects, monkeypatch) -> None:
    chain = back_up(store, runs, monkeypatch, *AGES)
    failed(store, 37)
    failed(store, 3)
    assert not sweep(keeper)
    assert left(store, objects) == shown(store) == {"r20", "r19", "r18", "r5", "f3"}
    assert restored(objects, *chain[3:]) == stored()
    with pytest.raises(RecordNotFound):
        store.record("r40")


def test_a_base_stays_as_long_as_one_that_continues_it(store, runs, keeper, objects, monkeypatch) -> None:
    chain = back_up(store, runs, monkeypatch, 40, 35, 29)
    sweep(keeper)
    assert left(store, objects) == {"r40", "r35", "r29"}
    assert restored(objects, *chain) == stored()


def test_the_newest_success_stays_and_the_next_backup_continues_it(store, runs, keeper, objects, monkeypatch) -> None:
    chain = back_up(store, runs, monkeypatch, 900, 800)
    failed(store, 700)
    sweep(keeper)
    assert left(store, objects) == {"r900", "r800"}
    begin(store, "next", now_ms())
    sweep(keeper)
    runs.resume(TIME)
    sweep(keeper)
    (newest, *_) = store.records()
    assert newest.base == "r800"
    assert restored(objects, *chain, newest) == stored()


def test_a_cluster_that_tells_no_number_has_the_stack_s(store, runs, keeper, objects, monkeypatch) -> None:
    store.items.update("cluster", {"keep_days": None, "full_every": 1})
    back_up(store, runs, monkeypatch, 3652, 3649, 1)
    sweep(keeper)
    assert left(store, objects) == {"r3649", "r1"}


def test_a_held_record_and_what_it_continues_stay_until_it_is_let_go(store, runs, keeper, objects, monkeypatch) -> None:
    back_up(store, runs, monkeypatch, *AGES)
    for _ in range(2):
        keeper.hold("r39")
    sweep(keeper)
    assert left(store, objects) == {"r40", "r39", "r20", "r19", "r18", "r5"}
    for _ in range(2):
        keeper.let_go("r39")
    sweep(keeper)
    assert left(store, objects) == {"r20", "r19", "r18", "r5"}


def test_what_runs_or_is_unknown_cannot_be_held(store, keeper) -> None:
    begin(store)
    with pytest.raises(Conflict):
        keeper.hold("first")
    for change in (keeper.hold, keeper.let_go):
        with pytest.raises(RecordNotFound):
            change("unknown")


@pytest.mark.soak
@SIDES
def test_a_sweep_killed_at_any_call_is_finished_by_the_next(after, store, runs, keeper, objects, monkeypatch) -> None:
    back_up(store, runs, monkeypatch, *AGES)
    failed(store, 37)
    for number in range(100):
        try:
            with killed_at(0 if number == 0 else 2 + number % 7, after=after):
                sweep(keeper)
            break
        except Killed:
            ids = shown(store)
            for each in store.records():
                assert each.base is None or each.base in ids, "no base goes before what needs it"
                if each.status is Status.SUCCESS:
                    assert zipfile.ZipFile(io.BytesIO(objects.read(each.key))).testzip() is None
    assert number > 3
    assert left(store, objects) == {"r20", "r19", "r18", "r5"}


def test_an_expiring_record_is_shown_no_more_and_cannot_be_held(store, runs, keeper, monkeypatch) -> None:
    back_up(store, runs, monkeypatch, *AGES)
    with pytest.raises(Killed), killed(clients.s3(), "DeleteObject", after=False):
        sweep(keeper)
    (marked,) = [each for each in store.items.newest("record/") if each.get("expiring")]
    assert marked["id"] == "r38"
    assert "r38" not in shown(store)
    for call in (store.record, keeper.hold, keeper.let_go):
        with pytest.raises(RecordNotFound):
            call("r38")


def test_sweeps_at_once_delete_the_same(store, runs, keeper, objects, monkeypatch) -> None:
    back_up(store, runs, monkeypatch, *AGES)
    assert at_once(*[lambda: sweep(keeper)] * 3) == [False] * 3
    sweep(keeper)
    assert left(store, objects) == {"r20", "r19", "r18", "r5"}


@pytest.mark.parametrize("held", ["r38", "r39", "r40"])
def test_a_hold_behind_the_sweep_s_look_wins_with_all_that_it_continues(
    held, store, runs, keeper, objects, monkeypatch
) -> None:
    back_up(store, runs, monkeypatch, *AGES)
    mark = Retention._mark

    def late(self: Retention, record: BackupRecord) -> bool:
        with suppress(RecordNotFound):
            keeper.hold(held)
        return mark(self, record)

    monkeypatch.setattr(Retention, "_mark", late)
    sweep(keeper)
    kept = {"r38": {"r38", "r39", "r40"}, "r39": {"r39", "r40"}, "r40": {"r40"}}[held]
    assert left(store, objects) == {"r20", "r19", "r18", "r5"} | kept


def begin_to_read(what: str, id: str, now: int) -> None:
    if what == "restore":
        restores(PROJECT, CLUSTER).begin(id, RestoreRequest(prefix="again-"), now)
    else:
        verifications(PROJECT, CLUSTER).begin(id, now)


def note_a_worker(store: BackupStore, what: str, id: str) -> None:
    record = store.record(id)
    job = getattr(record, what)
    assert store.amend(record, {what: job | {"updated_at": job["started_at"] + 1}})


READS = pytest.mark.parametrize("what", ["restore", "verification"])


@READS
def test_a_chain_stays_while_it_is_read_and_not_when_that_has_stalled(
    what, store, runs, keeper, objects, monkeypatch
) -> None:
    back_up(store, runs, monkeypatch, *AGES)
    begin_to_read(what, "r39", now_ms())
    sweep(keeper)
    assert left(store, objects) == {"r40", "r39", "r20", "r19", "r18", "r5"}
    keeper.sweep(now_ms() + STALLED_AFTER + 1000, TIME)
    assert left(store, objects) == {"r40", "r39", "r20", "r19", "r18", "r5"}, "it waits for a worker"
    note_a_worker(store, what, "r39")
    keeper.sweep(now_ms() + STALLED_AFTER + 1000, TIME)
    assert left(store, objects) == {"r20", "r19", "r18", "r5"}


@READS
def test_a_chain_that_is_read_behind_the_sweep_s_look_stays(what, store, runs, keeper, objects, monkeypatch) -> None:
    back_up(store, runs, monkeypatch, *AGES)
    mark = Retention._mark

    def late(self: Retention, record: BackupRecord) -> bool:
        if record.id == "r38":
            begin_to_read(what, "r38", now_ms())
        return mark(self, record)

    monkeypatch.setattr(Retention, "_mark", late)
    sweep(keeper)
    assert left(store, objects) == {"r40", "r39", "r38", "r20", "r19", "r18", "r5"}


@READS
def test_a_reader_that_comes_behind_the_mark_is_told_that_there_is_no_such_record(
    what, store, runs, keeper, objects, monkeypatch
) -> None:
    """It has seen the record before; the sweep goes on where it notes itself."""
    back_up(store, runs, monkeypatch, *AGES)
    begin_job = BackupStore.begin_job

    def late(self: BackupStore, *arguments: Any, **named: Any) -> bool:
        assert keeper._mark(self.record("r38"))
        monkeypatch.setattr(BackupStore, "begin_job", begin_job)
        return begin_job(self, *arguments, **named)

    monkeypatch.setattr(BackupStore, "begin_job", late)
    with pytest.raises(RecordNotFound):
        begin_to_read(what, "r38", now_ms())
    sweep(keeper)
    assert left(store, objects) == {"r20", "r19", "r18", "r5"}


def test_of_a_hold_and_a_sweep_at_once_one_wins(store, runs, keeper, objects, monkeypatch) -> None:
    store.items.update("cluster", {"full_every": 1})
    for age in range(40, 46):
        back_up(store, runs, monkeypatch, age, 1 + 50 - age)

        def hold(id: str = f"r{age}") -> bool:
            try:
                keeper.hold(id)
            except RecordNotFound:
                return False
            return True

        held, _ = at_once(hold, lambda: sweep(keeper))
        assert held == (f"r{age}" in left(store, objects))


def test_a_sweep_without_time_goes_on_in_the_next(store, runs, keeper, objects, monkeypatch) -> None:
    store.items.update("cluster", {"full_every": 1})
    back_up(store, runs, monkeypatch, 43, 42, 41, 1)
    with pytest.raises(Busy):
        keeper.sweep(now_ms(), 0)
    delete, sweeps, clock = Retention._delete, 1, [0.0]

    def slow(self: Retention, record: BackupRecord) -> None:
        delete(self, record)
        clock[0] += TIME

    monkeypatch.setattr("logkeep.backups.retention_store.time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(Retention, "_delete", slow)
    while sweep(keeper):
        sweeps += 1
    assert sweeps == 3
    assert left(store, objects) == {"r1"}


def test_a_due_sweep_comes_with_the_first_record_and_stays_when_it_is(store, runs, monkeypatch) -> None:
    assert store.due_at("sweep") is None
    failed(store, 3)
    first = store.due_at("sweep")
    assert first
    assert first > now_ms()
    back_up(store, runs, monkeypatch, 2)
    assert store.due_at("sweep") == first


def test_a_record_survives_its_storage(store) -> None:
    record = store.cluster(log_store(PROJECT)).new_record("r", 1000, "Manual")
    store.put(record)
    (item,) = store.items.newest("record/")
    assert record_of(item) == record
    assert json.dumps(item)
