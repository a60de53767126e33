"""What people hear of backups: every failure at least once, whoever is killed, and every day without a success."""

import json
from typing import Any

import boto3
import pytest

from logkeep.aws import clients
from logkeep.backups.due_store import due_items
from logkeep.backups.lease_store import Leases
from logkeep.backups.orders import ExpireOrder, RunOrder
from logkeep.backups.runs import BackupRuns
from logkeep.backups.schedule import MISSED_AFTER
from logkeep.backups.settings import SettingsChange
from logkeep.backups.store import ALERT_AFTER, BackupStore, backup_store
from logkeep.backups.work_store import TRIES_MAX
from logkeep.backups.worker import start_run, start_what_is_due, work_on_backup
from logkeep.clock import DAY, now_ms
from logkeep.errors import Corrupt
from logkeep.logs.store import log_store
from logkeep.settings import settings
from tests.backups.test_runs import begin, expire, fill
from tests.calls import CLUSTER, PROJECT
from tests.faults import SIDES, STEP, Killed, killed, killed_at

pytestmark = [
    pytest.mark.usefixtures("aws"),
    pytest.mark.no_faults("counts notices; one whose answer is lost is sent twice"),
]
RUN = RunOrder(project=PROJECT, cluster=CLUSTER).model_dump()
SOON = ALERT_AFTER + 1000


