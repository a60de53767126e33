"""Progress of a job, noted on its backup record. Notes are conditional, so that two workers do not mix theirs up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from logkeep.aws.multipart import TimeUp
from logkeep.backups.jobs import Job, JobKind
from logkeep.backups.records import BackupRecord
from logkeep.backups.store import BackupStore
from logkeep.clock import now_ms
from logkeep.errors import Busy, Conflict, RecordNotFound, TooLarge

_NOTED_EVERY: Final = 2.0  # seconds


class Superseded(Exception):
    """The job has ended, another job has taken its place, or its backup record is gone."""


class _Overtaken(Exception):
    """Another worker has noted progress, from which to continue."""


def in_time[T](items: Iterable[T], deadline: float, instead: str) -> Iterator[T]:
    """The items, until the deadline of a request (time.monotonic()). Raises TooLarge if they take longer."""
    for each in items:
        if time.monotonic() > deadline:
            raise TooLarge(f"the backup and those that it continues, or the cluster, are too large for this; {instead}")
        yield each


class Progress[J: Job]:
    """A worker's view of a job: `job` is its state, which step() and note() write to the backup record.

    Raises Superseded if the job is not running any more.
    """

    def __init__(
        self, store: BackupStore, field: JobKind, kind: type[J], record_id: str, run: str, deadline: float
    ) -> None:
        self._store = store
        self._field: JobKind = field
        self._kind = kind
        self._run = run
        self._deadline = deadline
        self._noted_at = time.monotonic()
        self.steps = 0
        self.record, self.job = self._read(record_id)

    def run(self, work: Callable[[], None]) -> bool:
        """Call `work` until the job has ended or time is up. True if there is more to do.

        Work that was overtaken by another worker is called again. A Conflict ends the job. Raises Busy if the time was
        not enough for any step.
        """
        with suppress(_Overtaken):
            self.note()  # that a worker came
        while True:
            try:
                self._to_end(work)
            except _Overtaken:
                continue
            except TimeUp:
                with suppress(_Overtaken):
                    self.note()
                if not self.steps:
                    raise Busy("no step could be finished in time", retry_after=0) from None
                return True
            return False

    def _to_end(self, work: Callable[[], None]) -> None:
        why = None
        try:
            work()
        except Conflict as error:
            why = str(error)
        self.end(why)

    def end(self, why: str | None = None) -> None:
        """Note the end of the job; it has failed if `why` says so."""
        self.job = self.job.ended(now_ms(), why)
        self.note()

    def change(self, **changes: Any) -> None:
        """Change fields of the job without noting them yet."""
        self.job = self.job.model_copy(update=changes)

    def step(self, **changes: Any) -> None:
        """Change fields of the job after a step of work, and note it from time to time. Raises TimeUp if time is up."""
        self.change(**changes)
        self.steps += 1
        if self.is_late:
            raise TimeUp
        if time.monotonic() - self._noted_at > _NOTED_EVERY:
            self.note()

    def note(self) -> None:
        """Write the job to its record. If another worker has done so, take its job over and raise _Overtaken."""
        self._noted_at = time.monotonic()
        noted = self.job.model_copy(update={"updated_at": now_ms()}).model_dump()
        if self._store.amend(self.record, {self._field: noted}):
            self.record = replace(self.record, **{self._field: noted})  # type: ignore[arg-type]  # either of two fields
        else:
            self.record, self.job = self._read(self.record.id)
            raise _Overtaken

    @property
    def is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _read(self, record_id: str) -> tuple[BackupRecord, J]:
        """The record and its job. Raises Superseded if the job is not running any more."""
        try:
            record = self._store.record(record_id)
        except RecordNotFound as error:
            raise Superseded from error
        job = job_of(record, self._field, self._kind)
        if job is None or (job.run, job.state) != (self._run, "running"):
            raise Superseded
        return record, job


def job_of[J: Job](record: BackupRecord, field: JobKind, kind: type[J]) -> J | None:
    """The job that is noted in a field of a backup record."""
    noted = getattr(record, field)
    return None if noted is None else kind.model_validate(noted)
