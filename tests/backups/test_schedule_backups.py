"""Automatic backups: one record for every time that was due, whatever is called twice or dies in between."""

import importlib
from typing import Any

import pytest

from logkeep.aws import clients
from logkeep.backups import worker as schedules
from logkeep.backups.due_store import due_items
from logkeep.backups.lease_store import ASKED_MAX, QUEUED_FOR, Leases
from logkeep.backups.queue import DueOrder, RunOrder
from logkeep.backups.records import BackupRecord, Status
from logkeep.backups.schedule import MISSED_AFTER, run_id, spread
from logkeep.backups.settings import SettingsChange
from logkeep.backups.store import BackupStore, backup_store
from logkeep.backups.worker import SPREAD_SECONDS, start_what_is_due, work_on_backup
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
    """What was ordered, with its delay."""
    orders: list[Any] = []
    monkeypatch.setattr(schedules, "order_backup", lambda order, delay=0: orders.append((order, delay)))
    return orders


def order(due: int = TONIGHT, cluster: str = CLUSTER) -> DueOrder:
    return DueOrder(project=PROJECT, cluster=cluster, due=due)


def run(due: int = TONIGHT) -> None:
    work_on_backup(order(due).model_dump_json(), 900)


def only(store: BackupStore) -> BackupRecord:
    (record,) = store.records()
    return record


def test_nothing_happens_before_its_time(store, sent) -> None:
    start_what_is_due(TONIGHT - 1)
    assert sent == []


def test_a_run_is_ordered_once_a_day_and_spread_over_minutes(store, sent) -> None:
    for now in (TONIGHT, TONIGHT + 60_000, TONIGHT + 120_000):
        start_what_is_due(now)
    assert sent == [(order(), spread(run_id(PROJECT, CLUSTER, TONIGHT), SPREAD_SECONDS))]
    assert store.due_run()[0] == TONIGHT + DAY
    start_what_is_due(TONIGHT + DAY)
    assert sent[1:] == [(order(TONIGHT + DAY), spread(run_id(PROJECT, CLUSTER, TONIGHT + DAY), SPREAD_SECONDS))]


def test_of_runs_that_were_missed_the_last_is_caught_up(store, sent) -> None:
    start_what_is_due(TONIGHT + 3 * DAY + 5000)
    assert [each for each, _ in sent] == [order(TONIGHT + 3 * DAY)]
    assert store.due_run()[0] == TONIGHT + 4 * DAY


@pytest.mark.parametrize(("service", "operation"), [("sqs", "SendMessage"), ("dynamodb", "TransactWriteItems")])
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
    assert {each.due for each, _ in sent} == {TONIGHT}


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


def test_an_order_that_is_older_than_a_day_is_left_to_the_later_one(store, monkeypatch) -> None:
    monkeypatch.setattr("logkeep.backups.worker.now_ms", lambda: TONIGHT + DAY + 1)
    run()
    assert list(store.records()) == [], "the record of such a run may have expired"
    run(TONIGHT + DAY)
    assert only(store).created_at == TONIGHT + DAY


def test_what_was_switched_off_since_does_not_run(store) -> None:
    store.change(SettingsChange(auto_enable=False), NOON)
    run()
    store.close(NOON)
    run()
    work_on_backup(order(cluster="unknown").model_dump_json(), 900)
    assert list(store.records()) == []


def test_a_changed_period_moves_the_next_run(store, sent) -> None:
    store.change(SettingsChange(period="12:30 GMT+00:00"), NOON)
    start_what_is_due(NOON + 1_800_000)
    assert [each for each, _ in sent] == [order(NOON + 1_800_000)]
    start_what_is_due(TONIGHT)
    assert len(sent) == 1


def test_settings_that_say_nothing_of_the_period_leave_a_due_run_due(store, sent) -> None:
    store.change(SettingsChange(base_path="elsewhere"), TONIGHT + 1000)
    store.open(DAILY, TONIGHT + 1000)
    start_what_is_due(TONIGHT + 2000)
    assert [each for each, _ in sent] == [order()]


def test_a_backup_whose_message_was_lost_is_asked_for_again_and_given_up_in_the_end(aws, sent) -> None:
    store = backup_store(PROJECT, CLUSTER)
    store.enable()
    now = now_ms()
    Leases(store).start(store.cluster(log_store(PROJECT)).new_record("lost", now, "Manual"), now)
    for _ in range(ASKED_MAX + 3):
        start_what_is_due(now)
        now += QUEUED_FOR
    assert [each for each, _ in sent] == [RunOrder(project=PROJECT, cluster=CLUSTER)] * ASKED_MAX
    assert only(store).status is Status.FAIL
    assert [name for _, _, name in due_items(now + DAY)] == ["sweep"]


def test_a_cluster_without_a_success_is_told_of_once_a_day(store, sent, monkeypatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(schedules.logger, "warning", lambda text, **_: told.append(text))
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
    store.items.update("policy", {"period": "never"})
    with pytest.raises(RuntimeError, match="1 of"):
        start_what_is_due(TONIGHT)
    assert {each.cluster for each, _ in sent} == {"b", "c", "d"}


def test_the_event_starts_what_is_due_now(store) -> None:
    store.items.update("policy", {"due_at": 1})
    importlib.import_module("functions.schedule_backups.app").lambda_handler(event("schedule_backups"), Context(300))
    assert store.due_run()[0] > now_ms()
