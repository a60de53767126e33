"""Automatic backups: one record for every time that was due, whatever is called twice or dies in between."""

import importlib
from collections import Counter
from typing import Any

import pytest

from logkeep.aws import clients
from logkeep.aws.logger import logger
from logkeep.backups import worker as schedules
from logkeep.backups.lease_store import Leases
from logkeep.backups.orders import ExpireOrder, JobOrder, RunOrder
from logkeep.backups.records import BackupRecord, Cluster, Status
from logkeep.backups.schedule import MISSED_AFTER, run_id
from logkeep.backups.settings import SettingsChange
from logkeep.backups.store import BackupStore, backup_store
from logkeep.backups.work_store import BOUNDS, ORDERED_FOR, Kind
from logkeep.backups.worker import start_run, start_what_is_due, work_on_backup
from logkeep.clock import DAY, now_ms
from logkeep.logs.store import log_store
from tests.calls import CLUSTER, PROJECT, Context, event
from tests.faults import Killed, at_once, killed

pytestmark = [pytest.mark.dates, pytest.mark.usefixtures("aws")]
PERIOD = "00:00 GMT+08:00"
NOON = 1_795_305_600_000 // DAY * DAY + DAY // 2
TONIGHT = NOON + DAY // 6  # midnight at GMT+08:00
DAILY = SettingsChange(agency="a", base_path="css/log", auto_enable=True, period=PERIOD)


@pytest.fixture
def store(aws) -> BackupStore:
    store = backup_store(PROJECT, CLUSTER)
    store.open(DAILY, NOON)
    return store


@pytest.fixture(autouse=True)
def _worked_on_in_time(monkeypatch) -> None:
    monkeypatch.setattr("logkeep.backups.worker.now_ms", lambda: TONIGHT + 5000)


@pytest.fixture
def sent(monkeypatch) -> list[Any]:
    """What was ordered."""
    orders: list[Any] = []
    monkeypatch.setattr(schedules, "order_backup", orders.append)
    monkeypatch.setattr(schedules, "order_job", orders.append)
    return orders


def order(cluster: str = CLUSTER, project: str = PROJECT) -> RunOrder:
    return RunOrder(project=project, cluster=cluster)


def run(due: int = TONIGHT) -> None:
    start_run(PROJECT, CLUSTER, due, due)
    work_on_backup(order().model_dump(), 900, "")


def ids(store: BackupStore) -> set[str]:
    return {each.id for each in store.records()}


def only(store: BackupStore) -> BackupRecord:
    (record,) = store.records()
    return record


def test_nothing_happens_before_its_time(store, sent) -> None:
    start_what_is_due(TONIGHT - 1)
    assert sent == []


def test_a_run_is_started_once_a_day_in_the_minute_at_which_it_is_due(store, sent) -> None:
    for now in (TONIGHT, TONIGHT + 60_000):
        start_what_is_due(now)
    assert sent == [order()]
    assert store.due_run()[0] == TONIGHT + DAY
    assert ids(store) == {run_id(PROJECT, CLUSTER, TONIGHT)}
    run()
    start_what_is_due(TONIGHT + DAY)
    assert sent[1:] == [order()]
    assert ids(store) == {run_id(PROJECT, CLUSTER, TONIGHT), run_id(PROJECT, CLUSTER, TONIGHT + DAY)}


def test_of_runs_that_were_missed_the_last_is_caught_up(store, sent) -> None:
    start_what_is_due(TONIGHT + 3 * DAY + 5000)
    assert sent == [order()]
    assert ids(store) == {run_id(PROJECT, CLUSTER, TONIGHT + 3 * DAY)}
    assert store.due_run()[0] == TONIGHT + 4 * DAY


@pytest.mark.parametrize(("service", "operation"), [("functions", "Invoke"), ("dynamodb", "TransactWriteItems")])
@pytest.mark.parametrize("after", [False, True])
def test_a_schedule_that_dies_between_its_steps_makes_one_record(service, operation, after, store) -> None:
    with pytest.raises(Killed), killed(getattr(clients, service)(), operation, after=after):
        start_what_is_due(TONIGHT)
    start_what_is_due(TONIGHT + 60_000)
    assert store.due_run()[0] == TONIGHT + DAY
    run()
    run()
    assert only(store).id == run_id(PROJECT, CLUSTER, TONIGHT)


def test_schedules_at_once_order_one_run(store, sent) -> None:
    at_once(*[lambda: start_what_is_due(TONIGHT)] * 3)
    assert sent == [order()]
    assert ids(store) == {run_id(PROJECT, CLUSTER, TONIGHT)}


def test_a_due_run_is_recorded_under_the_time_that_it_was_due_at(store) -> None:
    run()
    record = only(store)
    assert (record.job_type, record.status, record.created_at) == ("Auto", Status.SUCCESS, TONIGHT)


def test_a_run_that_is_ordered_several_times_runs_once(store) -> None:
    at_once(*[run] * 3)
    run()
    assert only(store).status is Status.SUCCESS


