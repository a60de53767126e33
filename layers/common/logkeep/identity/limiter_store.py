"""Token buckets that all processes share, in DynamoDB: table Limits, one item per bucket with one number.

A process takes units out of a bucket several at a time, twice as many when it has used them up. Each process also lets
one unit a second through uncounted. So a quiet project costs no write, and a busy one a fraction of a write per
request. The limit is approximate in return: uncounted units exceed it, and units that a process took but did not use
are missing for some seconds.

A request takes one unit. One that costs more is charged the rest: before its work where the request says what it will
cost, else after it. Either way the bucket may go below empty, and then nobody takes from it until the debt is paid.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from logkeep.aws import clients
from logkeep.aws.dynamo import encode
from logkeep.aws.refusals import codes_of
from logkeep.errors import Busy, Throttled
from logkeep.identity.throttle import SECOND, Limit
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FREE: Final = Limit(rate=1, burst=5)  # of a process: units that are not counted
DEBT_MAX: Final = 60 * SECOND  # of a bucket that is charged once more; a debt is at most one charge larger
_TAKEN_AT_ONCE_MAX: Final = 16  # units
_KEPT_FOR: Final = 10 * SECOND  # after which units that were taken but not used are lost
_BUCKETS_MAX: Final = 1000  # that a process remembers
_ATTEMPTS: Final = 10  # the second if our view of the bucket was old, more if other processes are faster
_TTL_AFTER: Final = 3600  # seconds after which the item of a full bucket is deleted


@dataclass(slots=True)
class _Share:
    """A bucket as this process knows it. Times are in epoch microseconds."""

    free_at: int = 0  # when the bucket FREE of this process is full
    full_at: int = 0  # when the shared bucket is full, as it was seen last
    size: int = 1  # units to take next
    left: int = 0  # units taken and not used yet
    lost_at: int = 0  # when those are lost
    refused_until: int = 0
    owes_until: int = 0  # when the shared bucket is no longer below empty


class Limiter:
    """Counts what requests of one kind cost by a key, such as the project. With `free`, some are let through uncounted.

    If DynamoDB fails, a limiter with `free` units lets the request through; one without raises Busy.
    """

    def __init__(self, dynamodb: DynamoDBClient, table: str, kind: str, limit: Limit, free: Limit | None) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._kind = kind
        self._limit = limit
        self._free = free
        self._most = min(_TAKEN_AT_ONCE_MAX, max(1, limit.burst // 8)) if free else 1
        self._shares: dict[str, _Share] = {}

    def take(self, key: str) -> None:
        """Count a request, as one unit. Raises Throttled if the bucket is empty, and Busy."""
        now = time.time_ns() // 1000
        share = self._share(key)
        if now < share.owes_until:
            raise self._limit.refusal(share.owes_until - now)
        if self._take_own(share, now, 1):
            return
        if now < share.refused_until:
            raise self._limit.refusal(share.refused_until - now)
        try:
            self._take_shared(key, now, share)
        except Throttled:
            # Take one at a time now, as soon as there is one, so that a few processes can still use the whole rate.
            share.size = 1
            share.refused_until = now + self._limit.wait(share.full_at, now, share.size)
            raise
        except (ClientError, BotoCoreError, Busy) as error:
            if self._free:
                return  # better to exceed the limit than to fail
            raise Busy("the rate limit cannot be checked", retry_after=1) from error
        share.left, share.lost_at = share.size - 1, now + _KEPT_FOR
        share.size = min(2 * share.size, self._most)

    def charge(self, key: str, units: int) -> None:
        """Count what a request will cost beyond what it took. Raises Throttled if the bucket is below empty."""
        self._add(key, units, 0)

    def owe(self, key: str, units: int) -> None:
        """Count what a request cost beyond the units that it was charged. Never raises: the work is done."""
        with suppress(Throttled):  # the debt is as large as it gets
            self._add(key, units, DEBT_MAX)

    def _add(self, key: str, units: int, debt_max: int) -> None:
        """Take units, at most the burst, from a bucket that is at most `debt_max` below empty, else raise Throttled."""
        now = time.time_ns() // 1000
        share = self._share(key)
        if self._take_own(share, now, units):
            return
        try:
            self._add_shared(key, now, share, min(units, self._limit.burst), debt_max)
        except (ClientError, BotoCoreError):
            return  # as in take()
        finally:
            share.owes_until = share.full_at - self._limit.cost(self._limit.burst)

    def _take_own(self, share: _Share, now: int, units: int) -> bool:
        """Whether the units could be taken from those that this process has."""
        if self._free and not self._free.wait(share.free_at, now, units):
            share.free_at = self._free.take(share.free_at, now, units)
            return True
        if now > share.lost_at:
            share.left, share.size = 0, 1
        if share.left < units:
            return False
        share.left -= units
        return True

    def _take_shared(self, key: str, now: int, share: _Share) -> None:
        """Take `share.size` units in one conditional update, which is right however many processes try at once."""
        for _ in range(_ATTEMPTS):
            # Only a bucket that is not full has a limit for its time: a full one holds all of them.
            self._limit.take(share.full_at, now, share.size)
            if self._move(key, now, share, share.size, self._limit.latest(now) - self._limit.cost(share.size)):
                return
        raise Busy("too many count at once", retry_after=1)

    def _add_shared(self, key: str, now: int, share: _Share, units: int, debt_max: int) -> None:
        """Take units, too, but however many the bucket still holds, unless its debt is larger than `debt_max`."""
        latest = self._limit.latest(now) + debt_max
        for _ in range(_ATTEMPTS):
            if share.full_at > latest:
                raise self._limit.refusal(share.full_at - self._limit.latest(now))
            if self._move(key, now, share, units, latest):
                return

    def _move(self, key: str, now: int, share: _Share, units: int, latest: int) -> bool:
        """Move the time at which the bucket is full by the units' cost. False if it is not as we saw it last.

        A full bucket gets a new time. Of one that is not full, the time moves on, whatever it is by now, unless it is
        after `latest`. Either way we know the time then.
        """
        is_full = share.full_at < now
        cost = self._limit.cost(units)
        values = {":now": now, ":ttl": self._limit.latest(now) // SECOND + _TTL_AFTER}
        values |= {":after": now + cost} if is_full else {":cost": cost, ":fits": latest}
        try:
            found = self._dynamodb.update_item(
                TableName=self._table,
                Key=encode({"pk": f"{self._kind}/{key}"}),
                UpdateExpression=f"SET full_at = {':after' if is_full else 'full_at + :cost'}, #ttl = :ttl",
                ConditionExpression=(
                    "attribute_not_exists(pk) OR full_at < :now" if is_full else "full_at BETWEEN :now AND :fits"
                ),
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues=encode(values),
                ReturnValues="UPDATED_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )["Attributes"]
        except self._dynamodb.exceptions.ConditionalCheckFailedException as error:
            kept: dict[str, Any] = error.response.get("Item", {})  # type: ignore[assignment]  # the stubs lack it
            share.full_at = int(kept["full_at"]["N"]) if kept else 0
            return False
        except ClientError as error:
            if codes_of(error) != {"TransactionConflictException"}:
                raise
            return False
        share.full_at = int(found["full_at"]["N"])
        return True

    def _share(self, key: str) -> _Share:
        if key not in self._shares and len(self._shares) >= _BUCKETS_MAX:
            self._shares.clear()
        return self._shares.setdefault(key, _Share())


@cache
def project_limiter() -> Limiter:
    """Limits what the requests of a project cost."""
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
