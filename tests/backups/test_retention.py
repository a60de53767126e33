"""Which backups expire, against a naive model."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.backups.jobs import STALLED_AFTER, Job
from logkeep.backups.records import BackupRecord, Status, chain
from logkeep.backups.retention import expired, expires_at
from logkeep.clock import DAY
from logkeep.restores.plan import RestoreReport, RestoreRequest
from logkeep.restores.verification import Verification

pytestmark = pytest.mark.unit

NOW = 1000 * DAY
BEGIN: dict[str, Callable[[int], Job]] = {
    "restore": lambda at: RestoreReport.begin("run", RestoreRequest(), at),
    "verification": lambda at: Verification.begin("full", "run", at),
}


def a_record(id: str, days_ago: int = 0, base: str | None = None, status: Status = Status.SUCCESS) -> BackupRecord:
    at = NOW - days_ago * DAY - 1
    return BackupRecord(
        id=id,
        cluster_id="c",
        created_at=at,
        log_path="css/log",
        status=status,
        job_type="Auto",
        job_id="j",
        finished_at=None if status is Status.RUNNING else at,
        base=base,
    )


@st.composite
def jobs(draw: st.DrawFn) -> dict[str, Any]:
    """The last restore and the last verification of a record: none, or one that runs, has stalled or has ended."""
    found: dict[str, Any] = {}
    for field, begin in BEGIN.items():
        if draw(st.sampled_from([False, False, False, True])):
            at = NOW - draw(st.sampled_from([0, STALLED_AFTER, STALLED_AFTER + 1, 9 * DAY]))
            job = begin(at - draw(st.sampled_from([0, 1]))).model_copy(update={"updated_at": at})
            found[field] = (job.ended(at) if draw(st.booleans()) else job).model_dump()
    return found


@st.composite
def histories(draw: st.DrawFn) -> list[BackupRecord]:
    """Backups of a cluster, the oldest first; each success continues the one before it, or is full."""
    records: list[BackupRecord] = []
    last, ago = None, 60
    for number in range(draw(st.integers(0, 12))):
        status = draw(st.sampled_from([Status.SUCCESS, Status.SUCCESS, Status.SUCCESS, Status.FAIL]))
        base = last if status is Status.SUCCESS and draw(st.booleans()) else None
        record = a_record(f"r{number}", ago, base, status)
        locked = draw(st.none() | st.integers(-20, 20))
        hold = draw(st.sampled_from([None, None, None, True]))
        until = None if locked is None else NOW + locked * DAY
        records.append(replace(record, hold=hold, locked_until=until, **draw(jobs())))
        last = record.id if status is Status.SUCCESS else last
        ago -= draw(st.integers(0, 8))
    if draw(st.booleans()):
        records.append(a_record("running", ago, None, Status.RUNNING))
    return records


def naive(records: list[BackupRecord], keep_days: int) -> set[str]:
    """Take away one expired record after the other that no record left continues."""
    left = list(records)
    newest = [each.id for each in records if each.status is Status.SUCCESS][-1:]
    while True:
        bases = {each.base for each in left}
        for each in left:
            old = each.finished_at is not None and each.finished_at < NOW - keep_days * DAY
            locked = each.locked_until is not None and each.locked_until >= NOW
            read = any(
                job
                and job["state"] == "running"
                and (job["updated_at"] >= NOW - STALLED_AFTER or job["updated_at"] == job["started_at"])
                for job in (each.restore, each.verification)
            )
            wanted = read or each.hold or each.id in newest
            if old and not locked and not wanted and each.id not in bases:
                left.remove(each)
                break
        else:
            return {each.id for each in left}


@given(histories(), st.integers(1, 50), st.randoms(use_true_random=False))
def test_what_expires_is_what_nobody_needs_and_a_kept_chain_is_kept_to_its_full_backup(records, keep_days, chance):
    shuffled = list(records)
    chance.shuffle(shuffled)
    over = expired(shuffled, NOW, keep_days)
    gone = {each.id for each in over}
    kept = {each.id: each for each in records if each.id not in gone}
    last_success = [each.finished_at for each in records if each.status is Status.SUCCESS][-1:]
    ties = {each.id for each in records if [each.finished_at] == last_success and each.status is Status.SUCCESS}
    if len(ties) <= 1:
        assert kept.keys() == naive(records, keep_days)
    for each in kept.values():
        assert each.base is None or each.base in kept
    for number, each in enumerate(over):
        assert each.base not in {before.id for before in over[:number]}, "a base comes behind what needs it"


@given(histories(), st.integers(1, 50))
def test_the_record_that_the_next_backup_continues_stays_whenever_it_ended(records, keep_days) -> None:
    for last in records:
        gone = {each.id for each in expired(records, NOW, keep_days, last.id)}
        assert not gone & {each.id for each in chain(last, {each.id: each for each in records}.get)}


@given(histories(), st.integers(1, 50))
def test_nothing_expires_twice(records, keep_days) -> None:
    gone = expired(records, NOW, keep_days)
    assert expired([each for each in records if each not in gone], NOW, keep_days) == []


def test_a_record_expires_a_moment_after_its_days() -> None:
    fail, newest = a_record("f", 7, status=Status.FAIL), a_record("n")
    assert fail.finished_at
    assert expired([fail, newest], fail.finished_at + 7 * DAY, 7) == []
    assert expired([fail, newest], fail.finished_at + 7 * DAY + 1, 7) == [fail]


def test_when_a_record_expires_is_told_unless_it_is_held_or_runs() -> None:
    record = a_record("r", 3)
    assert record.finished_at
    assert expires_at(record, 30) == record.finished_at + 30 * DAY
    assert expires_at(replace(record, locked_until=NOW + 99 * DAY), 30) == NOW + 99 * DAY
    assert expires_at(replace(record, hold=True), 30) is None
    assert expires_at(a_record("r", status=Status.RUNNING), 30) is None


def test_a_base_that_is_gone_ends_a_chain() -> None:
    record = a_record("r", base="gone")
    assert list(chain(record, {"r": record}.get)) == [record]
