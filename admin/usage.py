"""What requests used, according to the line that each of them leaves in the functions' logs, and what is stored.

On AWS the lines are in a log group, and one query of CloudWatch Logs Insights adds them up. Locally they are in files.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from admin import Refused
from admin.cost import Usage, steps
from admin.prices import API_STEP, CALLS
from admin.target import CONFIG, Target
from logkeep.aws.clients import s3_config
from logkeep.aws.logger import REQUEST

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

type _Key = tuple[str, str, int]  # project, function, its memory in MiB

KEPT_UNDER: Final = ("logs/", "renders/", "backups/")  # prefixes of keys; the project follows
ROWS_MAX: Final = 10_000  # that a query of Insights returns
_WAIT_MAX: Final = 300.0  # seconds
_POLL: Final = 1.0
_HOUR: Final = 3600  # seconds
_OPERATIONS: Final = sorted(
    operation for operations in CALLS.values() for operation, price in operations.items() if price
)

# In Insights each element of a list is a field of its own, and the parts of a nested field's name are joined by dots
# (docs.aws.amazon.com, "Supported logs and discovered fields"). A call that a function never made has no field, and its
# sum is empty.
QUERY: Final = f"""\
fields greatest(requests, ceil(greatest(bytes_in, bytes_out) / {API_STEP})) as steps,
  strlen(@message) as size, datefloor(@timestamp, 1h) as hour
| filter message = "request" and ispresent(requests)
| stats sum(requests) as asked, sum(steps) as api_steps, sum(duration_ms) as milliseconds,
  sum(used.read_units) as read_units, sum(used.write_units) as write_units,
  sum(bytes_out) as sent, sum(bytes_linked) as linked, sum(size) as bytes_logged, count_distinct(hour) as hours,
  {", ".join(f"sum(used.calls.{operation}) as {operation}" for operation in _OPERATIONS)}
  by project, function, function_memory_size
| limit {ROWS_MAX}"""


def used(target: Target, days: int) -> list[Usage]:
    """What the requests of the last `days` used. Raises Refused if the query on AWS fails."""
    until = time.time()
    since = until - days * 86400
    if target.function_logs:
        return from_insights(target.session.client("logs", config=CONFIG), target.function_logs, since, until)
    from admin.local_service import printed_lines  # here, because it loads the local service, which AWS does not need

    return from_lines(printed_lines(), since)


def stored(target: Target) -> dict[str, int]:
    """The bytes of all objects in the bucket, by project."""
    sizes: Counter[str] = Counter()
    pages = target.session.client("s3", config=s3_config()).get_paginator("list_objects_v2")
    for prefix in KEPT_UNDER:
        for page in pages.paginate(Bucket=target.bucket, Prefix=prefix):
            for each in page.get("Contents", []):
                sizes[each["Key"].split("/", 2)[1]] += each["Size"]
    return dict(sizes)


def from_insights(logs: "CloudWatchLogsClient", group: str, since: float, until: float) -> list[Usage]:
    """Add up the lines of a log group between two times, in epoch seconds.

    Raises Refused if the query fails, takes too long, or has too many rows.
    """
    query = logs.start_query(
        logGroupName=group, startTime=int(since), endTime=int(until), queryString=QUERY, limit=ROWS_MAX
    )["queryId"]
    deadline = time.monotonic() + _WAIT_MAX
    while (found := logs.get_query_results(queryId=query))["status"] in {"Scheduled", "Running", "Unknown"}:
        if time.monotonic() > deadline:
            logs.stop_query(queryId=query)
            raise Refused(f"the query did not end within {_WAIT_MAX:.0f} seconds; ask for fewer --days")
        time.sleep(_POLL)
    if found["status"] != "Complete":
        raise Refused(f"the query ended as {found['status']}; ask for fewer --days")
    if len(found["results"]) >= ROWS_MAX:
        raise Refused(f"there are {ROWS_MAX} or more pairs of project and function, more than a query returns")
    return [_row({each["field"]: each["value"] for each in row}) for row in found["results"]]


def from_lines(lines: Iterable[bytes], since: float) -> list[Usage]:
    """Add up the lines of requests since a time, in epoch seconds. All other lines are ignored."""
    sums: dict[_Key, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    hours: dict[_Key, set[int]] = defaultdict(set)
    for line in lines:
        try:
            entry = json.loads(line)
            if entry["message"] != REQUEST:
                continue
            seconds = datetime.fromisoformat(entry["timestamp"]).timestamp()
            if seconds < since:
                continue
            key = entry["project"], entry["function"], int(entry["function_memory_size"])
            values = _values_of(entry, len(line.rstrip(b"\n")))
        except (ValueError, KeyError, TypeError):
            continue
        for name, value in values.items():
            sums[key][name] += value
        hours[key].add(int(seconds // _HOUR))
    return [_usage(key, {**values, "hours": len(hours[key])}) for key, values in sums.items()]


def _values_of(entry: Mapping[str, Any], size: int) -> dict[str, float]:
    """The values of one line that the query on AWS would add up; `size` is the line's, in bytes."""
    return {
        **entry["used"]["calls"],
        "asked": entry["requests"],
        # A line may be of several.
        "api_steps": max(entry["requests"], steps(entry["bytes_in"], entry["bytes_out"])),
        "milliseconds": entry["duration_ms"],
        "read_units": entry["used"]["read_units"],
        "write_units": entry["used"]["write_units"],
        "sent": entry["bytes_out"],
        "linked": entry["bytes_linked"],
        "bytes_logged": size,
    }


def _row(row: Mapping[str, str]) -> Usage:
    key = row["project"], row["function"], int(row["function_memory_size"])
    names = {"project", "function", "function_memory_size"}
    return _usage(key, {name: float(value or 0) for name, value in row.items() if name not in names})


def _usage(key: _Key, sums: Mapping[str, float]) -> Usage:
    project, function, memory = key
    return Usage(
        project=project,
        function=function,
        memory=memory,
        requests=round(sums["asked"]),
        steps=round(sums["api_steps"]),
        milliseconds=sums["milliseconds"],
        read_units=sums["read_units"],
        write_units=sums["write_units"],
        calls={name: round(sums[name]) for name in _OPERATIONS if sums.get(name)},
        bytes_out=round(sums["sent"]),
        bytes_linked=round(sums["linked"]),
        bytes_logged=round(sums["bytes_logged"]),
        hours=round(sums["hours"]),
    )
