"""Backup records as CSS lists them: requests and answers (docs/apis.md#css)."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from logkeep.backups.records import BackupRecord, Status
from logkeep.params import Decimal

type RecordNumber = Annotated[Decimal, Field(ge=1, le=1000)]


class RecordQuery(BaseModel):
    """The query of a list of records. `offset` is the number of the first record, counted from 1, newest first.

    `start` is what Terraform's provider sends in place of `offset`, without its limit, because it knows no marker.
    `marker` is ours and comes from the previous answer. Records are counted after it, so that a client can get beyond
    record 1000.
    """

    model_config = ConfigDict(frozen=True)

    offset: RecordNumber = 1
    start: Annotated[Decimal, Field(ge=0, le=10**9)] | None = None
    limit: RecordNumber = 10
    status: Literal["FAIL", "NOT_FAIL", ""] = ""
    marker: Annotated[str, Field(pattern=r"^([0-9]{13}/[A-Za-z0-9._-]{1,128})?$")] = ""

    @property
    def first(self) -> int:
        """The number of the first record."""
        return self.offset if self.start is None else max(1, self.start)


class ClusterLogRecord(BaseModel):
    """The published clusterLogRecord: a backup record. Times are epoch milliseconds."""

    id: str
    clusterId: str
    createAt: int
    logPath: str
    status: Status
    finishedAt: int | None
    jobTypes: str
    failedMsg: str | None
    jobId: str

    @classmethod
    def of(cls, record: BackupRecord, **more: Any) -> Self:
        return cls(
            id=record.id,
            clusterId=record.cluster_id,
            createAt=record.created_at,
            logPath=record.log_path,
            status=record.status,
            finishedAt=record.finished_at,
            jobTypes=record.job_type,
            failedMsg=record.failed_msg,
            jobId=record.job_id,
            **more,
        )


class HeldRecord(BaseModel):
    id: str
    hold: bool


class RecordPage(BaseModel):
    """A page of records. `marker` is ours: it is for the next page, and null on the last one."""

    clusterLogRecord: list[ClusterLogRecord]
    totalSize: int
    marker: str | None


def page_of(records: Iterable[BackupRecord], query: RecordQuery, now: int) -> RecordPage:
    """A page of records, which must come newest first; totalSize counts all that match the status. `now`: epoch ms."""
    total = number = 0
    page, marker, has_more = [], None, False
    for record in records:
        seen = record.seen_at(now)
        if query.status and (seen.status is Status.FAIL) != (query.status == "FAIL"):
            continue
        total += 1
        number += not query.marker or record.place < query.marker
        if number >= query.first + query.limit:
            has_more = True
        elif number >= query.first:
            page.append(ClusterLogRecord.of(seen))
            marker = record.place
    return RecordPage(clusterLogRecord=page, totalSize=total, marker=marker if has_more else None)
