"""Packing logs, pack by pack: the object first, then its items, the head and the order to clean up in one transaction.

A packer that is killed leaves at most an object that no item names. Of two that pack the same text, the transaction
lets one through.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from logkeep.aws.dynamo import attempts, encode, transact
from logkeep.clock import DAY, now_ms
from logkeep.errors import Busy
from logkeep.logs.calendar import CleanUp
from logkeep.logs.head import Head
from logkeep.logs.items import TABLE, objects_prefix
from logkeep.logs.levels import ScanState
from logkeep.logs.packs import NewPack, Pack, about, header_of, new_pack, pack_item, table_of, trailer_of
from logkeep.logs.store import LogStore, log_store

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

KEPT: Final = DAY  # for which readers find what a pack has replaced


class Packer:
    """Packs the logs of one project."""

    def __init__(self, logs: LogStore) -> None:
        self._logs = logs

    def pack(self, head: Head, deadline: float) -> Head | None:
        """Pack what a log held when `head` was read, as far as the time allows (`deadline` of time.monotonic()).

        Returns the head after the last pack; None if the log was deleted, or another packer was faster. Raises Corrupt
        if stored bytes do not match their checksums.
        """
        end = head.end
        while head.mark.raw < end:
            packed = self._pack_next(head, end, lambda: time.monotonic() > deadline)
            if packed is None:
                return None
            head = packed
            if time.monotonic() > deadline:
                break
        return head

    def _pack_next(self, head: Head, end: int, is_late: Callable[[], bool]) -> Head | None:
        logs = self._logs
        new = new_pack(logs.unpacked_rows(head, head.mark.raw, end), logs.bucket.read, logs.texts_of, is_late)
        if new is None:
            return head
        table = table_of(new.fragments)
        header = header_of(table, about(logs.project, head, new, self._state_after(head, new)))
        name = f"{head.mark.raw:016d}-{uuid.uuid4().hex}.pack.gz"
        pack = Pack(objects_prefix(logs.project, head) + name, len(header), head.mark, new.sums)
        body = b"".join((header, *new.data, trailer_of(new.sums)))
        new.data.clear()
        logs.bucket.s3.put_object(Bucket=logs.bucket.name, Key=pack.key, Body=body)
        del body
        for _ in attempts():
            now = logs.find(head.log_id)
            if now is None or now.birth != head.birth:
                return None  # the object goes with the others of the log
            if now.mark != head.mark:
                # A rebuild may have found the object, and made it the log's.
                if any(each.key == pack.key for each in logs.packs(now, pack.offset, pack.end)):
                    return now
                logs.bucket.delete(pack.key)
                return None
            after = now.with_pack(new.sums, new.replaced)
            if commit(logs, now, after, pack, table):
                return after
        raise Busy("too many writers change this log at once", retry_after=1)

    def _state_after(self, head: Head, new: NewPack) -> ScanState:
        """The scan state where a pack ends."""
        end = head.mark.raw + new.replaced.raw
        if end == head.end:
            return head.scan_state
        return next(iter(self._logs.unpacked_rows(head, end, end + 1))).fragment.before


def puts(logs: LogStore, head: Head, pack: Pack, table: bytes) -> list[TransactWriteItemTypeDef]:
    """The items of a pack, and the order to clean up what it replaces."""
    clean_up = CleanUp(log_id=head.log_id, birth=head.birth, begin=pack.offset, end=pack.end, at=now_ms() + KEPT)
    items: list[dict[str, Any]] = [
        pack_item(logs.project, head, pack),
        pack_item(logs.project, head, pack, TABLE) | {"table": table},
        clean_up.item(logs.project),
    ]
    return [{"Put": {"TableName": logs.table, "Item": encode(item)}} for item in items]


def commit(logs: LogStore, before: Head, after: Head, pack: Pack, table: bytes) -> bool:
    """Make a pack in the bucket the log's. False if the log was written meanwhile."""
    head: TransactWriteItemTypeDef = {"Put": logs.put_of_head(before, after)}
    return not transact(logs.dynamodb, [*puts(logs, after, pack, table), head]).refused


def packer(project: str) -> Packer:
    return Packer(log_store(project))
