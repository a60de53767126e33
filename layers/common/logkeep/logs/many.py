"""Deletions of many logs: which they are, and how far an order for them has come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from logkeep.clock import DAY
from logkeep.logs.head import Head
from logkeep.logs.listing import Selection
from logkeep.logs.retention import is_below

COUNT_HOLDS: Final = DAY  # ms for which a count can be ordered to be deleted
KNOWN: Final = 90 * DAY  # ms for which an order is known


class State(StrEnum):
    COUNTING = "counting"
    COUNTED = "counted"  # nothing is deleted yet
    DELETING = "deleting"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A dry run, and then the deletion of what it counted. Sizes are in bytes of text, times in epoch milliseconds."""

    token: str
    state: State
    by: str  # the id of a credential
    at: int  # when it was asked for: logs that began later are none of its
    prefix: str = ""
    kind: str | None = None
    labels: Sequence[tuple[str, str]] = ()
    marker: str = ""  # the last id that was looked at in this state
    logs: int = 0  # that were counted, without those that are held
    bytes: int = 0
    held: int = 0
    deleted: int = 0
    deleted_bytes: int = 0

    @property
    def ids(self) -> tuple[str, str] | None:
        """The range of the ids that are left to be looked at, with both ends; None if there are none."""
        return Selection(prefix=self.prefix, kind=self.kind).ids(self.marker)

    def names(self, head: Head) -> bool:
        """Whether a log is one of those that it is about, held or not."""
        wanted = Selection(kind=self.kind, labels=self.labels)
        is_old = head.began <= self.at
        return is_old and wanted.has(head, ()) and (not self.prefix or is_below(head.log_id, self.prefix))

    def item(self) -> dict[str, Any]:
        return {
            "token": self.token,
            "state": self.state.value,
            "by": self.by,
            "at": self.at,
            "prefix": self.prefix,
            "kind": self.kind,
            "labels": [list(each) for each in self.labels],
            "marker": self.marker,
            "logs": self.logs,
            "bytes": self.bytes,
            "held": self.held,
            "deleted": self.deleted,
            "deleted_bytes": self.deleted_bytes,
        }

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Self:
        return cls(
            token=item["token"],
            state=State(item["state"]),
            by=item["by"],
            at=item["at"],
            prefix=item["prefix"],
            kind=item.get("kind"),
            labels=[(key, value) for key, value in item["labels"]],
            marker=item["marker"],
            logs=item["logs"],
            bytes=item["bytes"],
            held=item["held"],
            deleted=item["deleted"],
            deleted_bytes=item["deleted_bytes"],
        )
