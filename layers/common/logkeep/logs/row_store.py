"""The rows and packs of logs in table Logs (docs/formats.md#rows).

What a head covers stays readable for a day after it was packed, so readers use the head that they have read.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from logkeep.aws.dynamo import encode, query, write_all
from logkeep.errors import Corrupt, LogChanged
from logkeep.logs.head import Head
from logkeep.logs.items import FRAGMENT, PACK, TABLE, Named, head_key, head_of, row_of, rows_key, sort_key
from logkeep.logs.packs import Pack, fragments_of, pack_of
from logkeep.logs.reader import Row, Stretch
from logkeep.logs.sums import Sums

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Rows in one query of `rows_back`: few at first, for readers of the last lines, then more.
_FIRST_PAGE: Final = 8
_PAGE_MAX: Final = 1024
_NEAR: Final = 64  # rows around a byte that is looked for


class RowStore:
    """The rows and packs of one project's logs. Offsets are bytes of text."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, project: str) -> None:
        self.dynamodb = dynamodb
        self.table = table
        self.project = project

    def rows(self, head: Head, start: int = 0, end: int | None = None) -> Iterator[Row]:
        """The rows that hold [start, end), without gaps. The first may begin before `start`, the last end after `end`.

        Raises Corrupt if one is missing, and LogChanged if it was packed long after the head was read.
        """
        stop = head.end if end is None else end
        position = start
        for pack, item in self._packs(head, TABLE, start, min(stop, head.mark.raw)):
            for row in pack.rows(fragments_of(item["table"], pack.before)):
                if row.fragment.end > position and row.fragment.offset < stop:
                    yield row
            position = pack.end
        if position < stop:
            yield from self.unpacked_rows(head, position, stop)

    def unpacked_rows(self, head: Head, start: int, stop: int) -> Iterator[Row]:
        """The rows that hold [start, stop), after the head's mark."""
        position = start
        for item in self._items(head, FRAGMENT, position, stop, begins=position == head.mark.raw):
            row = row_of(item)
            if not row.fragment.offset <= position < row.fragment.end:
                break
            yield row
            position = row.fragment.end
        if position < stop:
            raise self._missing(head, position)

    def stretches(self, head: Head, start: int = 0) -> Iterator[Stretch]:
        """The packed bytes from byte `start` to the head's end, in few pieces.

        Raises the errors of rows(), and LogChanged if no fragment begins at `start`.
        """
        position = start
        for pack, _ in self._packs(head, PACK, start, head.mark.raw):
            if pack.offset < start:
                for row in self.rows(head, start, pack.end):
                    if row.fragment.offset < start:
                        raise LogChanged(f"no fragment of {head.log_id} begins at {start} any more", retry_after=1)
                    yield Stretch(row.extent, Sums.of(row.fragment))
            else:
                yield Stretch(pack.extent, pack.sums)
            position = pack.end
        if position < head.end:
            for row in self.unpacked_rows(head, position, head.end):
                yield Stretch(row.extent, Sums.of(row.fragment))

    def rows_back(self, head: Head, end: int) -> Iterator[Row]:
        """The rows that hold [0, end), the last one first, without gaps. The first may end after `end`.

        If the log was packed long after the head was read, a row may hold bytes of the row yielded before it. Raises
        Corrupt if one is missing.
        """
        position, page = end, _FIRST_PAGE
        while position > head.mark.raw:
            moved = False
            for item in islice(self._items_back(head, FRAGMENT, position, page), page):
                row = row_of(item)
                if not row.fragment.offset < position <= row.fragment.end:
                    break
                yield row
                position, moved = row.fragment.offset, True
                if position == head.mark.raw:
                    break
            if not moved:
                error = self._missing(head, position - 1)
                if not isinstance(error, LogChanged):
                    raise error
                yield from self.rows_back(self.now(head), position)
                return
            page = min(page * 4, _PAGE_MAX)
        page = 1
        while position > 0:
            moved = False
            for item in islice(self._items_back(head, TABLE, position, page), page):
                pack = pack_of(self.project, head, item)
                if not pack.offset < position <= pack.end:
                    break
                for row in reversed([*pack.rows(fragments_of(item["table"], pack.before))]):
                    if row.fragment.offset < position:
                        yield row
                position, moved = pack.offset, True
            if not moved:
                raise self._missing(head, position - 1)
            page = min(page * 4, _PAGE_MAX)

    def rows_near(self, head: Head, offset: int) -> list[Row]:
        """Some rows without gaps, found with one request. One holds byte `offset`. Raises Corrupt if none does."""
        if offset < head.mark.raw:
            found = next(self._items_back(head, TABLE, offset + 1, 1), None)
            pack = pack_of(self.project, head, found) if found else None
            rows = [*pack.rows(fragments_of(found["table"], pack.before))] if found and pack else []
        else:
            rows = []
            for item in islice(self._items_back(head, FRAGMENT, offset + 1, _NEAR), _NEAR):
                row = row_of(item)
                if row.fragment.offset < head.mark.raw or (rows and rows[-1].fragment.offset != row.fragment.end):
                    break
                rows.append(row)
            rows.reverse()
        if not rows or not rows[0].fragment.offset <= offset < rows[-1].fragment.end:
            raise self._missing(head, offset)
        return rows

    def row_after(self, head: Head, offset: int) -> int:
        """Where the first row begins that begins after byte `offset`; the head's end if there is none."""
        for kind, first, stop in (
            (TABLE, offset + 1, head.mark.raw),
            (FRAGMENT, max(offset + 1, head.mark.raw), head.end),
        ):
            found = next(self._query(head, kind, first, stop - 1, Limit=1), None) if first < stop else None
            if found:
                return int(found["offset"])
        return head.end

    def sums_to(self, head: Head, offset: int) -> tuple[Sums, Row | None]:
        """The sums of the fragments that end by `offset`, and the row in which it lies, if none ends there.

        Raises the errors of rows().
        """
        if offset < head.mark.raw:
            pack, item = next(self._packs(head, TABLE, offset, offset + 1))
            sums, rows = pack.before, pack.rows(fragments_of(item["table"], pack.before))
        else:
            sums, rows = head.mark, self.unpacked_rows(head, head.mark.raw, offset)
        for row in rows:
            if row.fragment.end > offset:
                return sums, row if row.fragment.offset < offset else None
            sums += Sums.of(row.fragment)
        return sums, None

    def packs(self, head: Head, start: int = 0, end: int | None = None) -> Iterator[Pack]:
        """The packs that hold [start, end), or that up to the head's mark."""
        stop = head.mark.raw if end is None else min(end, head.mark.raw)
        return (pack for pack, _ in self._packs(head, PACK, start, stop))

    def remove_rows(self, log: Named, first: str = " ", last: str = "~") -> None:
        """Remove the items of a log's partition with sort keys from `first` to `last`.

        Raises Busy if AWS is.
        """
        rows = query(
            self.dynamodb,
            TableName=self.table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues=encode({":pk": rows_key(self.project, log), ":first": first, ":last": last}),
            ProjectionExpression="pk, sk",
        )
        write_all(self.dynamodb, self.table, ({"DeleteRequest": {"Key": encode(each)}} for each in rows))

    def _packs(self, head: Head, kind: str, start: int, stop: int) -> Iterator[tuple[Pack, dict[str, Any]]]:
        """The packs that hold [start, stop), with their items of a kind."""
        position = start
        if position >= stop:
            return
        for item in self._items(head, kind, start, stop, begins=start == 0):
            pack = pack_of(self.project, head, item)
            if not pack.offset <= position < pack.end:
                break
            yield pack, item
            position = pack.end
        if position < stop:
            raise self._missing(head, position)

    def _items(self, head: Head, kind: str, position: int, end: int, *, begins: bool) -> Iterator[dict[str, Any]]:
        """The item of a kind that covers `position`, and those after it that begin before `end`.

        `begins`: one is known to begin there, which saves a request.
        """
        begin = position
        if not begins:
            covering = next(self._items_back(head, kind, position + 1, 1), None)
            if covering is None:
                return
            yield covering
            begin = _end_of(covering)
        if begin < end:
            yield from self._query(head, kind, begin, end - 1)

    def _items_back(self, head: Head, kind: str, end: int, limit: int) -> Iterator[dict[str, Any]]:
        """The items of a kind that begin before `end`, the last one first."""
        return self._query(head, kind, 0, end - 1, ScanIndexForward=False, Limit=limit)

    def _query(self, head: Head, kind: str, first: int, last: int, **options: Any) -> Iterator[dict[str, Any]]:
        return query(
            self.dynamodb,
            TableName=self.table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues=encode(
                {":pk": rows_key(self.project, head), ":first": sort_key(first, kind), ":last": sort_key(last, kind)}
            ),
            **options,
        )

    def _missing(self, head: Head, position: int) -> Corrupt | LogChanged:
        """The error that says why no row holds a byte."""
        if self.now(head).mark.raw > head.mark.raw:
            return LogChanged(f"{head.log_id} was packed while it was read", retry_after=1)
        return Corrupt(f"{head.log_id}: no row holds byte {position}")

    def now(self, head: Head) -> Head:
        """The head as it is now; the one given if the log is deleted."""
        # A query, since some readers may do nothing else.
        key = head_key(self.project, head.log_id)
        found = query(
            self.dynamodb,
            TableName=self.table,
            KeyConditionExpression="pk = :pk AND sk = :sk",
            ExpressionAttributeValues=encode({":pk": key["pk"], ":sk": key["sk"]}),
        )
        heads = [head_of(item) for item in found]
        return heads[0] if heads and heads[0].birth == head.birth else head


def _end_of(item: dict[str, Any]) -> int:
    return int(item["offset"] + item["raw"])
