"""Clusters and their backup records, as they are stored."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Literal

BASE_PATH: Final = "css/log"
FAILED_MAX: Final = 1000  # characters of failedMsg

type LockMode = Literal["GOVERNANCE", "COMPLIANCE"]


class Status(StrEnum):
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRecord:
    """One backup task as it is stored; times in epoch milliseconds."""

    id: str
    cluster_id: str
    created_at: int
    log_path: str
    status: Status
    job_type: Literal["Manual", "Auto"]
    job_id: str
    finished_at: int | None = None
    failed_msg: str | None = None
    lease_until: int | None = None  # when it is given up that a worker has it
    key: str | None = None  # of the archive
    base: str | None = None  # the record that it continues, None of a full backup
    size: int | None = None  # bytes of the archive
    crc32: int | None = None  # of the archive
    logs: int | None = None  # files in it
    raw_size: int | None = None  # bytes of text in it
    read_back: dict[str, int] | None = None  # of a verification that is not finished: bytes read, their CRC-32
    verification: dict[str, Any] | None = None  # of the archive, the last one that was asked for
    restore: dict[str, Any] | None = None  # the last one
    hold: bool | None = None  # True: does not expire
    locked_until: int | None = None  # by S3 Object Lock
    lock_mode: LockMode | None = None
    expiring: bool | None = None  # True: is about to be deleted, and shown no more
    leftovers: bool | None = None  # True: its workers may have left what nothing needs

    @property
    def place(self) -> str:
        """Sorts a cluster's records by age."""
        return f"{self.created_at:013d}/{self.id}"

    def failed(self, message: str, now: int) -> "BackupRecord":
        return replace(
            self,
            status=Status.FAIL,
            finished_at=now,
            failed_msg=message[:FAILED_MAX],
            lease_until=None,
            read_back=None,
        )

    def seen_at(self, now: int) -> "BackupRecord":
        """The record as a reader sees it: one whose worker died has failed."""
        if self.status is Status.RUNNING and self.lease_until is not None and self.lease_until < now:
            return self.failed("the worker stopped without finishing", self.lease_until)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What is kept of a cluster besides its logs and records; times in epoch milliseconds."""

    cluster_id: str
    enabled: bool = False  # whether backup was ever switched on
    log_switch: bool = False
    settings_id: str = ""
    agency: str | None = None
    base_path: str = BASE_PATH
    auto_enable: bool = False
    period: str | None = None
    full_every: int | None = None
    services: Sequence[str] = ()  # whose events are backed up with the logs
    keep_days: int | None = None
    updated_at: int = 0
    last_record: str | None = None  # that succeeded
    since_full: int = 0  # backups after the last full one
    full_next: bool | None = None  # True: the next backup continues nothing
    real_time: dict[str, Any] | None = None

    def new_record(self, id: str, created_at: int, job_type: Literal["Manual", "Auto"]) -> BackupRecord:
        return BackupRecord(
            id=id,
            cluster_id=self.cluster_id,
            created_at=created_at,
            log_path=self.base_path,
            status=Status.RUNNING,
            job_type=job_type,
            job_id=uuid.uuid5(uuid.NAMESPACE_URL, f"logkeep/job/{id}").hex,
        )


def chain(record: BackupRecord, find: Callable[[str], BackupRecord | None]) -> Iterator[BackupRecord]:
    """A record and those that it continues, to its full one or the first that is not found by its id."""
    found: BackupRecord | None = record
    while found:
        yield found
        found = find(found.base) if found.base else None
