"""Which backups have expired. A backup stays as long as one that continues it."""

from collections.abc import Iterable

from logkeep.backups.jobs import Job
from logkeep.backups.records import BackupRecord, Status, chain
from logkeep.clock import DAY


def expired(records: Iterable[BackupRecord], now: int, keep_days: int, last: str | None = None) -> list[BackupRecord]:
    """The finished records that nothing needs any more, each before the one that it continues. `now` in epoch ms.

    Kept are records that run, are held, locked, younger than keep_days, or being restored or verified; `last`, which
    the next backup continues; the newest success; and every record that one of these continues.
    """
    by_id = {each.id: each for each in records}
    newest = max((each.finished_at or 0 for each in by_id.values() if each.status is Status.SUCCESS), default=0)
    needed = {
        link.id
        for each in by_id.values()
        if not _is_over(each, now, keep_days) or each.id == last or _is_success_at(each, newest)
        for link in chain(each, by_id.get)
    }
    over = [each for each in by_id.values() if each.id not in needed]
    return sorted(over, key=lambda each: sum(1 for _ in chain(each, by_id.get)), reverse=True)


def expires_at(record: BackupRecord, keep_days: int) -> int | None:
    """When a record expires (epoch ms), unless a younger one continues it. None while it runs or is held."""
    if record.finished_at is None or record.hold:
        return None
    return max(record.finished_at + keep_days * DAY, record.locked_until or 0)


def _is_over(record: BackupRecord, now: int, keep_days: int) -> bool:
    ends = expires_at(record, keep_days)
    return record.status is not Status.RUNNING and ends is not None and ends < now and not _is_read(record, now)


def _is_read(record: BackupRecord, now: int) -> bool:
    """Whether a restore or a full verification reads its chain. A stalled one does not count."""
    jobs = (Job.model_validate(each) for each in (record.restore, record.verification) if each)
    return any(job.is_running(now) for job in jobs)


def _is_success_at(record: BackupRecord, finished_at: int) -> bool:
    return record.status is Status.SUCCESS and record.finished_at == finished_at
