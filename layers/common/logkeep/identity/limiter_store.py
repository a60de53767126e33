"""Token buckets that all processes share, in DynamoDB: table Limits, one item per bucket with one number.

A process takes requests out of a bucket several at a time, twice as many when it has used them up. Each process also
lets one request a second through uncounted. So a quiet project costs no write, and a busy one a fraction of a write per
request. The limit is approximate in return: uncounted requests exceed it, and requests that a process took but did not
use are missing for some seconds.
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

FREE: Final = Limit(rate=1, burst=5)  # of a process: requests that are not counted
_TAKEN_AT_ONCE_MAX: Final = 16  # requests
_KEPT_FOR: Final = 10 * SECOND  # after which requests that were taken but not used are lost
_BUCKETS_MAX: Final = 1000  # that a process remembers
_ATTEMPTS: Final = 10  # the second if our view of the bucket was old, more if other processes are faster
_TTL_AFTER: Final = 3600  # seconds after which the item of a full bucket is deleted


@dataclass(slots=True)
class _Share:
    """A bucket as this process knows it. Times are in epoch microseconds."""

    free_at: int = 0  # when the bucket FREE of this process is full
    full_at: int = 0  # when the shared bucket is full, as it was seen last
    size: int = 1  # requests to take next
    left: int = 0  # requests taken and not used yet
    lost_at: int = 0  # when those are lost
    refused_until: int = 0


class Limiter:
    """Counts requests of one kind by a key, such as the project. With `free`, some are let through uncounted."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, kind: str, limit: Limit, free: Limit | None) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._kind = kind
        self._limit = limit
        self._free = free
        self._most = min(_TAKEN_AT_ONCE_MAX, max(1, limit.burst // 8)) if free else 1
        self._shares: dict[str, _Share] = {}

    def take(self, key: str) -> None:
        """Count a request. Raises Throttled if the bucket is empty.

        If DynamoDB fails, a limiter with `free` requests lets the request through; one without raises Busy.
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
                # Take one at a time now, as soon as there is one, so that a few processes can still use the whole rate.
                share.size = 1
                share.refused_until = now + self._limit.wait(share.full_at, now, share.size)
                raise
            except (ClientError, BotoCoreError) as error:
                if self._free:
                    return  # better to exceed the limit than to fail
                raise Busy("the rate limit cannot be checked", retry_after=1) from error
            share.left, share.lost_at = share.size, now + _KEPT_FOR
            share.size = min(2 * share.size, self._most)
        share.left -= 1

    def _take_shared(self, key: str, now: int, share: _Share) -> None:
        """Take `share.size` requests in one conditional update, which is right however many processes try at once."""
        for _ in range(_ATTEMPTS):
            # A full bucket gets a new time; of one that is not full, the time moves on, whatever it is by now.
            is_full = share.full_at < now
            after = self._limit.take(share.full_at, now, share.size)
            condition = "attribute_not_exists(pk) OR full_at < :now" if is_full else "full_at BETWEEN :now AND :fits"
            values = {":now": now, ":ttl": self._limit.latest(now) // SECOND + _TTL_AFTER}
            cost = self._limit.cost(share.size)
            values |= {":after": after} if is_full else {":cost": cost, ":fits": self._limit.latest(now) - cost}
            try:
                found = self._dynamodb.update_item(
                    TableName=self._table,
                    Key=encode({"pk": f"{self._kind}/{key}"}),
                    UpdateExpression=f"SET full_at = {':after' if is_full else 'full_at + :cost'}, #ttl = :ttl",
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
    """Limits the requests of a project."""
    env = settings()
    limit = Limit(env.project_rate, env.project_burst)
    return Limiter(clients.dynamodb(), env.limits_table, "project", limit, FREE)


@cache
def render_limiter() -> Limiter:
    """Limits how many renders a project orders of workers, each of which may take 15 minutes."""
    return Limiter(clients.dynamodb(), settings().limits_table, "render", Limit(rate=1 / 90, burst=10), None)


@cache
def guess_limiter() -> Limiter:
    """Limits attempts at a password, right or wrong, by user and address. Each one is counted in the shared bucket."""
    return Limiter(clients.dynamodb(), settings().limits_table, "guess", Limit(rate=0.5, burst=20), None)


@cache
def user_limiter() -> Limiter:
    """Limits attempts at a user's password from all addresses. It is wide, since anyone can use it up for the user."""
    return Limiter(clients.dynamodb(), settings().limits_table, "user", Limit(rate=5, burst=200), None)


@cache
def address_limiter() -> Limiter:
    """Limits attempts from one address for all users. It is wide, since many users may share an address."""
    return Limiter(clients.dynamodb(), settings().limits_table, "address", Limit(rate=5, burst=50), None)
