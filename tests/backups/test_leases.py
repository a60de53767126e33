"""Backups that nobody goes on with: shown as what they are, asked for again, given up."""

import pytest

from logkeep.apis.css.records import RecordQuery, page_of
from logkeep.backups.records import Status
from logkeep.backups.store import ASKED_MAX, QUEUED_FOR
from logkeep.clock import now_ms
from logkeep.logs.store import log_store
from tests.backups.test_runs import begin, only
from tests.calls import PROJECT

pytestmark = pytest.mark.usefixtures("aws")


def test_a_record_is_running_while_its_worker_lives_and_failed_when_nobody_comes(store, monkeypatch) -> None:
    begin(store)
    lease = store.claim(now_ms(), 900)
    assert lease

    def shown() -> Status:
        (record,) = page_of(store.listed(log_store(PROJECT)), RecordQuery(), now_ms()).clusterLogRecord
        return record.status

    assert shown() is Status.RUNNING
    later = now_ms() + 800_000
    monkeypatch.setattr("logkeep.backups.store.now_ms", lambda: later)
    assert shown() is Status.RUNNING
    monkeypatch.setattr("logkeep.backups.store.now_ms", lambda: later + 300_000)
    assert shown() is Status.FAIL


def test_a_backup_that_nobody_goes_on_with_is_asked_for_a_few_times_and_fails_then(store) -> None:
    begin(store)
    now = now_ms()
    assert not store.ask_again(now), "its message is in the queue"
    for _ in range(ASKED_MAX):
        now += QUEUED_FOR + 1000
        assert store.ask_again(now)
        assert not store.ask_again(now)
    assert not store.ask_again(now + QUEUED_FOR)
    record = only(store)
    assert record.status is Status.FAIL
    assert "asked for" in (record.failed_msg or "")
    begin(store, "second", 2000)


def test_progress_starts_the_count_anew_and_a_live_worker_is_left_alone(store) -> None:
    begin(store)
    now = now_ms()
    for _ in range(3 * ASKED_MAX):
        now += QUEUED_FOR + 1000
        assert store.ask_again(now)
        lease = store.claim(now, 60)
        assert lease
        assert not store.ask_again(now + 59_000)
        store.release(lease, now, progress=True)
    assert only(store).status is Status.RUNNING


def test_a_worker_whose_lease_another_one_took_over_neither_ends_the_backup_nor_gives_it_away(store) -> None:
    record, now = begin(store), now_ms()
    late = store.claim(now, 60)
    theirs = store.claim(now + 61_000, 60)
    assert late
    assert theirs
    assert not store.finish(late, record.failed("too late", now), None)
    store.release(late, now + 61_000, progress=False)
    assert store.claim(now + 62_000, 60) is None, "it is still theirs"
    assert only(store).status is Status.RUNNING
    assert list(store.items.newest("alert/")) == []
    assert store.finish(theirs, record.failed("in time", now), None)
    assert only(store).failed_msg == "in time"