def test_a_run_that_meets_another_one_has_failed_as_overlapped_once(store) -> None:
    now = now_ms()
    Leases(store).start(store.cluster(log_store(PROJECT)).new_record("by-hand", now, "Manual"), now)
    assert Leases(store).claim(now, 900)
    run()
    run()
    other, overlapped = sorted(store.records(), key=lambda each: each.job_type, reverse=True)
    assert (overlapped.job_type, overlapped.status, overlapped.created_at) == ("Auto", Status.FAIL, TONIGHT)
    assert (overlapped.failed_msg or "").startswith("overlapped")
    assert (other.id, other.status) == ("by-hand", Status.RUNNING)


def test_what_was_switched_off_since_does_not_run(store) -> None:
    store.change(SettingsChange(auto_enable=False), NOON)
    run()
    store.close(NOON)
    run()
    assert not start_run(PROJECT, "unknown", TONIGHT, TONIGHT)
    work_on_backup(order(cluster="unknown").model_dump(), 900, "")
    assert list(store.records()) == []


def test_a_changed_period_moves_the_next_run(store, sent) -> None:
    store.change(SettingsChange(period="12:30 GMT+00:00"), NOON)
    start_what_is_due(NOON + 1_800_000)
    assert sent == [order()]
    assert ids(store) == {run_id(PROJECT, CLUSTER, NOON + 1_800_000)}
    start_what_is_due(NOON + 1_860_000)
    assert len(sent) == 1


def test_settings_that_say_nothing_of_the_period_leave_a_due_run_due(store, sent) -> None:
    store.change(SettingsChange(base_path="elsewhere"), TONIGHT + 1000)
    store.open(DAILY, TONIGHT + 1000)
    start_what_is_due(TONIGHT + 2000)
    assert sent == [order()]


def begin_by_hand(cluster: str, now: int, project: str = PROJECT, *, ordered: bool = True) -> BackupStore:
    store = backup_store(project, cluster)
    store.enable()
    record = store.cluster(log_store(project)).new_record(f"{cluster}-by-hand", now, "Manual")
    Leases(store).start(record, now, ordered=ordered)
    return store


def test_a_backup_whose_order_was_lost_is_ordered_again_and_never_given_up(aws, sent) -> None:
    now = now_ms()
    store = begin_by_hand(CLUSTER, now)
    for number in range(10):
        start_what_is_due(now + number * ORDERED_FOR)
        start_what_is_due(now + number * ORDERED_FOR + 60_000)
    assert sent == [order()] * 9
    assert only(store).status is Status.RUNNING


# Turns


def open_daily(project: str, *clusters: str) -> None:
    for name in clusters:
        backup_store(project, name).open(DAILY, NOON)


def test_a_project_s_backlog_delays_only_its_own_backups(aws, sent) -> None:
    many = [f"a{number:02d}" for number in range(50)]
    open_daily("project-a", *many)
    open_daily("project-b", "b")
    start_what_is_due(TONIGHT)
    assert order("b", "project-b") in sent
    assert len(sent) == 1 + BOUNDS[Kind.BACKUPS].of_project
    taken = [each for each in sent if each.project == "project-a"]
    sent.clear()
    start_what_is_due(TONIGHT + 60_000)
    assert sent == [], "as many as may run at once were ordered"
    assert sum(bool(list(backup_store("project-a", name).records())) for name in many) == len(taken), "others wait"
    for each in taken:  # their end has the next ones begun, without waiting for the schedule
        work_on_backup(each.model_dump(), 900, "")
    assert {each.project for each in sent} == {"project-a"}
    assert len(sent) == len(taken)
    assert not {each.cluster for each in sent} & {each.cluster for each in taken}


def test_all_projects_together_are_bounded_and_take_turns(aws, sent) -> None:
    for number in range(6):
        open_daily(f"project-{number}", "one", "two", "three")
    start_what_is_due(TONIGHT)
    counts = Counter(each.project for each in sent)
    assert counts.total() == BOUNDS[Kind.BACKUPS].in_all
    assert counts.keys() == {f"project-{number}" for number in range(6)}
    assert max(counts.values()) == 2


