"""Listings: logs by id from the index `by_id`, or those of a time from the activity of its days; then their heads."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from logkeep.aws import clients
from logkeep.aws.dynamo import decode, encode, get_all
from logkeep.logid import LogId
from logkeep.logs import activity
from logkeep.logs.activity import Sighting
from logkeep.logs.activity_store import partitions, sighting
from logkeep.logs.head import Head
from logkeep.logs.items import head_key, head_of
from logkeep.logs.listing import Page, Selection
from logkeep.logs.retention_store import Expiry
from logkeep.logs.store import LogStore
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BY_ID: Final = "by_id"  # keys-only index: project, log_id
# Requests of one page, after the first to each partition. They find at most 40,000 ids by what their ids say, and
# 4,000 heads by what heads say.
REQUESTS_MAX: Final = 40
_HEADS_MAX: Final = 100  # of one BatchGetItem
_HEADS_MIN: Final = 25  # where few of the heads that are read may be wanted
_KEYS_MAX: Final = 1000  # of one query

type _Candidate = tuple[str, list[Sighting]]  # an id, and its rows of activity


class _Spent(Exception):
    """The page has made as many requests as it may."""


class Listing:
    """The logs of one project."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, project: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._project = project
        self._expiry = Expiry(dynamodb, table, project)

    def least_requests(self, wanted: Selection, now: int) -> int:
        """How many requests a page makes at least, before it reads heads."""
        return len(self._partitions(wanted, now)) or 1

    def page(self, wanted: Selection, after: str, limit: int, now: int) -> Page:
        """At most `limit` logs whose ids sort after `after`, in order of id.

        It may hold fewer, or none, and yet have a marker: then it has made as many requests as it may. Ids by which no
        time is asked for come from an index that is eventually consistent: a new log is in it moments after its first
        append. Everything else is read consistently. `now` is in epoch milliseconds.
        """
        found: list[Head] = []
        waiting: list[_Candidate] = []
        requests = _Requests(self._dynamodb, self._table)
        reached, has_more = after, False
        try:
            for each in self._candidates(wanted, after, limit, now, requests):
                if len(found) >= limit or requests.left <= 0:
                    has_more = True
                    break
                reached = each[0]
                if wanted.may_have(LogId.parse(each[0]), each[1]):
                    waiting.append(each)
                least = 0 if wanted.is_of_ids_alone else _HEADS_MIN
                if len(waiting) >= min(_HEADS_MAX, max(least, limit - len(found))):
                    found += self._heads(wanted, waiting, requests)
                    waiting = []
        except _Spent:
            has_more = True
        found += self._heads(wanted, waiting, requests)
        if len(found) > limit:
            return Page(found[:limit], str(found[limit - 1].log_id))
        return Page(found, reached if has_more else None)

    def _candidates(
        self, wanted: Selection, after: str, limit: int, now: int, requests: _Requests
    ) -> Iterator[_Candidate]:
        """The ids in question, in order, each once."""
        ids = wanted.ids(after)
        if ids is None:
            return
        between = {":low": ids[0], ":high": ids[1]}
        if wanted.window is None:
            keys = requests.query(
                IndexName=BY_ID,
                ConsistentRead=False,
                KeyConditionExpression="#project = :project AND log_id BETWEEN :low AND :high",
                ExpressionAttributeNames={"#project": "project"},
                ExpressionAttributeValues=encode({":project": self._project, **between}),
                Limit=limit + 1 if wanted.is_of_ids_alone else _KEYS_MAX,
            )
            yield from ((item["log_id"], []) for item in keys)
            return
        rows = (
            requests.query(
                ConsistentRead=True,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :low AND :high",
                ExpressionAttributeValues=encode({":pk": pk, **between}),
                Limit=_KEYS_MAX if pk.endswith("/odd") else limit // 4 + 10,  # of 16 partitions of a day
            )
            for pk in self._partitions(wanted, now)
        )
        merged = heapq.merge(*rows, key=lambda item: str(item["sk"]))
        for log_id, items in groupby(merged, key=lambda item: str(item["sk"])):
            yield log_id, [sighting(item) for item in items]

    def _partitions(self, wanted: Selection, now: int) -> list[str]:
        """The partitions with the activity of a window."""
        if wanted.window is None:
            return []
        return partitions(self._project, activity.days(wanted.window.since, wanted.window.until, now))

    def _heads(self, wanted: Selection, candidates: Sequence[_Candidate], requests: _Requests) -> list[Head]:
        """The heads of those that are wanted, in the order of the candidates."""
        keys = [encode(head_key(self._project, LogId.parse(log_id))) for log_id, _ in candidates]
        heads = {str(head.log_id): head for head in map(head_of, requests.get(keys))}
        found = ((heads.get(log_id), sightings) for log_id, sightings in candidates)
        return [
            head
            for head, sightings in found
            if head and wanted.has(head, sightings) and not self._expiry.has_come(head)
        ]


class _Requests:
    """Reads of a table, which count."""

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self.left = REQUESTS_MAX
        self._dynamodb = dynamodb
        self._table = table

    def query(self, **request: Any) -> Iterator[dict[str, Any]]:
        """The items that a query finds. Raises _Spent if a page after its first is one too many."""
        while True:
            page = self._dynamodb.query(TableName=self._table, **request)
            yield from map(decode, page["Items"])
            if not page.get("LastEvaluatedKey"):  # the last page may be empty, and come after one that was full
                return
            if self.left <= 0:
                raise _Spent
            self.left -= 1
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def get(self, keys: Sequence[Any]) -> Iterator[dict[str, Any]]:
        """The items that there are, of at most as many keys as one request takes."""
        self.left -= 1
        return get_all(self._dynamodb, self._table, keys)


def heads_by_id(logs: LogStore, low: str, high: str, limit: int) -> tuple[list[Head], str | None]:
    """The logs of the next ids from `low` to `high`, at most so many, also those that have expired.

    Returns the id up to which was looked, too; None if there are no more. A log that has just begun may be missing.
    """
    page = logs.dynamodb.query(
        TableName=logs.table,
        IndexName=BY_ID,
        KeyConditionExpression="#project = :project AND log_id BETWEEN :low AND :high",
        ExpressionAttributeNames={"#project": "project"},
        ExpressionAttributeValues=encode({":project": logs.project, ":low": low, ":high": high}),
        Limit=limit,
    )
    keys = [{"pk": each["pk"], "sk": each["sk"]} for each in page["Items"]]
    heads = map(head_of, get_all(logs.dynamodb, logs.table, keys))
    last = page.get("LastEvaluatedKey")
    return sorted(heads, key=lambda head: str(head.log_id)), str(decode(last)["log_id"]) if last else None


def listing(project: str) -> Listing:
    """The listing of this deployment."""
    return Listing(clients.dynamodb(), settings().logs_table, project)
