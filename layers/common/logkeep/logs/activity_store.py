"""Activity as items of table Logs (docs/formats.md#activity): pk={project}/day/{yyyymmdd}/{shard}, sk={log_id}.

The odd text of all logs is at pk={project}/day/odd. No kind of log is called day, so these are never keys of logs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from logkeep.aws.dynamo import encode
from logkeep.logid import LogId
from logkeep.logs.activity import SHARDS, Sighting, shard_of, span_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

ODD: Final = "odd"


def partitions(project: str, days: Iterable[int]) -> list[str]:
    """The pk of the rows of these days, and of odd text."""
    return [f"{project}/day/{ODD}", *(day_key(project, day, shard) for day in days for shard in range(SHARDS))]


def put(table: str, project: str, row: Sighting) -> TransactWriteItemTypeDef:
    """The write of a row, for the transaction that writes the log's head.

    It needs no condition: the head has one, and a row of the log that had the id before is to be replaced.
    """
    item: dict[str, Any] = {"sk": str(row.log_id), "birth": row.birth, "labels": dict(row.labels) or None}
    first, last = row.span
    if row.day is None:
        item |= {"pk": f"{project}/day/{ODD}", "least": first, "greatest": last}
    else:
        item |= {"pk": day_key(project, row.day, shard_of(row.log_id)), "since": first}
    return {"Put": {"TableName": table, "Item": encode(item)}}


def sighting(item: dict[str, Any]) -> Sighting:
    """The row of an item."""
    log_id, labels = LogId.parse(item["sk"]), item.get("labels", {})
    day = item["pk"].split("/")[2]
    if day == ODD:
        return Sighting(log_id, item["birth"], labels, None, (item["least"], item["greatest"]))
    return Sighting(log_id, item["birth"], labels, int(day), (item["since"], span_of(int(day))[1]))


def day_key(project: str, day: int, shard: int) -> str:
    """The pk of a shard of a day's rows."""
    return f"{project}/day/{day}/{shard}"
