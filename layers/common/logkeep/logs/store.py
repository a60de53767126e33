"""Logs in DynamoDB and S3. Objects are written first, then the rows and the head in one transaction: the commit."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from logkeep.aws import clients
from logkeep.aws.dynamo import attempts, decode, encode, put, query, transact, update
from logkeep.aws.objects import Bucket
from logkeep.clock import now_ms
from logkeep.errors import Busy, Conflict, Corrupt, LogChanged, LogNotFound, OffsetBeyondEnd
from logkeep.extents import Extent
from logkeep.limits import INLINE_MAX
from logkeep.logid import LogId
from logkeep.logs import activity, activity_store, fragment
from logkeep.logs.activity import Sighting
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
from logkeep.logs.row_store import RowStore
from logkeep.logs.times import zone_of
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

logger = logging.getLogger(__name__)


class LogStore(RowStore):
    """The logs of one project. It cannot make a key of another project."""

    def __init__(self, dynamodb: DynamoDBClient, bucket: Bucket, table: str, project: str) -> None:
        super().__init__(dynamodb, table, project)
        self.bucket = bucket
        self.registrations = Registrations(dynamodb, table, project)

    # Heads

    def head(self, log_id: LogId) -> Head:
        """The head of a log. Raises LogNotFound if nothing was ever appended to it and it was never sealed."""
        head = self.find(log_id)
        if head is None:
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
        return map(head_of, items)

    def find(self, log_id: LogId) -> Head | None:
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
    ) -> tuple[Head, bool]:
        """Make the log hold `body` at `offset` (None: at its end). Return the head then, and whether it has changed.

        A new log has the `labels`, and the `time_zone` (an IANA name) or else the project's. A restore sets when the
        text had arrived (`received_at`, epoch milliseconds).

        Raises Conflict if the log holds other bytes there, has another registration or other labels, or has no room
        (Head.check_room), OffsetBeyondEnd if there would be a gap, and Busy if other writers were faster on every
        attempt.
        """
        arrival = now_ms() if received_at is None else received_at
        for _ in attempts():
            before = self.find(log_id)
            head = (before or Head.born(log_id)).register(registration).labelled(labels)
            head = head.in_zone(time_zone, self._default_zone)
            start = head.end if offset is None else offset
            if start > head.end:
                raise OffsetBeyondEnd(head.end)
            new = self._new_bytes(head, start, body())
            after, packed = head.extended(new, arrival)
            if not packed and head == before:
                return head, False
            head.check_room(after.end)
            after, sightings = activity.noted(after, [each for each, _ in packed], arrival)
            if self._commit(before, after, packed, sightings):
                self._order_if_due(before, after)
                return after, True
        raise Busy("too many writers append to this log at once", retry_after=1)

    def seal(self, log_id: LogId, totals: Totals) -> Head:
        """Seal a log. Return the head then.

        Raises LogNotFound if nothing was ever appended and the totals name no bytes, Conflict if the log contradicts
        the totals, and Busy if other writers were faster on every attempt.
        """
        for _ in attempts():
            before = self.find(log_id)
            if before is None and totals.bytes is None:
                raise LogNotFound(f"no log {log_id}; to seal one that is empty or lost, send its number of bytes")
            after = (before or Head.born(log_id)).seal(totals)
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

    def drop(self, head: Head) -> None:
        """Remove a head and all its rows and packs, whose objects are gone. Raises Conflict if it was written since."""
        item = {"Delete": {"TableName": self.table, "Key": encode(head_key(self.project, head.log_id))}}
        condition = self.put_of_head(head, head)
        item["Delete"] |= {name: value for name, value in condition.items() if name.startswith(("Cond", "Expr"))}
        if transact(self.dynamodb, [item]).refused:  # type: ignore[list-item]  # built as a dict
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
