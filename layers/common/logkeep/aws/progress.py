"""A job as it is noted on its record by its workers together: conditionally, so that two of them do not garble it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Final, Literal

from logkeep.aws.backups import BackupStore
from logkeep.backups import BackupRecord
from logkeep.clock import now_ms
from logkeep.jobs import Job

_NOTED_EVERY: Final = 2.0  # seconds

type Field = Literal["restore", "verification"]


class TimeUp(Exception):
    pass


class Superseded(Exception):
    """Another job has taken the place of this one, or it has ended."""


class Progress[J: Job]:
    def __init__(
        self, store: BackupStore, field: Field, kind: type[J], record_id: str, run: str, deadline: float
    ) -> None:
        self._store = store
        self._field: Field = field
        self._kind = kind
        self._run = run
        self._deadline = deadline
        self._noted_at = time.monotonic()
        self.steps = 0
        self.record, self.job = self._read(record_id)

    def change(self, **changes: Any) -> None:
        self.job = self.job.model_copy(update=changes)

    def step(self, **changes: Any) -> None:
        """Something was done. Raise TimeUp where that was the last."""
        self.change(**changes)
        self.steps += 1
        if self.is_late:
            raise TimeUp
        if time.monotonic() - self._noted_at > _NOTED_EVERY:
            self.note()

    def note(self) -> None:
        """Write the job, or take over what another worker has written meanwhile; raise Superseded where it is over."""
        self._noted_at = time.monotonic()
        noted = self.job.model_copy(update={"updated_at": now_ms()}).model_dump()
        if self._store.amend(self.record, {self._field: noted}):
            self.record = replace(self.record, **{self._field: noted})  # type: ignore[arg-type]  # either of two fields
        else:
            self.record, self.job = self._read(self.record.id)

    @property
    def is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _read(self, record_id: str) -> tuple[BackupRecord, J]:
        record = self._store.record(record_id)
        job = job_of(record, self._field, self._kind)
        if job is None or (job.run, job.state) != (self._run, "running"):
            raise Superseded
        return record, job


def job_of[J: Job](record: BackupRecord, field: Field, kind: type[J]) -> J | None:
    noted = getattr(record, field)
    return None if noted is None else kind.model_validate(noted)