def test_what_has_waited_for_days_is_begun_and_has_not_failed(aws, sent) -> None:
    """Other backups by hand, which last, hold all the places that a project has."""
    long = [begin_by_hand(f"long-{number}", TONIGHT) for number in range(BOUNDS[Kind.BACKUPS].of_project)]
    waiting = begin_by_hand("waiting", TONIGHT, ordered=False)
    open_daily(PROJECT, CLUSTER)
    for now in range(TONIGHT, TONIGHT + 2 * DAY, DAY // 2):
        for store in long:
            store.items.update("active", {"due_at": now + 900_000})  # of one worker after the other
        start_what_is_due(now)
        (record,) = waiting.listed(log_store(PROJECT))
        assert record.seen_at(now).status is Status.RUNNING
    assert sent == []
    assert not list(backup_store(PROJECT, CLUSTER).records())
    long[0].items.delete("active")  # it ended
    start_what_is_due(now)
    assert sent == [order("waiting")]


def test_a_worker_that_was_killed_is_followed_whoever_waits(aws, sent) -> None:
    store = begin_by_hand(CLUSTER, TONIGHT)
    assert Leases(store).claim(TONIGHT, 60)
    for number in range(BOUNDS[Kind.BACKUPS].of_project):
        begin_by_hand(f"other-{number}", TONIGHT + 50_000)
    start_what_is_due(TONIGHT + 59_000)
    assert sent == []
    start_what_is_due(TONIGHT + 61_000)
    assert sent == [order()]
    (record,) = store.listed(log_store(PROJECT))
    assert record.seen_at(TONIGHT + DAY).status is Status.RUNNING


def test_what_is_given_back_lets_those_go_first_that_have_waited(aws, sent, monkeypatch) -> None:
    monkeypatch.setattr("logkeep.backups.worker.now_ms", now_ms)
    now = now_ms()
    for number in range(BOUNDS[Kind.BACKUPS].of_project):
        begin_by_hand(f"c{number}", now)
    begin_by_hand("waiting", now - 1000, ordered=False)
    lease = Leases(backup_store(PROJECT, "c0")).claim(now, 900)
    assert lease
    Leases(backup_store(PROJECT, "c0")).release(lease, now, progress=True)
    monkeypatch.setattr("logkeep.backups.runs.BackupRuns.resume", lambda *_: True)
    work_on_backup(order("c0").model_dump(), 900, "")
    assert sent == [order("waiting")]


def test_a_sweep_takes_a_turn_as_well(aws, sent) -> None:
    for number in range(6):
        store = backup_store(PROJECT, f"c{number}")
        store.put(Cluster(cluster_id=f"c{number}").new_record("r", 1000, "Auto").failed("for the test", 2000))
        store.items.update("sweep", {"due_at": TONIGHT})
    start_what_is_due(TONIGHT)
    start_what_is_due(TONIGHT + 60_000)
    assert {each.cluster for each in sent} == {f"c{number}" for number in range(6)}
    assert all(isinstance(each, ExpireOrder) for each in sent)


def test_restores_and_verifications_that_nobody_goes_on_with_are_ordered_again(aws, sent) -> None:
    store = backup_store(PROJECT, CLUSTER)
    record = Cluster(cluster_id=CLUSTER).new_record("r", 1000, "Auto")
    store.put(record)
    now = now_ms()
    assert store.begin_job(record, "restore", {"run": "one"}, now, ordered=True)
    assert store.begin_job(record, "verification", {"run": "two"}, now, ordered=False)
    start_what_is_due(now)
    verifying = JobOrder(project=PROJECT, cluster=CLUSTER, kind="verification", record="r")
    restoring = JobOrder(project=PROJECT, cluster=CLUSTER, kind="restore", record="r")
    assert sent == [verifying]
    assert store.job("restore", "r").claim(now, 60)
    start_what_is_due(now + 61_000)
    assert sent == [verifying, restoring]


def test_a_cluster_without_a_success_is_told_of_once_a_day(store, sent, monkeypatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(logger, "warning", lambda text, **_: told.append(text))
    late = NOON + MISSED_AFTER
    for now in (late - 60_000, late, late + 60_000, late + DAY):
        start_what_is_due(now)
    assert told == ["no backup succeeded for too long"] * 2


def test_a_success_whose_worker_died_before_it_moved_the_watch_is_not_missed(store, sent, monkeypatch) -> None:
    published: list[Any] = []
    monkeypatch.setattr(schedules, "publish", published.append)
    run()
    before = now_ms()
    store.items.update("watch", {"due_at": before})
    store.items.update("policy", {"due_at": before + DAY})
    start_what_is_due(before)
    assert published == []
    finished = only(store).finished_at
    assert finished
    assert store.due_at("watch") == finished + MISSED_AFTER


def test_a_success_is_watched_from_anew(store, sent) -> None:
    before = now_ms()
    run()
    assert store.due_at("watch") >= before + MISSED_AFTER


def test_a_cluster_that_fails_does_not_keep_the_others_waiting(store, sent, monkeypatch) -> None:
    for name in ("b", "c", "d"):
        backup_store(PROJECT, name).open(DAILY, NOON)
        broken = backup_store(PROJECT, f"broken-{name}")
        broken.open(DAILY, NOON)
        broken.items.update("policy", {"period": "never"})
    store.items.update("policy", {"period": "never"})
    with pytest.raises(RuntimeError, match="4 of"):
        start_what_is_due(TONIGHT)
    assert {each.cluster for each in sent} == {"b", "c", "d"}


def test_the_event_starts_what_is_due_now(store) -> None:
    store.items.update("policy", {"due_at": 1})
    importlib.import_module("functions.schedule_backups.app").lambda_handler(event("schedule_backups"), Context(300))
    assert store.due_run()[0] > now_ms()
