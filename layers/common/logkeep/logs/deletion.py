"""Deletions: what is still known of a log that was deleted (docs/retention.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict

from logkeep.clock import DAY, HOUR
from logkeep.logid import LogId
from logkeep.logs.head import Head, State
from logkeep.logs.labels import Labels, derived_from

REMOVED_AFTER: Final = HOUR  # ms after a deletion: until then readers and writers that were under way have ended
KEPT: Final = 90 * DAY  # ms for which a deletion is known at least


class Why(StrEnum):
    REQUEST = "request"  # of this log
    ORDER = "order"  # of many
    RETENTION = "retention"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A log as it was when it was deleted. Sizes are in bytes, times in epoch milliseconds."""

    log_id: LogId
    birth: str
    at: int
    by: str  # the id of a credential; empty for retention
    why: Why
    began: int
    arrived: int  # when its first text had arrived
    day: int | None  # the last on which text arrived
    end: int
    lines: int
    crc32: int
    state: State
    labels: Labels
    objects: int | None = None  # that were removed; None until they are counted
    removed_at: int | None = None  # when its text was gone

    @classmethod
    def of(cls, head: Head, by: str, why: Why, now: int) -> Self:
        return cls(
            log_id=head.log_id,
            birth=head.birth,
            at=now,
            by=by,
            why=why,
            began=head.began,
            arrived=head.began if head.arrived is None else head.arrived,
            day=head.day,
            end=head.end,
            lines=head.all_lines,
            crc32=head.crc32,
            state=head.state,
            labels=head.labels,
        )

    def item(self) -> dict[str, Any]:
        return {
            "log": str(self.log_id),
            "birth": self.birth,
            "at": self.at,
            "by": self.by,
            "why": self.why.value,
            "began": self.began,
            "arrived": self.arrived,
            "day": self.day,
            "end": self.end,
            "lines": self.lines,
            "crc32": self.crc32,
            "state": self.state.value,
            "labels": dict(self.labels) or None,
            "objects": self.objects,
            "removed_at": self.removed_at,
        }

    @classmethod
    def of_item(cls, item: Mapping[str, Any]) -> Self:
        return cls(
            log_id=LogId.parse(item["log"]),
            birth=item["birth"],
            at=item["at"],
            by=item["by"],
            why=Why(item["why"]),
            began=item["began"],
            arrived=item["arrived"],
            day=item.get("day"),
            end=item["end"],
            lines=item["lines"],
            crc32=item["crc32"],
            state=State(item["state"]),
            labels=item.get("labels", {}),
            objects=item.get("objects"),
            removed_at=item.get("removed_at"),
        )


class DeletionCertificate(BaseModel):
    """What was deleted, when and by whom, and what is left of it. Times are in epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    log_id: str
    deleted_at: int
    deleted_by: str  # the id of a credential; empty if its days of retention were over
    reason: Why
    began_at: int
    state: State
    bytes: int
    lines: int
    crc32: str
    labels: dict[str, str]
    objects: int | None  # in the bucket, which held it; null until they were counted
    removed_at: int | None  # when its text was gone from table and bucket; null until then

    @classmethod
    def of(cls, deletion: Deletion) -> Self:
        return cls(**cls.fields_of(deletion))

    @staticmethod
    def fields_of(deletion: Deletion) -> dict[str, Any]:
        return {
            "log_id": str(deletion.log_id),
            "deleted_at": deletion.at,
            "deleted_by": deletion.by,
            "reason": deletion.why,
            "began_at": deletion.began,
            "state": deletion.state,
            "bytes": deletion.end,
            "lines": deletion.lines,
            "crc32": f"{deletion.crc32:08x}",
            "labels": {**derived_from(deletion.log_id), **deletion.labels},
            "objects": deletion.objects,
            "removed_at": deletion.removed_at,
        }
