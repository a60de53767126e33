"""Backups that nobody goes on with: shown as what they are, asked for again, given up."""

import pytest

from logkeep.apis.css.records import RecordQuery, page_of
from logkeep.backups.lease_store import ASKED_MAX, QUEUED_FOR, Leases
from logkeep.backups.records import Status
from logkeep.clock import now_ms
from logkeep.logs.store import log_store
from tests.backups.test_runs import begin, only
from tests.calls import PROJECT

pytestmark = pytest.mark.usefixtures("aws")


def test_a_record_is_running_while_its_worker_lives_and_failed_when_nobody_comes(store) -> None:
    begin(store)
    lease = Leases(store).claim(now_ms(), 900)
    assert lease

    def shown(at: int) -> Status:
        (record,) = page_of(store.listed(log_store(PROJECT)), RecordQuery(), at).clusterLogRecord
        return record.status

    now = now_ms()
    assert shown(now) is Status.RUNNING
    assert shown(now + 800_000) is Status.RUNNING
    assert shown(now + 1_100_000) is Status.FAIL


def test_a_backup_that_nobody_goes_on_with_is_asked_for_a_few_times_and_fails_then(store) -> None:
    begin(store)
    now = now_ms()
    assert not Leases(store).ask_again(now), "its message is in the queue"
    for _ in range(ASKED_MAX):
        now += QUEUED_FOR + 1000
        assert Leases(store).ask_again(now)
        assert not Leases(store).ask_again(now)
    assert not Leases(store).ask_again(now + QUEUED_FOR)
    record = only(store)
    assert record.status is Status.FAIL
    assert "asked for" in (record.failed_msg or "")
    begin(store, "second", 2000)


def test_progress_starts_the_count_anew_and_a_live_worker_is_left_alone(store) -> None:
    begin(store)
    now = now_ms()
    for _ in range(3 * ASKED_MAX):
        now += QUEUED_FOR + 1000
        assert Leases(store).ask_again(now)
        lease = Leases(store).claim(now, 60)
        assert lease
        assert not Leases(store).ask_again(now + 59_000)
        Leases(store).release(lease, now, progress=True)
    assert only(store).status is Status.RUNNING


def test_a_worker_whose_lease_another_one_took_over_neither_ends_the_backup_nor_gives_it_away(store) -> None:
    record, now = begin(store), now_ms()
    late = Leases(store).claim(now, 60)
    theirs = Leases(store).claim(now + 61_000, 60)
    assert late
    assert theirs
    assert not Leases(store).finish(late, record.failed("too late", now), None)
    Leases(store).release(late, now + 61_000, progress=False)
    assert Leases(store).claim(now + 62_000, 60) is None, "it is still theirs"
    assert only(store).status is Status.RUNNING
    assert list(store.items.newest("alert/")) == []
    assert Leases(store).finish(theirs, record.failed("in time", now), None)
    assert only(store).failed_msg == "in time"
