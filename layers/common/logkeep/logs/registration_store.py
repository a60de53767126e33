"""Registrations as look-up rows of table Logs.

The records of a build lie at pk={project}/job/{job_id}/{build_no}, sk=build/{record_id}; the executions of a check task
at pk={project}/execution/{task_id}, sk=execute/{execute_id}. Beside them, sk=latest names the one that was registered
last for the first time. The sub-jobs of an execution lie at pk={project}/execution/{task_id}/{execute_id},
sk=check/{sub_job_id}. Beside the heads of a record or sub-job, sk=registered says under what, since readers get all
its logs at once. No kind of log is called job or execution.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from logkeep.aws.dynamo import decode, encode, query
from logkeep.errors import Conflict, LogNotFound, TooLarge
from logkeep.logid import LogId
from logkeep.logs.registration import Registration

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

SUB_JOBS_MAX: Final = 100  # of an execution, as many as a ZIP is asked for
_LATEST: Final = "latest"
_REGISTERED: Final = "registered"


class Registrations:
    """The registrations of one project."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, project: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._project = project

    def puts(self, log_id: LogId, registration: Registration) -> list[TransactWriteItemTypeDef]:
        """What registers a log, to be written with its head: at most four items.

        Raises Conflict where another log of the record or sub-job is registered under something else. A record or an
        execution that is new becomes the latest, on the condition that no other writer registers it meanwhile: so the
        latest is decided once, and by the order of the transactions instead of by clocks.
        """
        group, member = registration
        first, owner = log_id.segments[0], log_id.owner
        under = self._get(owner, _REGISTERED)
        if under == f"{group}/{member}":
            return []
        if under is not None:
            raise Conflict(f"{owner} is registered under {under.replace('/', ' ')}, not {group} {member}")
        own = self._put(owner, _REGISTERED, f"{group}/{member}", once=True)
        if log_id.kind == "build":
            return [own, *self._first_puts(f"job/{group}/{member}", f"build/{first}", first)]
        link = self._put(f"execution/{group}/{member}", f"check/{first}", first)
        return [own, link, *self._first_puts(f"execution/{group}", f"execute/{member}", member)]

    def record(self, build: Registration) -> str:
        """The record of a build, the newest if there are several; raise LogNotFound where none is registered."""
        found = self._get(f"job/{build.group}/{build.member}", _LATEST)
        if found is None:
            raise LogNotFound(f"no log is registered for build {build.member} of job {build.group}")
        return found

    def sub_jobs(self, task_id: str, execute_id: str | None = None) -> list[str]:
        """The sub-jobs of an execution, of the latest if none is named, in order.

        Raises LogNotFound where none is registered, TooLarge where there are more than SUB_JOBS_MAX.
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

    def _first_puts(self, partition: str, sk: str, names: str) -> list[TransactWriteItemTypeDef]:
        if self._get(partition, sk) is not None:
            return []
        return [self._put(partition, sk, names, once=True), self._put(partition, _LATEST, names)]

    def _put(self, partition: str, sk: str, names: str, *, once: bool = False) -> TransactWriteItemTypeDef:
        item = encode({"pk": f"{self._project}/{partition}", "sk": sk, "names": names})
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
