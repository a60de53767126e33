"""The lease of a cluster's running backup: at most one backup runs, and one worker at a time works on it.

The item `active` exists while a backup runs (work_store.py). A worker that is slow may outlive its lease. By then
another worker may have taken one, so the fence in the item is higher, and every write of the slow worker, conditional
on its own fence, is refused.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from logkeep.aws.dynamo import transact
from logkeep.backups.records import BackupRecord
from logkeep.backups.schedule import MISSED_AFTER
from logkeep.backups.store import NEW, BackupStore, record_of, sort_key
from logkeep.backups.work_store import Claim, Kind, WorkItem
from logkeep.clock import now_ms
from logkeep.errors import BackupInProgress

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to work on a backup, as long as its claim is good."""

    record: BackupRecord
    claim: Claim


class Leases:
    """The leases of one project's cluster."""

    def __init__(self, store: BackupStore) -> None:
        self._store = store
        self._items = store.items
        self._item = WorkItem(store.items, "active")

    def start(self, record: BackupRecord, now: int, *, ordered: bool = True) -> bool:
        """Store a backup record as the running one, which no worker has claimed yet. False if it was stored before.

        Say with `ordered` whether a worker is ordered next. Raises BackupInProgress if another backup runs.
        """
        put_active = self._item.put_of(Kind.BACKUPS, sort_key(record), now, ordered=ordered)
        put_record, put_id = self._store.puts_of_new(record)
        written = transact(
            self._items.dynamodb, [put_record, put_id, {"Put": put_active | {"ConditionExpression": NEW}}]
        )
        is_known = 0 in written.refused  # put_record is item 0
        if written.refused and not is_known:
            raise BackupInProgress("")
        return not is_known

    def claim(self, now: int, seconds: float, request: str = "") -> Lease | None:
        """Take the lease of the running backup for so many seconds.

        None if no backup runs, or if another request holds the lease.
        """
        claim = self._item.claim(now, seconds, request)
        item = claim and self._items.get(claim.of)
        return Lease(record_of(item), claim) if claim and item else None

    def release(self, lease: Lease, now: int, *, progress: bool) -> None:
        """Give the lease back: the backup waits for its turn."""
        self._item.release(lease.claim, now, progress=progress)

    def finish(
        self, lease: Lease, record: BackupRecord, since_full: int | None = None, *, full_next: bool = False
    ) -> bool:
        """Write the end of a backup. False if another worker took the lease meanwhile; then nothing is written.

        Pass `since_full` for a success: the number of backups since the last full one. `full_next` says that the next
        backup must be full. Workers that held the lease before may still write objects; the sweep removes them.
        """
        items: list[TransactWriteItemTypeDef] = [
            self._item.delete_of(lease.claim),
            {"Put": self._items.put_of(sort_key(record), asdict(record) | {"leftovers": True})},
            self._store.sweep_update(),
        ]
        if since_full is not None:
            success = {"last_record": record.id, "since_full": since_full, "full_next": None}
            items.append({"Update": self._items.update_of("cluster", success)})
        else:
            items.append(self._store.alert_put(record))
            if full_next:
                items.append({"Update": self._items.update_of("cluster", {"full_next": True})})
        if transact(self._items.dynamodb, items).refused:
            return False
        if since_full is not None:
            self._items.try_update("watch", {"due_at": now_ms() + MISSED_AFTER}, {"pk": self._items.pk})
        return True
