"""Registrations as look-up items of table Logs (docs/formats.md#registrations).

- pk={project}/job/{job_id}/{build_no}, sk=build/{record_id}: a build record of a build.
- pk={project}/execution/{task_id}, sk=execute/{execute_id}: an execution of a check task.
- sk=latest in both: the record, or execution, that appeared last.
- pk={project}/execution/{task_id}/{execute_id}, sk=check/{sub_job_id}: a sub-job of an execution.
- pk={project}/{owner}, sk=registered, beside the heads: the registration of all logs of a build record or sub-job,
  because readers get these logs together.

No kind of log is called job or execution, so these keys are never those of logs.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from logkeep.aws.dynamo import decode, encode, query
from logkeep.errors import Conflict, LogNotFound, TooLarge
from logkeep.limits import SUB_JOBS_MAX
from logkeep.logid import LogId
from logkeep.logs.registration import Registration

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

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

    def _first_puts(self, partition: str, sk: str, names: str, birth: str) -> list[TransactWriteItemTypeDef]:
        """The writes of a new item, and of the latest; none if the item exists."""
        if self._get(partition, sk) is not None:
            return []
        return [self._put(partition, sk, names, birth, once=True), self._put(partition, _LATEST, names, birth)]

    def _put(self, partition: str, sk: str, names: str, birth: str, *, once: bool = False) -> TransactWriteItemTypeDef:
        item = encode({"pk": f"{self._project}/{partition}", "sk": sk, "names": names, "birth": birth})
        if once:
            return {
                "Put": {
                    "TableName": self._table,
                    "Item": item,
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            }
        return {"Put": {"TableName": self._table, "Item": item}}

    def _get(self, partition: str, sk: str) -> str | None:
        key = encode({"pk": f"{self._project}/{partition}", "sk": sk})
        item = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return str(decode(item)["names"]) if item else None
