"""Backup records of a cluster, as CSS shows them (seed 003)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from logkeep.params import Decimal

type RecordNumber = Annotated[Decimal, Field(ge=1, le=1000)]


class Status(StrEnum):
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAIL = "FAIL"


class RecordQuery(BaseModel):
    """Seed 003, table 2. `offset` is the number of the first record, counted from 1, newest first."""

    model_config = ConfigDict(frozen=True)

    offset: RecordNumber = 1
    limit: RecordNumber = 10
    status: Literal["FAIL", "NOT_FAIL", ""] = ""


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
    lease_until: int | None = None  # of the worker that runs it

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


class RecordPage(BaseModel):
    clusterLogRecord: list[ClusterLogRecord]
    totalSize: int


def page_of(records: Iterable[BackupRecord], query: RecordQuery, now: int) -> RecordPage:
    """The page of records that come newest first; totalSize counts all that match the status."""
    total = 0
    page = []
    for record in records:
        seen = record.seen_at(now)
        if query.status and (seen.status is Status.FAIL) != (query.status == "FAIL"):
            continue
        total += 1
        if query.offset <= total < query.offset + query.limit:
            page.append(seen)
    return RecordPage(clusterLogRecord=page, totalSize=total)
