"""Token buckets that all processes share, in DynamoDB: table Limits, an item per bucket, one number in it.

A process takes requests from a bucket several at a time, more while it uses them up, and the first few of each second
are free: a project that sends little costs no write, and one that sends much a fraction of one. So a limit is
approximate. It is exceeded by what is free, a request a second for each process that serves the project; and what
processes took and did not use is missing for some seconds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from logkeep.aws import clients
from logkeep.aws.dynamo import encode
from logkeep.errors import Busy, Throttled
from logkeep.identity.throttle import SECOND, Limit
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FREE: Final = Limit(rate=1, burst=5)
_TAKEN_AT_ONCE: Final = 16
_KEPT_FOR: Final = 10 * SECOND  # what was taken and is not used by then is lost
_BUCKETS_MAX: Final = 1000
_TRIES: Final = 10  # a second follows where the bucket was seen wrongly, a third where another was faster
_TTL_AFTER: Final = 3600  # seconds after which a full bucket is collected


@dataclass(slots=True)
class _Share:
    """What this process knows of a bucket."""

    free_at: int = 0
    full_at: int = 0  # of the bucket, as it was seen last
    size: int = 1  # of what is taken next
    left: int = 0
    lost_at: int = 0
    refused_until: int = 0


class Limiter:
    """Requests of one kind, counted by a key such as a project."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, kind: str, limit: Limit, free: Limit | None) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._kind = kind
        self._limit = limit
        self._free = free
        self._most = min(_TAKEN_AT_ONCE, max(1, limit.burst // 8)) if free else 1
        self._shares: dict[str, _Share] = {}

    def take(self, key: str) -> None:
        """Count a request; raise Throttled where the bucket is empty.

        What cannot be counted is let through where some are free anyway, else Busy is raised.
        """
        now = time.time_ns() // 1000
        share = self._share(key)
        if self._free and not self._free.wait(share.free_at, now):
            share.free_at = self._free.take(share.free_at, now)
            return
        if now < share.refused_until:
            raise self._limit.refusal(share.refused_until - now)
        if now > share.lost_at:
            share.left, share.size = 0, 1
        if not share.left:
            try:
                self._take_shared(key, now, share)
            except Throttled:
                # One at a time from here, and to the moment: few processes, too, get all that there is.
                share.size = 1
                share.refused_until = now + self._limit.wait(share.full_at, now, share.size)
                raise
            except (ClientError, BotoCoreError) as error:
                if self._free:
                    return  # a limit is no reason to fail
                raise Busy("the limit cannot be asked", retry_after=1) from error
            share.left, share.lost_at = share.size, now + _KEPT_FOR
            share.size = min(2 * share.size, self._most)
        share.left -= 1

    def _take_shared(self, key: str, now: int, share: _Share) -> None:
        """Take as many as are taken at once, in one step of the table: it is right however many try together."""
        for _ in range(_TRIES):
            # A bucket that is not full, as it was seen last, is emptied further; one that is full begins anew.
            begins = share.full_at < now
            after = self._limit.take(share.full_at, now, share.size)
            condition = "attribute_not_exists(pk) OR full_at < :now" if begins else "full_at BETWEEN :now AND :fits"
            values = {":now": now, ":ttl": self._limit.latest(now) // SECOND + _TTL_AFTER}
            cost = self._limit.cost(share.size)
            values |= {":after": after} if begins else {":cost": cost, ":fits": self._limit.latest(now) - cost}
            try:
                found = self._dynamodb.update_item(
                    TableName=self._table,
                    Key=encode({"pk": f"{self._kind}/{key}"}),
                    UpdateExpression=f"SET full_at = {':after' if begins else 'full_at + :cost'}, #ttl = :ttl",
                    ConditionExpression=condition,
                    ExpressionAttributeNames={"#ttl": "ttl"},
                    ExpressionAttributeValues=encode(values),
                    ReturnValues="UPDATED_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )["Attributes"]
            except self._dynamodb.exceptions.ConditionalCheckFailedException as error:
                found = error.response.get("Item", {})  # type: ignore[assignment]  # the stubs lack it
                share.full_at = int(found["full_at"]["N"]) if found else 0
            else:
                share.full_at = int(found["full_at"]["N"])
                return

    def _share(self, key: str) -> _Share:
        if key not in self._shares and len(self._shares) >= _BUCKETS_MAX:
            self._shares.clear()
        return self._shares.setdefault(key, _Share())


@cache
def project_limiter() -> Limiter:
    env = settings()
    limit = Limit(env.project_rate, env.project_burst)
    return Limiter(clients.dynamodb(), env.limits_table, "project", limit, FREE)


@cache
def guess_limiter() -> Limiter:
    """Of passwords tried, right or wrong, by user and address: every one counts, in all processes together."""
    return Limiter(clients.dynamodb(), settings().limits_table, "guess", Limit(rate=0.5, burst=20), None)


@cache
def user_limiter() -> Limiter:
    """Of the same by user, from all addresses: wide, since anyone can use it up for a user."""
    return Limiter(clients.dynamodb(), settings().limits_table, "user", Limit(rate=5, burst=200), None)


@cache
def address_limiter() -> Limiter:
    """Of the same by address, for all users: many may share one."""
    return Limiter(clients.dynamodb(), settings().limits_table, "address", Limit(rate=5, burst=50), None)
