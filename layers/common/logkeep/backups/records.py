"""Backup records of a cluster, as CSS shows them (seed 003)."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from logkeep.backups.settings import LogConfiguration, RealTimeLogCollectRecord
from logkeep.params import Decimal

BASE_PATH: Final = "css/log"
FAILED_MAX: Final = 1000  # characters of failedMsg

type LockMode = Literal["GOVERNANCE", "COMPLIANCE"]
type RecordNumber = Annotated[Decimal, Field(ge=1, le=1000)]


class Status(StrEnum):
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAIL = "FAIL"


class RecordQuery(BaseModel):
    """Seed 003, table 2. `offset` is the number of the first record, counted from 1, newest first.

    `marker`, that of the answer before, is ours: numbers are counted from behind it, and so go beyond 1000.
    """

    model_config = ConfigDict(frozen=True)

    offset: RecordNumber = 1
    limit: RecordNumber = 10
    status: Literal["FAIL", "NOT_FAIL", ""] = ""
    marker: Annotated[str, Field(pattern=r"^(\d{13}/[A-Za-z0-9._-]{1,128})?$")] = ""


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

    def seen_at(self, now: int) -> "ClusterLogRecord":
        """The record as a reader sees it: one whose worker has died is not running for ever."""
        died = self.status is Status.RUNNING and self.lease_until is not None and self.lease_until < now
        return ClusterLogRecord(
            id=self.id,
            clusterId=self.cluster_id,
            createAt=self.created_at,
            logPath=self.log_path,
            status=Status.FAIL if died else self.status,
            finishedAt=self.lease_until if died else self.finished_at,
            jobTypes=self.job_type,
            failedMsg="the worker stopped without finishing" if died else self.failed_msg,
            jobId=self.job_id,
        )


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

    def configuration(self, bucket: str, keep_days: int, full_every: int) -> LogConfiguration | None:
        """`keep_days` and `full_every` are of a cluster that chose none."""
        if not self.enabled:
            return None
        return LogConfiguration(
            id=self.settings_id,
            clusterId=self.cluster_id,
            obsBucket=bucket,
            agency=self.agency,
            updateAt=self.updated_at,
            basePath=self.base_path,
            autoEnable=self.auto_enable,
            period=self.period if self.auto_enable else None,
            logSwitch=self.log_switch,
            services=list(self.services),
            backupKeepDays=self.keep_days or keep_days,
            fullEvery=self.full_every or full_every,
        )

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

    @property
    def real_time_record(self) -> RealTimeLogCollectRecord | None:
        return RealTimeLogCollectRecord.model_validate(self.real_time) if self.real_time else None


def chain(record: BackupRecord, find: Callable[[str], BackupRecord | None]) -> Iterator[BackupRecord]:
    """A record and those that it continues, to its full one or the first that is not found by its id."""
    found: BackupRecord | None = record
    while found:
        yield found
        found = find(found.base) if found.base else None


class ClusterLogRecord(BaseModel):
    """Seed 003, table 4."""

    id: str
    clusterId: str
    createAt: int
    logPath: str
    status: Status
    finishedAt: int | None
    jobTypes: str
    failedMsg: str | None
    jobId: str


class HeldRecord(BaseModel):
    id: str
    hold: bool


class RecordPage(BaseModel):
    """`marker`, ours, is for the next page, null on the last."""

    clusterLogRecord: list[ClusterLogRecord]
    totalSize: int
    marker: str | None


def page_of(records: Iterable[BackupRecord], query: RecordQuery, now: int) -> RecordPage:
    """The page of records that come newest first; totalSize counts all that match the status."""
    total = number = 0
    page, marker, goes_on = [], None, False
    for record in records:
        seen = record.seen_at(now)
        if query.status and (seen.status is Status.FAIL) != (query.status == "FAIL"):
            continue
        total += 1
        number += not query.marker or record.place < query.marker
        if number >= query.offset + query.limit:
            goes_on = True
        elif number >= query.offset:
            page.append(seen)
            marker = record.place
    return RecordPage(clusterLogRecord=page, totalSize=total, marker=marker if goes_on else None)
