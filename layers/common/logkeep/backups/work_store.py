"""Work items: what workers do or are needed for, each with the lease of the worker that does it.

`active` is the backup that runs, `restore/{record}` and `verification/{record}` are jobs. They are due items in shards
of their own, so that one query finds all work of a kind. Of an item that is not due yet, a worker holds the lease or
was ordered; one that is due needs a worker. The table is the queue: an order only wakes a worker, and if it is lost,
the schedule sends another one.

Each lease has a fence, a number one higher than that of the lease before it. The item also names the request that holds
the lease: Lambda repeats a request, with its id, only after the worker failed or was killed, so the same request may
take over its own lease at once. Each request whose lease ended without progress is a try.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from logkeep.aws.dynamo import transact
from logkeep.aws.partition import Partition, where
from logkeep.backups.due_store import Due, items_of
from logkeep.backups.turns import Bounds
from logkeep.clock import DAY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

ORDERED_FOR: Final = 120_000  # ms in which a worker that was ordered must claim; after that the schedule orders again
LEASE_OVER: Final = 30.0  # seconds by which a lease outlives its invocation
TRIES_MAX: Final = 5  # requests in a row without progress; the next one that comes ends the work as failed


class Kind(StrEnum):
    """The shard of a kind of work."""

    BACKUPS = "work/backups"
    JOBS = "work/jobs"


BOUNDS: Final = {Kind.BACKUPS: Bounds(in_all=10, of_project=4), Kind.JOBS: Bounds(in_all=5, of_project=2)}


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to work on an item, as long as its fence is the one in the table."""

    of: str  # what the item was made for
    fence: int
    tries: int  # requests without progress, this one included

    @property
    def held(self) -> Mapping[str, Any]:
        """What the item contains while the claim is good. Fences are counted anew for each backup or job."""
        return {"fence": self.fence, "of": self.of}


class WorkItem:
    """One work item of a cluster, by its sort key."""

    def __init__(self, items: Partition, name: str) -> None:
        self._items = items
        self._name = name

    def put_of(self, kind: Kind, of: str, now: int, *, ordered: bool) -> Any:
        """A put of the item that nobody has claimed yet. `of` is the id of the backup's record or of the job.

        Say with `ordered` whether a worker is ordered next; otherwise the item waits for its turn.
        """
        due = {"due_shard": kind, "due_at": now + ORDERED_FOR if ordered else now}
        return self._items.put_of(self._name, {**due, "of": of, "fence": 0, "lease_until": 0, "tries": 0})

    def claim(self, now: int, seconds: float, request: str = "") -> Claim | None:
        """Take the lease for so many seconds. None if there is no such work, or if another request holds the lease."""
        item = self._items.get(self._name)
        if item is None:
            return None
        repeated = bool(request) and item.get("request") == request
        if item["lease_until"] > now and not repeated:
            return None
        tries = item["tries"] if repeated else item["tries"] + 1
        until, claim = now + int(seconds * 1000), Claim(item["of"], item["fence"] + 1, tries)
        lease = {"fence": claim.fence, "lease_until": until, "due_at": until, "tries": claim.tries}
        seen = {"fence": item["fence"], "of": item["of"]}
        taken = self._items.try_update(self._name, {**lease, "request": request or None}, seen)
        return claim if taken else None

    def release(self, claim: Claim, now: int, *, progress: bool) -> None:
        """Give the lease back: the item waits for its turn."""
        fields = {"lease_until": 0, "due_at": now} | ({"tries": 0} if progress else {})
        self._items.try_update(self._name, fields, claim.held)

    def end(self, claim: Claim) -> None:
        """Remove the item, unless another worker took the lease meanwhile."""
        transact(self._items.dynamodb, [self.delete_of(claim)])

    def delete_of(self, claim: Claim) -> TransactWriteItemTypeDef:
        """The part of a transaction that removes the item, if the claim is still good."""
        return {"Delete": self._items.key(self._name) | where(claim.held)}

    def was_left(self) -> bool:
        """Whether a worker took the lease and did not give it back."""
        item = self._items.get(self._name)
        return item is not None and item["lease_until"] > 0

    def note_ordered(self, now: int) -> bool:
        """Note that a worker is ordered for the item, if it is due. False if it is not, or not any more."""
        item = self._items.get(self._name)
        if item is None or item["due_at"] > now:
            return False
        seen = {"due_at": item["due_at"], "fence": item["fence"], "of": item["of"]}
        return self._items.try_update(self._name, {"due_at": now + ORDERED_FOR, "lease_until": 0}, seen)


def work_of(kind: Kind, now: int, released: Due | None = None) -> tuple[Counter[str], list[Due]]:
    """How many workers of each project are busy, and which items need a worker, the longest due first.

    Pass what was released a moment ago: the index may not show it yet.
    """
    busy, due = Counter[str](), list[Due]()
    for each in items_of(kind, now + DAY):  # leases last a quarter of an hour
        if released and each[:3] == released[:3]:
            continue
        if each.at > now:
            busy[each.project] += 1
        else:
            due.append(each)
    return busy, [*due, released] if released else due


def has_room(kind: Kind, project: str, now: int) -> bool:
    """Whether a worker may be ordered at once for a project. The index is a moment behind, so it is not exact."""
    busy, _ = work_of(kind, now)
    return BOUNDS[kind].leave_room(busy, project)
