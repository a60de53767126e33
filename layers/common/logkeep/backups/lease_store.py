"""The lease of a cluster's running backup: at most one backup runs, and one worker at a time works on it.

The item `active` exists while a backup runs. It names the backup record and says until when which worker holds the
lease. Each lease has a fence, a number one higher than the fence of the lease before it. A worker that is slow may
outlive its lease. By then another worker may have taken one, so the fence in the item is higher, and every write of the
slow worker, conditional on its own fence, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from logkeep.aws.dynamo import transact
from logkeep.aws.partition import where
from logkeep.backups.due_store import due_put
from logkeep.backups.records import BackupRecord
from logkeep.backups.schedule import MISSED_AFTER
from logkeep.backups.store import NEW, BackupStore, record_of, sort_key
from logkeep.clock import now_ms
from logkeep.errors import BackupInProgress

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

QUEUED_FOR: Final = 120_000  # ms in which a worker must claim a backup; after that the schedule asks again
ASKED_MAX: Final = 5  # times in a row that the schedule asks without progress, before the backup fails


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to work on a backup, as long as its fence is the one in the table."""

    record: BackupRecord
    fence: int


class Leases:
    """The leases of one project's cluster."""

    def __init__(self, store: BackupStore) -> None:
        self._store = store
        self._items = store.items

    def start(self, record: BackupRecord, now: int) -> bool:
        """Store a backup record as the running one, which no worker has claimed yet. False if it was stored before.

        Raises BackupInProgress if another backup of the cluster runs.
        """
        active = {"record": sort_key(record), "fence": 0, "lease_until": 0, "asked": 0}
        put_active = due_put(self._items, "active", now + QUEUED_FOR, active) | {"ConditionExpression": NEW}
        put_record, put_id = self._store.puts_of_new(record)
        written = transact(self._items.dynamodb, [put_record, put_id, {"Put": put_active}])
        is_known = 0 in written.refused  # put_record is item 0
        if written.refused and not is_known:
            raise BackupInProgress("")
        return not is_known

    def claim(self, now: int, seconds: float) -> Lease | None:
        """Take the lease of the running backup for so many seconds.

        None if no backup runs, or if another worker holds the lease.
        """
        active = self._items.get("active")
        if active is None or active["lease_until"] > now:
            return None
        until, fence = now + int(seconds * 1000), active["fence"] + 1
        seen = {"fence": active["fence"], "record": active["record"]}
        if not self._items.try_update("active", {"fence": fence, "lease_until": until, "due_at": until}, seen):
            return None
        item = self._items.get(active["record"])
        return Lease(record_of(item), fence) if item else None

    def release(self, lease: Lease, now: int, *, progress: bool) -> None:
        """Give the lease back, so that the next worker can claim the backup.

        That worker is called by a message; if the message is lost, the schedule asks again after QUEUED_FOR.
        """
        fields = {"lease_until": 0, "due_at": now + QUEUED_FOR} | ({"asked": 0} if progress else {})
        self._items.try_update("active", fields, _held(lease))

    def finish(
        self, lease: Lease, record: BackupRecord, since_full: int | None = None, *, full_next: bool = False
    ) -> bool:
        """Write the end of a backup. False if another worker took the lease meanwhile; then nothing is written.

        Pass `since_full` for a success: the number of backups since the last full one. `full_next` says that the next
        backup must be full. Workers that held the lease before may still write objects; the sweep removes them.
        """
        items: list[TransactWriteItemTypeDef] = [
            {"Delete": self._items.key("active") | where(_held(lease))},
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

    def ask_again(self, now: int) -> bool:
        """Whether to order a worker again, because nobody holds the lease of the running backup and it is overdue.

        After ASKED_MAX times in a row without progress the backup is written as failed instead.
        """
        active = self._items.get("active")
        if active is None or active["due_at"] > now:
            return False
        if active["asked"] < ASKED_MAX:
            seen = {"due_at": active["due_at"], "record": active["record"]}
            return self._items.try_update("active", {"due_at": now + QUEUED_FOR, "asked": active["asked"] + 1}, seen)
        if lease := self.claim(now, QUEUED_FOR / 1000):
            message = f"no worker could continue the backup, although it was asked for {ASKED_MAX} more times"
            self.finish(lease, lease.record.failed(message, now))
        return False


def _held(lease: Lease) -> Mapping[str, Any]:
    """What `active` contains while the lease is good. Fences are counted per record, so the record is compared too."""
    return {"fence": lease.fence, "record": sort_key(lease.record)}
