"""Backups that nobody goes on with: shown as what they are, asked for again, given up."""

import pytest

from logkeep.apis.css.records import RecordQuery, page_of
from logkeep.aws import clients
from logkeep.backups.lease_store import Leases
from logkeep.backups.records import Status
from logkeep.backups.work_store import ORDERED_FOR, TRIES_MAX, Kind, WorkItem, work_of
from logkeep.clock import DAY, now_ms
from logkeep.logs.store import log_store
from tests.backups.test_runs import begin, expire, fill, only
from tests.calls import PROJECT
from tests.faults import Killed, killed

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


def needs_a_worker(now: int) -> bool:
    return bool(work_of(Kind.BACKUPS, now)[1])


def test_a_backup_that_no_worker_has_taken_waits_as_long_as_it_takes(store) -> None:
    begin(store)
    item, now = WorkItem(store.items, "active"), now_ms()
    assert not needs_a_worker(now), "one was ordered"
    for _ in range(3 * TRIES_MAX):
        now += ORDERED_FOR + 1000
        assert needs_a_worker(now)
        assert item.note_ordered(now)
        assert not item.note_ordered(now), "another schedule has ordered it"
    now += 30 * DAY
    (record,) = store.listed(log_store(PROJECT))
    assert record.seen_at(now).status is Status.RUNNING
    assert Leases(store).claim(now, 900)


def test_a_backup_whose_workers_make_no_progress_fails_after_a_few(store, runs) -> None:
    fill()
    begin(store)
    for number in range(TRIES_MAX):
        with pytest.raises(Killed), killed(clients.s3(), "PutObject", after=False):
            runs.resume(900, f"request-{number}")
        assert only(store).status is Status.RUNNING
        expire(store)
    assert not runs.resume(900, "request-n")
    assert only(store).status is Status.FAIL
    assert "brought no progress" in (only(store).failed_msg or "")
    begin(store, "second", 2000)


def test_progress_starts_the_count_anew_and_a_live_worker_is_left_alone(store) -> None:
    begin(store)
    now = now_ms()
    for _ in range(3 * TRIES_MAX):
        now += 1000
        lease = Leases(store).claim(now, 60)
        assert lease
        assert lease.claim.tries == 1
        assert not needs_a_worker(now + 59_000)
        Leases(store).release(lease, now, progress=True)
        assert needs_a_worker(now), "it waits for its next turn"


def test_a_request_that_lambda_repeats_takes_its_own_lease_over_and_no_other_does(store) -> None:
    begin(store)
    now = now_ms()
    killed_one = Leases(store).claim(now, 900, "a")
    assert Leases(store).claim(now + 1000, 900, "b") is None
    assert Leases(store).claim(now + 1000, 900) is None
    again = Leases(store).claim(now + 60_000, 900, "a")
    assert killed_one
    assert again
    assert again.claim.tries == killed_one.claim.tries == 1, "the attempts of one order count once"
    assert again.claim.fence == killed_one.claim.fence + 1, "if it lives after all, it can write nothing any more"
    assert not Leases(store).finish(killed_one, killed_one.record.failed("late", now), None)


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
