"""Logs in DynamoDB and S3. Objects are written first, then the rows and the head in one transaction: the commit."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from logkeep.aws import clients
from logkeep.aws.dynamo import attempts, decode, encode, put, query, transact, update
from logkeep.aws.objects import Bucket
from logkeep.clock import DAY, now_ms
from logkeep.errors import Busy, Conflict, Corrupt, LogChanged, LogDeleted, LogNotFound, OffsetBeyondEnd
from logkeep.extents import Extent
from logkeep.limits import INLINE_MAX
from logkeep.logid import LogId
from logkeep.logs import activity, activity_store, fragment
from logkeep.logs.activity import Sighting
from logkeep.logs.calendar import LogDue, Step
from logkeep.logs.certificate_store import Deletions
from logkeep.logs.deletion import DeletionCertificate
from logkeep.logs.format_store import claim_format
from logkeep.logs.fragment import GZIP_HEADER, Fragment, gzip_trailer
from logkeep.logs.head import Head, Totals
from logkeep.logs.items import head_item, head_key, head_of, objects_prefix, row_item
from logkeep.logs.labels import NONE, Labels
from logkeep.logs.orders import PackOrder, order_packing
from logkeep.logs.packs import is_due
from logkeep.logs.project_store import note_project
from logkeep.logs.reader import Row
from logkeep.logs.registration import Registration
from logkeep.logs.registration_store import Registrations
from logkeep.logs.retention_store import Expiry
from logkeep.logs.row_store import RowStore
from logkeep.logs.times import zone_of
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_FILED_AFTER: Final = 2 * DAY  # ms, as for what falls silent

logger = logging.getLogger(__name__)


class LogStore(RowStore):
    """The logs of one project. It cannot make a key of another project."""

    def __init__(self, dynamodb: DynamoDBClient, bucket: Bucket, table: str, project: str) -> None:
        super().__init__(dynamodb, table, project)
        self.bucket = bucket
        self.registrations = Registrations(dynamodb, table, project)
        self.deletions = Deletions(dynamodb, table, project)
        self.expiry = Expiry(dynamodb, table, project)

    # Heads: for readers, to whom an expired log is none

    def head(self, log_id: LogId) -> Head:
        """The head of a log. Raises LogNotFound if nothing was ever appended to it and it was never sealed."""
        head = self.find(log_id)
        if head is None or self.expiry.has_come(head):
            raise LogNotFound(f"no log {log_id}")
        return head

    def heads(self, owner: str, rest: str = "") -> Iterator[Head]:
        """The logs of an owner such as `task/{task_id}` whose ids continue with `rest`, in order of id."""
        items = query(
            self.dynamodb,
            TableName=self.table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :head)",
            ExpressionAttributeValues=encode(
                {":pk": f"{self.project}/{owner}", ":head": f"head/{rest}" if rest else "head"}
            ),
        )
        return (head for head in map(head_of, items) if not self.expiry.has_come(head))

    # For writers

    def find(self, log_id: LogId) -> Head | None:
        """The head of a log, also of one that has expired."""
        item = self.dynamodb.get_item(
            TableName=self.table, Key=encode(head_key(self.project, log_id)), ConsistentRead=True
        ).get("Item")
        return head_of(decode(item)) if item else None

    # Writing

    def append(
        self,
        log_id: LogId,
        body: Callable[[], Iterator[bytes]],
        offset: int | None,
        registration: Registration | None = None,
        time_zone: str | None = None,
        received_at: int | None = None,
        labels: Labels = NONE,
        retention: int | None = None,
    ) -> tuple[Head, bool]:
        """Make the log hold `body` at `offset` (None: at its end). Return the head then, and whether it has changed.

        A new log has the `labels`, the `retention` of its own (days), and the `time_zone` (an IANA name) or else the
        project's. A log that has expired is revived whole. A restore sets when the text had arrived (`received_at`,
        epoch milliseconds).

        Raises Conflict if the log holds other bytes there, has another registration, other labels or another
        retention, or has no room (Head.check_room), LogDeleted or OffsetBeyondEnd if there would be a gap, and Busy if
        other writers were faster on every attempt.
        """
        now = now_ms()
        arrival = now if received_at is None else received_at
        for _ in attempts():
            before = self.find(log_id)
            head = (before or Head.born(log_id, now)).register(registration).labelled(labels).kept_for(retention)
            head = head.in_zone(time_zone, self._default_zone)
            start = head.end if offset is None else offset
            if start > head.end:
                raise self._gap(log_id, before)
            new = self._new_bytes(head, start, body())
            after, packed = head.extended(new, arrival)
            if not packed and head == before and not self.expiry.has_come(before):
                return head, False
            head.check_room(after.end)
            if arrival < now and packed:
                after = after.restored(arrival, now)
            after = self._revived(before, after, now)
            after, sightings = activity.noted(after, [each for each, _ in packed], arrival)
            if self._commit(before, after, packed, sightings):
                self._order_if_due(before, after)
                return after, True
        raise Busy("too many writers append to this log at once", retry_after=1)

    def _gap(self, log_id: LogId, head: Head | None) -> LogDeleted | OffsetBeyondEnd:
        """The error of an append beyond the end of a log, which may have been deleted."""
        if head is None and (deletion := self.deletions.newest(log_id)):
            return LogDeleted(str(log_id), DeletionCertificate.of(deletion).model_dump(mode="json"))
        return OffsetBeyondEnd(head.end if head else 0)

    def _revived(self, before: Head | None, after: Head, now: int) -> Head:
        """The head after a write at a time (epoch milliseconds), which readers find though it had expired."""
        return replace(after, written_at=now) if before and self.expiry.has_come(before) else after

    def seal(self, log_id: LogId, totals: Totals) -> Head:
        """Seal a log. Return the head then. A log that has expired is revived whole.

        Raises LogNotFound if nothing was ever appended and the totals name no bytes, Conflict if the log contradicts
        the totals, and Busy if other writers were faster on every attempt.
        """
        for _ in attempts():
            before = self.find(log_id)
            if before is None and totals.bytes is None:
                raise LogNotFound(f"no log {log_id}; to seal one that is empty or lost, send its number of bytes")
            now = now_ms()
            after = self._revived(before, (before or Head.born(log_id, now)).seal(totals), now)
            if after == before:
                return after
            if self._commit(before, after, []):
                self._order_if_due(before, after)
                return after
        raise Busy("too many writers change this log at once", retry_after=1)

    def _order_if_due(self, before: Head | None, after: Head) -> None:
        """Order a worker to pack the log if it is due. A later order makes a lost one good."""
        if is_due(before, after):
            try:
                order_packing(PackOrder(project=self.project, log_id=str(after.log_id), birth=after.birth))
            except (ClientError, BotoCoreError):
                logger.warning(
                    "%s is packed later, because its worker could not be ordered", after.log_id, exc_info=True
                )

    def hold(self, log_id: LogId, *, on: bool) -> Head:
        """Keep a log from expiry and deletion, also one that has expired, or no longer. Return the head then.

        Raises LogNotFound, and Busy if other writers were faster on every attempt.
        """
        for _ in attempts():
            before = self.find(log_id)
            if before is None:
                raise LogNotFound(f"no log {log_id}")
            if before.hold == on:
                return before
            after = replace(before, hold=on)
            items: list[TransactWriteItemTypeDef] = [{"Put": self.put_of_head(before, after)}]
            if not on:  # what is held is in no calendar
                items.append({"Put": self._put_of_due(after, now_ms())})
            if not transact(self.dynamodb, items).refused:
                return after
        raise Busy("too many writers change this log at once", retry_after=1)

    def file(self, log_id: LogId) -> None:
        """Have it looked in some days whether a log has expired, whose text arrived long ago: it was restored."""
        if head := self.find(log_id):
            put(self.dynamodb, **self._put_of_due(head, now_ms() + _FILED_AFTER))

    def _put_of_due(self, head: Head, at: int) -> Any:
        due = LogDue(step=Step.EXPIRE, log_id=head.log_id, birth=head.birth, at=at)
        return {"TableName": self.table, "Item": encode(due.item(self.project))}

    def set_time_zone(self, name: str) -> None:
        """Set the time zone of the project's new logs. Raises ValueError if there is none of that name."""
        zone_of(name)
        put(self.dynamodb, TableName=self.table, Item=encode(self._settings_key() | {"time_zone": name}))

    def _default_zone(self) -> str:
        item = self.dynamodb.get_item(TableName=self.table, Key=encode(self._settings_key())).get("Item")
        return decode(item)["time_zone"] if item else "UTC"

    def _settings_key(self) -> dict[str, str]:
        return {"pk": f"{self.project}/settings", "sk": "settings"}

    def note_follower(self, log_id: LogId, until_ms: int) -> None:
        """Note in the head, for the log's writers, that a reader waits for more until `until_ms` (epoch milliseconds).

        A later time that is noted already stays.
        """
        later = "(attribute_not_exists(followed_until) OR followed_until < :until)"
        # A later note is as good. Without any, writers ship less often for a while; followers make another soon.
        with suppress(self.dynamodb.exceptions.ConditionalCheckFailedException, Busy):
            update(
                self.dynamodb,
                TableName=self.table,
                Key=encode(head_key(self.project, log_id)),
                UpdateExpression="SET followed_until = :until",
                ConditionExpression=f"attribute_exists(pk) AND {later}",
                ExpressionAttributeValues=encode({":until": until_ms}),
            )

    def _new_bytes(self, head: Head, offset: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The part of the pieces at `offset` after the head's end. Raises Conflict if the part before it differs."""
        stored = self.texts(head, offset) if offset < head.end else iter(())
        rest = b""
        for piece in pieces:
            done = 0
            while done < len(piece) and offset < head.end:
                rest = rest or next(stored)
                size = min(len(rest), len(piece) - done)
                if piece[done : done + size] != rest[:size]:
                    raise Conflict(f"the log holds other bytes between {offset} and {offset + size}")
                done, offset, rest = done + size, offset + size, rest[size:]
            if done < len(piece):
                yield piece[done:]

    def _commit(
        self,
        before: Head | None,
        after: Head,
        packed: Sequence[tuple[Fragment, bytes]],
        sightings: Sequence[Sighting] = (),
    ) -> bool:
        """Write the object, then the rows and the head in one transaction. False if another writer was faster."""
        size = sum(len(data) for _, data in packed)
        key = None
        if size > INLINE_MAX:
            # Each attempt has its own key, so a late one can never overwrite a committed object.
            name = f"{packed[0][0].offset:016d}-{uuid.uuid4().hex}.gz"
            key = objects_prefix(self.project, after) + name
            self.bucket.s3.put_object(Bucket=self.bucket.name, Key=key, Body=_gzip(packed))
        items: list[TransactWriteItemTypeDef] = []
        start = len(GZIP_HEADER)
        for each, data in packed:
            place = {"data": data} if key is None else {"key": key, "start": start}
            items.append(
                {
                    "Put": {
                        "TableName": self.table,
                        "Item": encode(row_item(self.project, after, each) | place),
                    }
                }
            )
            start += len(data)
        if before is None:
            _claim_format(self.dynamodb, self.table)
            _note_project(self.dynamodb, self.table, self.project)
        if not after.day:
            # No activity will say that it fell silent.
            items.append({"Put": self._put_of_due(after, after.began + _FILED_AFTER)})
        items.append({"Put": self.put_of_head(before, after)})
        items += (activity_store.put(self.table, self.project, each) for each in sightings)
        if after.registration and after.registration != (before and before.registration):
            items += self.registrations.puts(after.log_id, after.birth, after.registration)
        if not transact(self.dynamodb, items).refused:
            return True
        # The transaction was refused, so nothing refers to the object. (If only its answer is lost, transact raises and
        # the object stays.)
        if key:
            self.bucket.delete(key)
        return False

    def put_of_head(self, before: Head | None, after: Head) -> Any:
        written = replace(after, version=after.version + 1)
        put = {"TableName": self.table, "Item": encode(head_item(self.project, written))}
        if before is None:
            return put | {"ConditionExpression": "attribute_not_exists(pk)"}
        # A follower's note does not change the version, but this put would lose one made after the head was read.
        noted = before.followed_until is not None
        followed = "followed_until = :followed" if noted else "attribute_not_exists(followed_until)"
        return put | {
            # The version alone could be equal after the log was deleted and begun anew.
            "ConditionExpression": f"birth = :birth AND #version = :version AND {followed}",
            "ExpressionAttributeNames": {"#version": "version"},
            "ExpressionAttributeValues": encode(
                {":birth": before.birth, ":version": before.version, ":followed": before.followed_until}
            ),
        }

    def delete_of_head(self, head: Head) -> Any:
        """The removal of a head, on the condition that it was not written since."""
        condition = self.put_of_head(head, head)
        key = {"TableName": self.table, "Key": encode(head_key(self.project, head.log_id))}
        return key | {name: value for name, value in condition.items() if name.startswith(("Cond", "Expr"))}

    def drop(self, head: Head) -> None:
        """Remove a head and all its rows and packs, whose objects are gone. Raises Conflict if it was written since."""
        if transact(self.dynamodb, [{"Delete": self.delete_of_head(head)}]).refused:
            raise Conflict(f"{head.log_id} was written meanwhile")
        self.remove_rows(head)

    # Reading

    def texts(self, head: Head, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The text of [start, end), a fragment at a time. Without `end`, to the head's end."""
        position, stop = start, head.end if end is None else end
        while position < stop:
            try:
                for text, each in self._inflated(self.rows(head, position, stop)):
                    yield text[position - each.offset : stop - each.offset]
                    position = each.end
            except LogChanged:
                head = self.now(head)

    def _inflated(self, rows: Iterable[Row]) -> Iterator[tuple[bytes, Fragment]]:
        """The text and the fragment of each row. Rows that touch in one object are read with one request."""
        waiting: list[Fragment] = []

        def extents() -> Iterator[Extent]:
            for row in rows:
                waiting.append(row.fragment)
                yield row.extent

        buffer = bytearray()
        for chunk in self.bucket.read(extents()):
            buffer += chunk
            while waiting and len(buffer) >= waiting[0].packed:
                each = waiting.pop(0)
                yield fragment.inflate(bytes(buffer[: each.packed]), each), each
                del buffer[: each.packed]
        if waiting:
            raise Corrupt(f"an object ends before the fragment at {waiting[0].offset}")

    def texts_of(self, rows: Iterable[Row]) -> Iterator[bytes]:
        """The text of each row, in the order of the rows. Rows that touch in one object are read with one request."""
        return (text for text, _ in self._inflated(rows))

    def text(self, row: Row) -> bytes:
        """The text of one row."""
        return fragment.inflate(b"".join(self.bucket.read([row.extent])), row.fragment)


@cache
def _claim_format(dynamodb: DynamoDBClient, table: str) -> None:
    """Once in a process."""
    claim_format(dynamodb, table)


@cache
def _note_project(dynamodb: DynamoDBClient, table: str, project: str) -> None:
    """Once in a process."""
    note_project(dynamodb, table, project)


def log_store(project: str) -> LogStore:
    """The store of this deployment."""
    env = settings()
    return LogStore(clients.dynamodb(), Bucket(clients.s3(), env.bucket), env.logs_table, project)


def _gzip(packed: Sequence[tuple[Fragment, bytes]]) -> bytes:
    """The fragments as one .gz file, so that objects in the bucket can be read with zcat."""
    crc, raw = 0, 0
    for each, _ in packed:
        crc = fragment.combine_crc32(crc, each.crc32, each.raw)
        raw += each.raw
    return b"".join((GZIP_HEADER, *(data for _, data in packed), gzip_trailer(crc, raw)))
