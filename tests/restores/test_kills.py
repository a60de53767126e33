"""Restores killed anywhere, continued, and run by several workers at once."""

import random
import time
from collections import Counter
from typing import Any

import pytest

from logkeep.backups.jobs import STALLED_AFTER
from logkeep.backups.store import backup_store
from logkeep.clock import now_ms
from logkeep.errors import Busy, Conflict
from logkeep.logs.head import Totals
from logkeep.logs.store import LogStore
from logkeep.restores import store as module
from logkeep.restores.plan import RestoreReport, RestoreRequest
from tests.calls import CLUSTER, PROJECT
from tests.faults import SIDES, STEP, Killed, at_once, killed_at
from tests.restores.test_store import (
    ASIDE,
    HERE,
    LOG,
    NEVER,
    append,
    back_up,
    filled,
    held,
    log_id,
    lose,
    noted,
)

pytestmark = pytest.mark.usefixtures("aws")


def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a log of some KB take several appends."""
    monkeypatch.setattr("logkeep.logs.fragment.FRAGMENT_MAX", 2000)
    monkeypatch.setattr(module, "_AT_ONCE", 4000)


@pytest.mark.soak
@SIDES
def test_a_worker_killed_at_any_call_is_followed_by_one_that_goes_on(after, logs, store, restoring, monkeypatch):
    """A restore after the other, each killed a call later than the one before, until one gets through."""
    append(logs, LOG, b"INFO first\n" * 300)
    append(logs, log_id("node-1/empty"), b"")
    back_up(store, "full")
    append(logs, LOG, b"ERROR second\n" * 300)
    append(logs, log_id("node-2/sealed"), b"WARN whole\n")
    logs.seal(log_id("node-2/sealed"), Totals(lines=1))
    back_up(store, "more")
    before = held(logs)
    small_steps(monkeypatch)
    monkeypatch.setattr(module, "_KEPT_MAX", 60)  # of the packed bytes, some pieces are read twice
    monkeypatch.setattr("logkeep.restores.progress_store._NOTED_EVERY", -1.0)
    for number in range(0, 200, STEP):
        asked = RestoreRequest(prefix=f"copy{number}-")
        report, _ = restoring.begin("more", asked, now_ms())
        try:
            with killed_at(number, after=after):
                restoring.resume("more", report.run, NEVER)
            break
        except Killed:
            pass
        assert not restoring.resume("more", report.run, NEVER)
        assert (noted("more").state, noted("more").done) == ("done", 3)
        assert "differs" not in noted("more").counts
        assert held(logs, f"cluster/copy{number}-{CLUSTER}") == before
    assert 30 < number < 199


@pytest.mark.soak
@SIDES
def test_a_request_killed_at_any_call_can_be_repeated(after, logs, store, restoring) -> None:
    filled(logs, store)
    for number in range(50):
        try:
            with killed_at(number, after=after):
                report, is_new = restoring.begin("more", HERE, now_ms())
            break
        except Killed:
            report, is_new = restoring.begin("more", HERE, now_ms())
            assert is_new, "it is ordered, also where the one that was killed had noted it"
        assert not restoring.resume("more", report.run, NEVER)
    assert number > 5


def test_two_workers_at_once_end_with_one_log_each(logs, store, restoring, monkeypatch) -> None:
    small_steps(monkeypatch)
    monkeypatch.setattr("logkeep.restores.progress_store._NOTED_EVERY", -1.0)
    before = filled(logs, store)
    lose()
    report, _ = restoring.begin("more", HERE, now_ms())
    assert at_once(*[lambda: restoring.resume("more", report.run, NEVER)] * 3) == [False] * 3
    assert (noted("more").state, noted("more").done) == ("done", 5)
    assert Counter(noted("more").counts).total() == 5
    assert held(logs) == before


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """A clock that only an append moves."""
    now, append = [0.0], LogStore.append

    def slow(*arguments: Any, **named: Any) -> Any:
        now[0] += 10
        return append(*arguments, **named)

    monkeypatch.setattr(LogStore, "append", slow)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_long_restore_takes_several_invocations_also_within_a_log(logs, store, restoring, clock, monkeypatch):
    small_steps(monkeypatch)
    before = filled(logs, store)
    lose()
    report, _ = restoring.begin("more", HERE, now_ms())
    calls, done = 1, []
    while restoring.resume("more", report.run, clock[0] + 15):
        calls += 1
        done.append(noted("more").done)
    assert calls >= 4
    assert done == sorted(done)
    assert len(set(done)) < len(done), "within a log too"
    assert noted("more").counts == {"new": 5}
    assert noted("more").bytes == sum(len(text) for text, _ in before.values())
    assert held(logs) == before


def test_a_large_piece_is_checked_in_steps_that_are_kept(logs, store, restoring, monkeypatch) -> None:
    monkeypatch.setattr(module, "_KEPT_MAX", 100)
    monkeypatch.setattr(module, "_STEP", 1000)
    append(logs, LOG, random.Random(1).randbytes(5000).hex().encode())
    back_up(store, "full")
    lose()
    now, crc32, read = [0.0], restoring._bucket.crc32, []

    def slow(source: Any, before: int = 0) -> int:
        now[0] += 10
        read.append(source.size)
        return crc32(source, before)

    monkeypatch.setattr(restoring._bucket, "crc32", slow)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    report, _ = restoring.begin("full", HERE, now_ms())
    while restoring.resume("full", report.run, now[0] + 15):
        pass
    assert len(read) >= 5
    assert set(read[:-1]) == {1000}
    assert logs.head(LOG).end == 10_000


def test_a_worker_without_time_for_anything_says_so_and_leaves_the_restore_to_the_next(logs, store, restoring):
    before = filled(logs, store)
    lose()
    report, _ = restoring.begin("more", HERE, now_ms())
    with pytest.raises(Busy):
        restoring.resume("more", report.run, float("-inf"))
    assert not restoring.resume("more", report.run, NEVER)
    assert held(logs) == before


def worked_on(job: RestoreReport, now: int) -> RestoreReport:
    """The job, of which a worker has noted something."""
    store, noted = backup_store(PROJECT, CLUSTER), job.model_copy(update={"updated_at": now})
    assert store.amend(store.record("more"), {"restore": noted.model_dump()})
    return noted


def test_one_restore_runs_and_one_that_stands_still_is_followed_by_another(logs, store, restoring) -> None:
    filled(logs, store)
    now = now_ms()
    first, _ = restoring.begin("more", HERE, now)
    assert restoring.begin("more", HERE, now) == (first, True), "nobody took it yet"
    with pytest.raises(Conflict, match="is running"):
        restoring.begin("more", ASIDE, now)
    later = now + STALLED_AFTER + 2
    assert first.seen_at(later).state == "running", "it waits for a worker, however long"
    first = worked_on(first, now + 1)
    assert restoring.begin("more", HERE, now + 2) == (first, False)
    shown = first.seen_at(later)
    assert (shown.state, shown.finished_at) == ("failed", now + 1)
    assert "ask for it again" in (shown.failed_msg or "")
    second, is_new = restoring.begin("more", ASIDE, later)
    assert is_new
    assert not restoring.resume("more", first.run, NEVER), "another one has taken its place"
    assert noted("more") == second
