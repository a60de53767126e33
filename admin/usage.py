"""What requests used, read from the line that each of them leaves; and what is stored.

On AWS the lines are in a log group, and one CloudWatch Logs Insights query adds them up. Locally they are in a file.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from admin import Refused
from admin.cost import Usage, steps
from admin.prices import API_STEP, CALLS
from admin.target import CONFIG, Target, data_directory
from local.function_log import files
from logkeep.aws.clients import s3_config

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

type _Key = tuple[str, str, int]  # project, function, its memory in MiB

KEPT_UNDER: Final = ("logs/", "renders/", "backups/")  # what follows is the project
ROWS_MAX: Final = 10_000  # that Insights gives
_WAIT_MAX: Final = 300.0  # seconds
_POLL: Final = 1.0
_HOUR: Final = 3600 * 1000
_OPERATIONS: Final = sorted(
    operation for operations in CALLS.values() for operation, price in operations.items() if price
)

# A list is a field for each of its elements, and what a field is made of is parted by dots: docs.aws.amazon.com,
# "Supported logs and discovered fields". The call of a function that never made it has no field: its sum is empty.
QUERY: Final = f"""\
fields ceil(greatest(`BytesIn.0`, `BytesOut.0`, 1) / {API_STEP}) as steps, strlen(@message) as size,
  datefloor(@timestamp, 1h) as hour
| filter message = "request" and ispresent(`Requests.0`)
| stats sum(`Requests.0`) as requests, sum(steps) as api_steps, sum(duration_ms) as milliseconds,
  sum(used.read_units) as read_units, sum(used.write_units) as write_units,
  sum(`BytesOut.0`) as bytes_out, sum(bytes_linked) as linked, sum(size) as bytes_logged, count_distinct(hour) as hours,
  {", ".join(f"sum(used.calls.{operation}) as {operation}" for operation in _OPERATIONS)}
  by project, function, function_memory_size
| limit {ROWS_MAX}"""


def used(target: Target, days: int) -> list[Usage]:
    """What the requests of the last days used."""
    until = time.time()
    since = until - days * 86400
    if target.function_logs:
        return from_insights(target.session.client("logs", config=CONFIG), target.function_logs, since, until)
    return from_lines(_lines_of(files(data_directory())), since)


def stored(target: Target) -> dict[str, int]:
    """Bytes of objects by project."""
    sizes: Counter[str] = Counter()
    pages = target.session.client("s3", config=s3_config()).get_paginator("list_objects_v2")
    for prefix in KEPT_UNDER:
        for page in pages.paginate(Bucket=target.bucket, Prefix=prefix):
            for each in page.get("Contents", []):
                sizes[each["Key"].split("/", 2)[1]] += each["Size"]
    return dict(sizes)


def from_insights(logs: "CloudWatchLogsClient", group: str, since: float, until: float) -> list[Usage]:
    """Add up the lines of a log group; raise Refused where that fails, takes too long, or has too many rows."""
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
        raise Refused(f"there are {ROWS_MAX} or more pairs of project and function, more than a query gives")
    return [_row({each["field"]: each["value"] for each in row}) for row in found["results"]]


def from_lines(lines: Iterable[bytes], since: float) -> list[Usage]:
    """Add up lines; those that are not of requests, or older than since (epoch seconds), count nothing."""
    sums: dict[_Key, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    hours: dict[_Key, set[int]] = defaultdict(set)
    for line in lines:
        try:
            told = json.loads(line)
            if told["message"] != "request" or told["_aws"]["Timestamp"] < since * 1000:
                continue
            key = told["project"], told["function"], int(told["function_memory_size"])
            values = _values_of(told, len(line.rstrip(b"\n")))
        except (ValueError, KeyError, TypeError):
            continue
        for name, value in values.items():
            sums[key][name] += value
        hours[key].add(told["_aws"]["Timestamp"] // _HOUR)
    return [_usage(key, {**values, "hours": len(hours[key])}) for key, values in sums.items()]


def _values_of(told: Mapping[str, Any], size: int) -> dict[str, float]:
    """What the query adds up, of one line."""
    bytes_out = told["BytesOut"][0]
    return {
        **told["used"]["calls"],
        "requests": told["Requests"][0],
        "api_steps": steps(told["BytesIn"][0], bytes_out),
        "milliseconds": told["duration_ms"],
        "read_units": told["used"]["read_units"],
        "write_units": told["used"]["write_units"],
        "bytes_out": bytes_out,
        "linked": told["bytes_linked"],
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
        requests=round(sums["requests"]),
        steps=round(sums["api_steps"]),
        milliseconds=sums["milliseconds"],
        read_units=sums["read_units"],
        write_units=sums["write_units"],
        calls={name: round(sums[name]) for name in _OPERATIONS if sums.get(name)},
        bytes_out=round(sums["bytes_out"]),
        bytes_linked=round(sums["linked"]),
        bytes_logged=round(sums["bytes_logged"]),
        hours=round(sums["hours"]),
    )


def _lines_of(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        if path.exists():
            with path.open("rb") as lines:
                yield from lines
