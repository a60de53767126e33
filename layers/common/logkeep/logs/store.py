"""Logs in DynamoDB and S3. Objects are written first, then the rows and the head in one transaction: the commit."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

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
from logkeep.logs.items import head_item, head_key, head_of, row_item, row_of, rows_key, sort_key
from logkeep.logs.labels import NONE, Labels
from logkeep.logs.project_store import note_project
from logkeep.logs.reader import Row
from logkeep.logs.registration import Registration
from logkeep.logs.registration_store import Registrations
from logkeep.logs.times import zone_of
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

# Rows in one query of `rows_back`: few at first, for readers of the last lines, then more.
_FIRST_PAGE: Final = 8
_PAGE_MAX: Final = 1024


class LogStore:
    """The logs of one project. It cannot make a key of another project."""

    def __init__(self, dynamodb: DynamoDBClient, bucket: Bucket, table: str, project: str) -> None:
        self._project = project
        self._dynamodb = dynamodb
        self._bucket = bucket
        self._table = table
        self.registrations = Registrations(dynamodb, table, project)

    # Heads

    def head(self, log_id: LogId) -> Head:
        """The head of a log. Raises LogNotFound if nothing was ever appended to it and it was never sealed."""
        head = self._head(log_id)
        if head is None:
            raise LogNotFound(f"no log {log_id}")
        return head

    def heads(self, owner: str, rest: str = "") -> Iterator[Head]:
        """The logs of an owner such as `task/{task_id}` whose ids continue with `rest`, in order of id."""
        items = query(
            self._dynamodb,
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :head)",
            ExpressionAttributeValues=encode(
                {":pk": f"{self._project}/{owner}", ":head": f"head/{rest}" if rest else "head"}
            ),
        )
        return map(head_of, items)

    def _head(self, log_id: LogId) -> Head | None:
        item = self._dynamodb.get_item(
            TableName=self._table, Key=encode(head_key(self._project, log_id)), ConsistentRead=True
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
        generation: int | None = None,
        received_at: int | None = None,
        labels: Labels = NONE,
    ) -> tuple[Head, bool]:
        """Make the log hold `body` at `offset` (None: at its end). Return the head then, and whether it has changed.

        A new log has the `labels`, and the `time_zone` (an IANA name) or else the project's. A restore, which packs the
        same text again, sets a `generation` and when the text had arrived (`received_at`, epoch milliseconds).

        Raises Conflict if the log holds other bytes there, has another registration or other labels, or has no room
        (Head.check_room), OffsetBeyondEnd if there would be a gap, and Busy if other writers were faster on every
        attempt.
        """
        arrival = now_ms() if received_at is None else received_at
        for _ in attempts():
            before = self._head(log_id)
            head = (before or Head.born(log_id)).register(registration).labelled(labels)
            head = head.in_zone(time_zone, self._default_zone)
            start = head.end if offset is None else offset
            if start > head.end:
                raise OffsetBeyondEnd(head.end)
            new = self._new_bytes(head, start, body())
            after, packed = head.extended(new, arrival)
            if not packed and head == before:
                return head, False
            if generation is not None:
                after = replace(after, generation=generation)
            head.check_room(after.end)
            after, sightings = activity.noted(after, [each for each, _ in packed], arrival)
            if self._commit(before, after, packed, sightings):
                return after, True
        raise Busy("too many writers append to this log at once", retry_after=1)

    def seal(self, log_id: LogId, totals: Totals) -> Head:
        """Seal a log. Return the head then.

        Raises LogNotFound if nothing was ever appended and the totals name no bytes, Conflict if the log contradicts
        the totals, and Busy if other writers were faster on every attempt.
        """
        for _ in attempts():
            before = self._head(log_id)
            if before is None and totals.bytes is None:
                raise LogNotFound(f"no log {log_id}; to seal one that is empty or lost, send its number of bytes")
            after = (before or Head.born(log_id)).seal(totals)
            if after == before or self._commit(before, after, []):
                return after
        raise Busy("too many writers change this log at once", retry_after=1)

    def set_time_zone(self, name: str) -> None:
        """Set the time zone of the project's new logs. Raises ValueError if there is none of that name."""
        zone_of(name)
        put(self._dynamodb, TableName=self._table, Item=encode(self._settings_key() | {"time_zone": name}))

    def _default_zone(self) -> str:
        item = self._dynamodb.get_item(TableName=self._table, Key=encode(self._settings_key())).get("Item")
        return decode(item)["time_zone"] if item else "UTC"

    def _settings_key(self) -> dict[str, str]:
        return {"pk": f"{self._project}/settings", "sk": "settings"}

    def note_follower(self, log_id: LogId, until_ms: int) -> None:
        """Note in the head, for the log's writers, that a reader waits for more until `until_ms` (epoch milliseconds).

        A later time that is noted already stays.
        """
        later = "(attribute_not_exists(followed_until) OR followed_until < :until)"
        # A later note is as good. Without any, writers ship less often for a while; followers make another soon.
        with suppress(self._dynamodb.exceptions.ConditionalCheckFailedException, Busy):
            update(
                self._dynamodb,
                TableName=self._table,
                Key=encode(head_key(self._project, log_id)),
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
            key = f"logs/{self._project}/{after.log_id}@{after.birth}/{packed[0][0].offset:016d}-{uuid.uuid4().hex}.gz"
            self._bucket.s3.put_object(Bucket=self._bucket.name, Key=key, Body=_gzip(packed))
        items: list[TransactWriteItemTypeDef] = []
        start = len(GZIP_HEADER)
        for each, data in packed:
            place = {"data": data} if key is None else {"key": key, "start": start}
            items.append(
                {
                    "Put": {
                        "TableName": self._table,
                        "Item": encode(row_item(self._project, after, each) | place),
                    }
                }
            )
            start += len(data)
        if before is None:
            _claim_format(self._dynamodb, self._table)
            _note_project(self._dynamodb, self._table, self._project)
        items.append({"Put": self._put_head(before, after)})
        items += (activity_store.put(self._table, self._project, each) for each in sightings)
        if after.registration and after.registration != (before and before.registration):
            items += self.registrations.puts(after.log_id, after.birth, after.registration)
        if not transact(self._dynamodb, items).refused:
            return True
        # The transaction was refused, so nothing refers to the object. (If only its answer is lost, transact raises and
        # the object stays.)
        if key:
            self._bucket.delete(key)
        return False

    def _put_head(self, before: Head | None, after: Head) -> Any:
        written = replace(after, version=after.version + 1)
        put = {"TableName": self._table, "Item": encode(head_item(self._project, written))}
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

    # Reading

    def rows(self, head: Head, start: int = 0, end: int | None = None) -> Iterator[Row]:
        """The rows that hold [start, end), without gaps. The first may begin before `start`, the last end after `end`.

        Raises Corrupt if one is missing, and LogChanged if rows were merged meanwhile so that none begins where the one
        before it ends.
        """
        partition = rows_key(self._project, head)
        stop = head.end if end is None else end
        position = start
        while position < stop:
            moved = False
            for item in self._rows_from(partition, position, stop):
                row = row_of(item)
                if not row.fragment.offset <= position < row.fragment.end:
                    break
                if row.fragment.offset < position and position > start:
                    raise LogChanged(f"{head.log_id} was packed while it was read", retry_after=1)
                yield row
                position, moved = row.fragment.end, True
            if not moved:
                raise Corrupt(f"{head.log_id}: no row holds byte {position}")

    def _rows_from(self, partition: str, position: int, end: int) -> Iterator[dict[str, Any]]:
        """The items of the row that covers `position` and of the rows after it that begin before `end`."""
        begin = position
        if position:
            covering = self._dynamodb.query(
                TableName=self._table,
                ConsistentRead=True,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :position",
                ExpressionAttributeValues=encode(
                    {":pk": partition, ":first": sort_key(0), ":position": sort_key(position)}
                ),
                ScanIndexForward=False,
                Limit=1,
            )["Items"]
            if not covering:
                return
            first = decode(covering[0])
            yield first
            begin = first["offset"] + first["raw"]
        if begin < end:
            yield from query(
                self._dynamodb,
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :begin AND :last",
                ExpressionAttributeValues=encode(
                    {":pk": partition, ":begin": sort_key(begin), ":last": sort_key(end - 1)}
                ),
            )

    def texts(self, head: Head, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The text of [start, end), a fragment at a time. Without `end`, to the head's end."""
        position, stop = start, head.end if end is None else end
        while position < stop:
            with suppress(LogChanged):  # then the row that covers `position` is the first of the rest
                for text, each in self._inflated(self.rows(head, position, stop)):
                    yield text[position - each.offset : stop - each.offset]
                    position = each.end

    def _inflated(self, rows: Iterable[Row]) -> Iterator[tuple[bytes, Fragment]]:
        """The text and the fragment of each row. Rows that touch in one object are read with one request."""
        waiting: list[Fragment] = []

        def extents() -> Iterator[Extent]:
            for row in rows:
                waiting.append(row.fragment)
                yield row.extent

        buffer = bytearray()
        for chunk in self._bucket.read(extents()):
            buffer += chunk
            while waiting and len(buffer) >= waiting[0].packed:
                each = waiting.pop(0)
                yield fragment.inflate(bytes(buffer[: each.packed]), each), each
                del buffer[: each.packed]
        if waiting:
            raise Corrupt(f"an object ends before the fragment at {waiting[0].offset}")

    def rows_back(self, head: Head, end: int) -> Iterator[Row]:
        """The rows that hold [0, end), the last one first, without gaps. The first may end after `end`.

        If rows are merged meanwhile, it continues with the row that covers the next byte down, which may also hold
        bytes of the row yielded before it. Raises Corrupt if one is missing.
        """
        position, page = end, _FIRST_PAGE
        while position > 0:
            items = query(
                self._dynamodb,
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
                ExpressionAttributeValues=encode(
                    {
                        ":pk": rows_key(self._project, head),
                        ":first": sort_key(0),
                        ":last": sort_key(position - 1),
                    }
                ),
                ScanIndexForward=False,
                Limit=page,
            )
            moved = False
            for item in islice(items, page):
                row = row_of(item)
                if not row.fragment.offset < position <= row.fragment.end:
                    break
                yield row
                position, moved = row.fragment.offset, True
            if not moved:
                raise Corrupt(f"{head.log_id}: no row holds byte {position - 1}")
            page = min(page * 4, _PAGE_MAX)

    def texts_of(self, rows: Iterable[Row]) -> Iterator[bytes]:
        """The text of each row, in the order of the rows. Rows that touch in one object are read with one request."""
        return (text for text, _ in self._inflated(rows))

    def text(self, row: Row) -> bytes:
        """The text of one row."""
        return fragment.inflate(b"".join(self._bucket.read([row.extent])), row.fragment)


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
