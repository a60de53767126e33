"""Clusters and backup records as they are stored."""

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
    """One backup as it is stored. Times are in epoch milliseconds."""

    id: str
    cluster_id: str
    created_at: int
    log_path: str
    status: Status
    job_type: Literal["Manual", "Auto"]
    job_id: str
    finished_at: int | None = None
    failed_msg: str | None = None
    lease_until: int | None = None  # of a running one: when readers give its worker up
    key: str | None = None  # of the archive
    base: str | None = None  # the record that it continues; None for a full backup
    size: int | None = None  # bytes of the archive
    crc32: int | None = None  # of the archive
    logs: int | None = None  # files of logs in the archive
    raw_size: int | None = None  # bytes of text in the archive
    read_back: dict[str, int] | None = None  # of a comparison before the end: bytes read of the archive, their CRC-32
    verification: dict[str, Any] | None = None  # the last one that was requested
    restore: dict[str, Any] | None = None  # the last one that was requested
    hold: bool | None = None  # True: does not expire
    locked_until: int | None = None  # by S3 Object Lock
    lock_mode: LockMode | None = None
    expiring: bool | None = None  # True: is being deleted and no longer shown
    leftovers: bool | None = None  # True: its workers may have left objects that nothing needs

    @property
    def place(self) -> str:
        """The part of its sort key by which a cluster's records are in order of age."""
        return f"{self.created_at:013d}/{self.id}"

    def may_hold(self, began: int, deleted_at: int) -> bool:
        """Whether it may hold a log that began and was deleted then (epoch ms). A failed one has no archive."""
        ended = self.finished_at
        return self.status is not Status.FAIL and self.created_at < deleted_at and (ended is None or began <= ended)

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
        """The record as a reader sees it: one whose worker was given up has failed."""
        if self.status is Status.RUNNING and self.lease_until is not None and self.lease_until < now:
            return self.failed("the worker stopped without finishing", self.lease_until)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The settings of a cluster's backups and the state of their chain. Times are in epoch milliseconds."""

    cluster_id: str
    enabled: bool = False  # whether backups were ever switched on
    log_switch: bool = False  # whether they are switched on
    settings_id: str = ""
    agency: str | None = None
    base_path: str = BASE_PATH
    auto_enable: bool = False
    period: str | None = None
    full_every: int | None = None
    services: Sequence[str] = ()  # whose events are backed up with the logs
    keep_days: int | None = None
    updated_at: int = 0
    last_record: str | None = None  # the last one that succeeded
    since_full: int = 0  # backups after the last full one
    full_next: bool | None = None  # True: the next backup must be full
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
    """A record and those that it continues, down to the full one or to the first that `find` does not find."""
    found: BackupRecord | None = record
    while found:
        yield found
        found = find(found.base) if found.base else None