class Subscription:
    """A queue that is subscribed to the topic, as an address would be."""

    def __init__(self) -> None:
        self._sqs = boto3.client("sqs")
        self._url = self._sqs.create_queue(QueueName="subscribed")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        boto3.client("sns").subscribe(TopicArn=settings().backup_alerts, Protocol="sqs", Endpoint=arn)

    def heard(self) -> list[Any]:
        """Since this was last asked."""
        found = []
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for each in messages:
                found.append(json.loads(each["Body"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=each["ReceiptHandle"])
        return found


@pytest.fixture
def people(aws: None) -> Subscription:
    return Subscription()


@pytest.fixture
def store(aws: None) -> BackupStore:
    store = backup_store(PROJECT, CLUSTER)
    store.enable()
    return store


@pytest.fixture
def corrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def verify(*_: object) -> None:
        raise Corrupt("the archive is not what it should be")

    monkeypatch.setattr(BackupRuns, "_verify", verify)


def outbox(store: BackupStore) -> list[str]:
    return [each["sk"] for each in store.items.newest("alert/")]


def test_a_failure_is_told_at_once_with_what_to_do(store, people, corrupt, monkeypatch) -> None:
    warned: list[Any] = []
    monkeypatch.setattr("logkeep.backups.worker.logger.warning", lambda _, extra: warned.append(extra["records"]))
    fill()
    begin(store)
    work_on_backup(RUN, 900, "")
    assert warned == [{"first": "the archive is not what it should be"}]
    (told,) = people.heard()
    assert told["Subject"] == f"Logkeep: backup failed, cluster {CLUSTER}"
    for said in (PROJECT, CLUSTER, "first", "the archive is not what it should be", "logs/collect"):
        assert said in told["Message"]
    assert {name: each["Value"] for name, each in told["MessageAttributes"].items()} == {
        "kind": "failed",
        "project": PROJECT,
    }
    assert outbox(store) == []
    work_on_backup(RUN, 900, "")
    start_what_is_due(now_ms() + SOON)
    assert people.heard() == []


def test_a_success_is_told_to_nobody(store, people) -> None:
    fill()
    begin(store)
    work_on_backup(RUN, 900, "")
    start_what_is_due(now_ms() + SOON)
    assert people.heard() == []


@pytest.mark.soak
@SIDES
def test_a_failure_whose_worker_is_killed_anywhere_is_told(after, store, people, corrupt) -> None:
    for number in range(0, 100, STEP):
        fill()
        begin(store, f"r{number:03d}", 1000 + number)
        try:
            with killed_at(number, after=after):
                work_on_backup(RUN, 900, "")
            break
        except Killed:
            pass
        if store.items.get("active"):
            expire(store)
            work_on_backup(RUN, 900, "")
        start_what_is_due(now_ms() + SOON)
        heard = people.heard()
        assert all(f"r{number:03d}" in each["Message"] for each in heard)
        assert 1 <= len(heard) <= 2
        assert outbox(store) == []
    assert number > 10


@pytest.mark.parametrize(("service", "operation"), [("sns", "Publish"), ("dynamodb", "DeleteItem")])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_schedule_that_is_killed_while_it_tells_tells_again(service, operation, after, store, people) -> None:
    record = store.cluster(log_store(PROJECT)).new_record("r", 1000, "Auto")
    store.put(record.failed("for the test", now_ms()), alert=True)
    start_what_is_due(now_ms())
    assert people.heard() == [], "who wrote it tells first"
    with pytest.raises(Killed), killed(getattr(clients, service)(), operation, after=after):
        start_what_is_due(now_ms() + SOON)
    start_what_is_due(now_ms() + SOON)
    before_publishing = (operation, after) == ("Publish", False)
    after_all = (operation, after) == ("DeleteItem", True)
    assert len(people.heard()) == (1 if before_publishing or after_all else 2)
    assert outbox(store) == []


def test_a_topic_that_does_not_answer_keeps_no_backup_from_ending(store, people, corrupt, monkeypatch) -> None:
    begin(store)
    topic = settings().backup_alerts
    object.__setattr__(settings(), "backup_alerts", topic + "-gone")
    work_on_backup(RUN, 900, "")
    with pytest.raises(RuntimeError, match="1 of"):
        start_what_is_due(now_ms() + SOON)
    assert outbox(store) == ["alert/first"]
    object.__setattr__(settings(), "backup_alerts", topic)
    start_what_is_due(now_ms() + SOON)
    assert len(people.heard()) == 1


def test_an_overlapped_run_is_told_once(store, people) -> None:
    due = now_ms() - 1000
    store.open(SettingsChange(auto_enable=True, period="00:00 GMT+08:00"), now_ms())
    Leases(store).start(store.cluster(log_store(PROJECT)).new_record("by-hand", 1000, "Manual"), now_ms())
    assert Leases(store).claim(now_ms(), 900)
    for _ in range(2):
        start_run(PROJECT, CLUSTER, due, now_ms())
    start_what_is_due(now_ms() + SOON)
    (told,) = people.heard()
    assert "overlapped" in told["Message"]
    assert "Due:" in told["Message"]


def test_a_backup_that_was_given_up_is_told(store, people) -> None:
    begin(store)
    for _ in range(TRIES_MAX):
        assert Leases(store).claim(now_ms(), 900)
        expire(store)
    work_on_backup(RUN, 900, "")
    (told,) = people.heard()
    assert "no worker could continue" in told["Message"]


def test_a_cluster_without_a_success_is_told_of_once_a_day(store, people) -> None:
    now = now_ms()
    store.open(SettingsChange(auto_enable=True, period="00:00 GMT+08:00"), now)
    late = now + MISSED_AFTER
    heard = []
    for at in (late - 60_000, late, late + 60_000, late + DAY - 60_000, late + DAY):
        store.items.update("policy", {"due_at": at + DAY})
        start_what_is_due(at)
        heard.append(len(people.heard()))
    assert heard == [0, 1, 0, 0, 1]


def test_what_was_missed_is_told_with_the_last_success_and_by_who_is_killed_twice(store, people) -> None:
    store.open(SettingsChange(auto_enable=True, period="00:00 GMT+08:00"), now_ms())
    begin(store)
    work_on_backup(RUN, 900, "")
    late = now_ms() + MISSED_AFTER + 1000
    store.items.update("policy", {"due_at": late + DAY})
    with pytest.raises(Killed), killed(clients.sns(), "Publish", after=True):
        start_what_is_due(late)
    start_what_is_due(late)
    first, second = people.heard()
    assert first["Message"] == second["Message"]
    assert first["Subject"] == f"Logkeep: backup missed, cluster {CLUSTER}"
    assert "(record first)" in first["Message"]


def test_a_sweep_is_ordered_once_a_day(store, monkeypatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr("logkeep.backups.worker.order_backup", sent.append)
    store.put(store.cluster(log_store(PROJECT)).new_record("r", 1000, "Auto").failed("for the test", 2000))
    first = store.due_at("sweep")
    assert first
    for now in (first - 60_000, first, first + 60_000, first + DAY):
        start_what_is_due(now)
    order = ExpireOrder(project=PROJECT, cluster=CLUSTER)
    assert sent == [order, order]
    work_on_backup(order.model_dump(), 900, "")
    assert list(store.items.newest("record/")) == [], "it ended long ago"
    assert [each.name for each in due_items(first + 9 * DAY)] == ["sweep"]


def test_a_sweep_that_has_more_to_do_is_ordered_again(store, monkeypatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr("logkeep.backups.worker.order_backup", sent.append)
    monkeypatch.setattr("logkeep.backups.retention_store.Retention.sweep", lambda *_: not sent)
    order = ExpireOrder(project=PROJECT, cluster=CLUSTER)
    for _ in range(2):
        work_on_backup(order.model_dump(), 900, "")
    assert sent == [order]


def test_a_topic_that_does_not_answer_keeps_no_backup_waiting(store, monkeypatch) -> None:
    order: list[str] = []
    monkeypatch.setattr("logkeep.backups.worker.order_backup", lambda *_: order.append("backup"))
    monkeypatch.setattr("logkeep.backups.worker.publish_failures", lambda *_: order.append("notice"))
    record = store.cluster(log_store(PROJECT)).new_record("r", 1000, "Auto")
    store.put(record.failed("for the test", 2000), alert=True)
    store.open(SettingsChange(auto_enable=True, period="00:00 GMT+08:00"), now_ms())
    for name, at in (("alert/r", 1), ("policy", 2)):
        store.items.update(name, {"due_at": at})
    start_what_is_due(3)
    assert order == ["backup", "notice"]
