"""Registrations as look-up items of table Logs (docs/formats.md#registrations).

- pk={project}/job/{job_id}/{build_no}, sk=build/{record_id}: a build record of a build.
- pk={project}/execution/{task_id}, sk=execute/{execute_id}: an execution of a check task.
- sk=latest in both: the record, or execution, that appeared last. It and those before it have ordinals.
- pk={project}/execution/{task_id}/{execute_id}, sk=check/{sub_job_id}: a sub-job of an execution.
- pk={project}/{owner}, sk=registered, beside the heads: the registration of all logs of a build record or sub-job,
  because readers get these logs together.

No kind of log is called job or execution, so these keys are never those of logs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from logkeep.aws.dynamo import decode, delete, encode, query, transact
from logkeep.aws.partition import where
from logkeep.errors import Conflict, LogNotFound, TooLarge
from logkeep.limits import SUB_JOBS_MAX
from logkeep.logid import LogId
from logkeep.logs.registration import Registration

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

PASSED_MAX: Final = 50  # records or executions without logs that readers pass over
_LATEST: Final = "latest"
_REGISTERED: Final = "registered"


class Registrations:
    """The registrations of one project."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, project: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._project = project

    def puts(self, log_id: LogId, birth: str, registration: Registration) -> list[TransactWriteItemTypeDef]:
        """The writes that register a log, at most four, for the transaction that writes its head.

        The items name the log's birth, so that who deletes the log knows them from those of a later one.

        A new build record or execution becomes the latest, on the condition that no other writer registers it
        meanwhile. So the latest is decided once, by the order of the transactions and not by clocks. Raises Conflict if
        the build record or sub-job has another registration.
        """
        group, member = registration
        first, owner = log_id.segments[0], log_id.owner
        registered = self._get(owner, _REGISTERED)
        if registered == f"{group}/{member}":
            return []
        if registered is not None:
            raise Conflict(f"{owner} is registered under {registered.replace('/', ' ')}, not {group} {member}")
        own = self._put(owner, _REGISTERED, f"{group}/{member}", birth, once=True)
        if log_id.kind == "build":
            return [own, *self._first_puts(f"job/{group}/{member}", f"build/{first}", first, birth)]
        link = self._put(f"execution/{group}/{member}", f"check/{first}", first, birth)
        return [own, link, *self._first_puts(f"execution/{group}", f"execute/{member}", member, birth)]

    def record(self, build: Registration) -> str:
        """The latest build record of a build. Raises LogNotFound if none is registered."""
        found = self._get(f"job/{build.group}/{build.member}", _LATEST)
        if found is None:
            raise LogNotFound(f"no log is registered for build {build.member} of job {build.group}")
        return found

    def sub_jobs(self, task_id: str, execute_id: str | None = None) -> list[str]:
        """The sub-jobs of an execution (None: of the latest) in order of id.

        Raises LogNotFound if none is registered, and TooLarge if there are more than SUB_JOBS_MAX.
        """
        execute_id = execute_id or self._get(f"execution/{task_id}", _LATEST)
        if execute_id is None:
            raise LogNotFound(f"no log is registered for task {task_id}")
        items = query(
            self._dynamodb,
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues=encode({":pk": f"{self._project}/execution/{task_id}/{execute_id}"}),
            Limit=SUB_JOBS_MAX + 1,
        )
        found = [item["names"] for item in islice(items, SUB_JOBS_MAX + 1)]
        if not found:
            raise LogNotFound(f"no log is registered for execution {execute_id} of task {task_id}")
        if len(found) > SUB_JOBS_MAX:
            raise TooLarge(f"execution {execute_id} has more than {SUB_JOBS_MAX} sub-jobs; ask for each by its id")
        return found

    def records(self, build: Registration) -> Iterator[str]:
        """The build records of a build, the latest first."""
        return self._newest(f"job/{build.group}/{build.member}", "build/")

    def executions(self, task_id: str) -> Iterator[str]:
        """The executions of a check task, the latest first."""
        return self._newest(f"execution/{task_id}", "execute/")

    def remove(self, owner: str) -> None:
        """Remove the registration of a build record or a sub-job that has no logs any more.

        What is registered meanwhile stays. A call that is repeated after one that was killed does the rest.
        """
        first, own = owner.partition("/")[2], self._item(owner, _REGISTERED)
        if own is None:
            return
        group, _, member = own["names"].partition("/")
        if owner.startswith("build/"):
            self._remove_first(f"job/{group}/{member}", f"build/{first}", first)
        else:
            links = f"execution/{group}/{member}"
            self._delete(links, f"check/{first}", own["birth"])
            if next(self._rows(links, ""), None) is None:
                self._remove_first(f"execution/{group}", f"execute/{member}", member)
            if link := next(self._rows(links, ""), None):
                # Another sub-job came, and may have found the execution that is removed now.
                again = self._first_puts(f"execution/{group}", f"execute/{member}", member, link["birth"])
                if again:
                    transact(self._dynamodb, again)
        self._delete(owner, _REGISTERED, own["birth"])

    def _remove_first(self, partition: str, sk: str, names: str) -> None:
        """Remove an item that has an ordinal. If it is the latest, the one before becomes it."""
        item, latest = self._item(partition, sk), self._item(partition, _LATEST)
        if item is None:
            return
        if latest and latest["names"] == names:
            others = (row for row in self._rows(partition, sk.partition("/")[0] + "/") if row["sk"] != sk)
            before = max(others, key=_ordinal, default=None)
            seen = {"ordinal": latest["ordinal"], "names": names}
            change: TransactWriteItemTypeDef = (
                self._put(partition, _LATEST, before["names"], before["birth"], before["ordinal"], seen=seen)
                if before
                else {"Delete": self._key(partition, _LATEST) | where(seen)}
            )
            # If another became the latest meanwhile, so be it.
            transact(self._dynamodb, [change])
        self._delete(partition, sk, item["birth"])

    def _newest(self, partition: str, prefix: str) -> Iterator[str]:
        latest = self._get(partition, _LATEST)
        if latest is None:
            return
        yield latest
        before = sorted(self._rows(partition, prefix), key=_ordinal, reverse=True)
        yield from islice((row["names"] for row in before if row["names"] != latest), PASSED_MAX)

    def _first_puts(self, partition: str, sk: str, names: str, birth: str) -> list[TransactWriteItemTypeDef]:
        """The writes of a new item, and of the latest; none if the item exists."""
        if self._get(partition, sk) is not None:
            return []
        latest = self._item(partition, _LATEST)
        ordinal = _ordinal(latest) + 1 if latest else 1
        seen = {"ordinal": latest["ordinal"], "names": latest["names"]} if latest else {"pk": None}
        return [
            self._put(partition, sk, names, birth, ordinal, once=True),
            self._put(partition, _LATEST, names, birth, ordinal, seen=seen),
        ]

    def _put(
        self,
        partition: str,
        sk: str,
        names: str,
        birth: str,
        ordinal: int | None = None,
        *,
        once: bool = False,
        seen: Mapping[str, Any] | None = None,
    ) -> TransactWriteItemTypeDef:
        key = {"pk": f"{self._project}/{partition}", "sk": sk}
        item = encode(key | {"names": names, "birth": birth, "ordinal": ordinal})
        condition = where({"pk": None}) if once else where(seen) if seen else {}
        return {"Put": {"TableName": self._table, "Item": item, **condition}}  # type: ignore[typeddict-item]  # as built

    def _rows(self, partition: str, prefix: str) -> Iterator[dict[str, Any]]:
        values = {":pk": f"{self._project}/{partition}"} | ({":prefix": prefix} if prefix else {})
        return query(
            self._dynamodb,
            TableName=self._table,
            KeyConditionExpression="pk = :pk" + (" AND begins_with(sk, :prefix)" if prefix else ""),
            ExpressionAttributeValues=encode(values),
        )

    def _delete(self, partition: str, sk: str, birth: str) -> None:
        """Remove an item, unless a log of another birth has written it."""
        request = self._key(partition, sk) | where({"birth": birth})
        with suppress(self._dynamodb.exceptions.ConditionalCheckFailedException):
            delete(self._dynamodb, **request)

    def _key(self, partition: str, sk: str) -> Any:
        return {"TableName": self._table, "Key": encode({"pk": f"{self._project}/{partition}", "sk": sk})}

    def _get(self, partition: str, sk: str) -> str | None:
        item = self._item(partition, sk)
        return str(item["names"]) if item else None

    def _item(self, partition: str, sk: str) -> dict[str, Any] | None:
        found = self._dynamodb.get_item(**self._key(partition, sk), ConsistentRead=True).get("Item")
        return decode(found) if found else None


def _ordinal(item: Mapping[str, Any]) -> int:
    return int(item["ordinal"])
