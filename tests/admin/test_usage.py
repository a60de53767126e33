"""What requests used: out of a file of lines, and out of CloudWatch Logs, which here is botocore's stub."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import randbytes
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from admin import Refused, usage
from admin.cost import Usage, costs_of
from admin.usage import QUERY, ROWS_MAX, from_insights, from_lines
from local import ROOT
from local.function_log import FunctionLog, files
from local.sandbox import Sandboxes
from tests.admin.command import Admin
from tests.calls import OTHER_PROJECT, PROJECT, RECORD, SERVICE, event
from tests.local.service import eventually, running
from tests.local.test_sandbox import ENVIRONMENT, FUNCTION

NOW = 1_795_336_652.0
GROUP = "logkeep-FunctionLogs"


def stamp(seconds: float) -> str:
    """As the logger writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def line(**changes: Any) -> bytes:
    fields = {
        "message": "request", "project": "p", "function": "append_log", "function_memory_size": 512,
        "bytes_linked": 0, "duration_ms": 20.5,
        "used": {"calls": {"GetItem": 2, "PutObject": 1}, "read_units": 1.5, "write_units": 5.0},
        "timestamp": stamp(NOW), "requests": 1, "bytes_in": 4, "bytes_out": 139,
    }  # fmt: skip
    return json.dumps(fields | changes).encode() + b"\n"


# Lines


def test_lines_are_added_up_by_project_function_and_size():
    lines = [line(), line(), line(project="q"), line(function="read_log", function_memory_size="1024", bytes_linked=7)]
    found = {(each.project, each.function): each for each in from_lines(lines, NOW)}
    assert found["p", "append_log"] == Usage(
        project="p", function="append_log", memory=512, requests=2, steps=2, milliseconds=41.0, read_units=3.0,
        write_units=10.0, calls={"PutObject": 2}, bytes_out=278, bytes_linked=0,
        bytes_logged=2 * len(line()) - 2, hours=1,
    )  # fmt: skip
    assert found["q", "append_log"].requests == 1
    assert (found["p", "read_log"].memory, found["p", "read_log"].bytes_linked) == (1024, 7)


def test_an_hour_counts_once_however_many_requests_it_has():
    (found,) = from_lines([line(timestamp=stamp(NOW + seconds)) for seconds in (0, 1, 3600, 7200)], NOW)
    assert found.hours == 3


def test_lines_that_are_old_or_of_something_else_count_nothing():
    others = [
        b"no JSON\n",
        b"[1]\n",
        b'{"message": "nothing to build any more"}\n',
        b'{"message": "request"}\n',
        b'{"mess',
    ]
    assert from_lines([*others, line(timestamp=stamp(NOW - 0.001))], NOW) == []


# CloudWatch Logs Insights


@pytest.fixture
def insights(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Stubber]]:
    monkeypatch.setattr(usage, "_POLL", 0.0)
    logs = boto3.client("logs", region_name="us-east-1")
    with Stubber(logs) as stub:
        asked = {"logGroupName": GROUP, "startTime": 100, "endTime": 200, "queryString": QUERY, "limit": ROWS_MAX}
        stub.add_response("start_query", {"queryId": "q"}, asked)
        yield logs, stub
        stub.assert_no_pending_responses()


def answer(stub: Stubber, status: str, rows: list[Mapping[str, str]]) -> None:
    results = [[{"field": name, "value": value} for name, value in row.items()] for row in rows]
    stub.add_response("get_query_results", {"status": status, "results": results}, {"queryId": "q"})


def row(**changes: str) -> dict[str, str]:
    """As Insights answers: everything is text, and a sum of nothing is absent or empty."""
    sums = {
        "asked": "2", "api_steps": "3", "milliseconds": "41.0", "read_units": "3.0", "write_units": "10.0",
        "sent": "278", "linked": "0", "bytes_logged": "2000", "hours": "1", "PutObject": "2", "GetObject": "",
    }  # fmt: skip
    return {"project": "p", "function": "append_log", "function_memory_size": "512"} | sums | changes


def test_a_query_is_waited_for_and_its_rows_are_usage(insights):
    logs, stub = insights
    for status in ("Scheduled", "Running"):
        answer(stub, status, [])
    answer(stub, "Complete", [row(), row(project="q")])
    found = from_insights(logs, GROUP, 100.5, 200.5)
    assert found[0] == Usage(
        project="p", function="append_log", memory=512, requests=2, steps=3, milliseconds=41.0, read_units=3.0,
        write_units=10.0, calls={"PutObject": 2}, bytes_out=278, bytes_linked=0, bytes_logged=2000, hours=1,
    )  # fmt: skip
    assert found[1].project == "q"
    assert costs_of(found, {}, project_metrics=True)[0].parts["s3"] == pytest.approx(2 * 5e-6)


@pytest.mark.parametrize(
    ("status", "rows", "message"),
    [("Failed", 0, "ended as Failed"), ("Timeout", 0, "ended as Timeout"), ("Complete", ROWS_MAX, "more than a query")],
)
def test_a_query_that_does_not_tell_all_is_refused(insights, status, rows, message):
    logs, stub = insights
    answer(stub, status, [{"project": "p"}] * rows)
    with pytest.raises(Refused, match=message):
        from_insights(logs, GROUP, 100, 200)


def test_a_query_that_takes_too_long_is_stopped(insights, monkeypatch):
    logs, stub = insights
    monkeypatch.setattr(usage, "_WAIT_MAX", -1.0)
    answer(stub, "Running", [])
    stub.add_response("stop_query", {"success": True}, {"queryId": "q"})
    with pytest.raises(Refused, match="did not end"):
        from_insights(logs, GROUP, 100, 200)


def test_the_query_asks_for_fields_that_a_line_has(tmp_path):
    with Sandboxes(ENVIRONMENT | {"POWERTOOLS_LOG_LEVEL": "INFO"}, FunctionLog(tmp_path)) as sandboxes:
        sandboxes.invoke(FUNCTION, event("reject_unknown"), "1", 20)
    present, _ = files(tmp_path)
    assert len(from_lines([present.read_bytes()], 0)) == 1
    fields = set(flattened(json.loads(present.read_text())))
    assert len(fields) < 200  # more are not found
    asked = set(re.findall(r"sum\(([a-z_]\w*\.?\w*)\)", QUERY)) - {"steps", "size"} | {"bytes_in"}
    asked |= set(QUERY.split(" by ")[1].split("\n")[0].split(", "))
    assert len(asked) == 10
    assert asked <= fields


def flattened(value: Any, name: str = "") -> Iterator[str]:
    """The names that CloudWatch Logs gives the fields of a JSON line."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if children is None:
        yield name
        return
    for key, inner in children:
        yield from flattened(inner, f"{name}.{key}" if name else str(key))


# The local service


def test_known_requests_are_counted_exactly_by_project(tmp_path: Path) -> None:
    with running(tmp_path) as service, Admin(service) as admin:
        stored = {each["project"]: each["stored_bytes"] for each in admin.told("cost", "--json")["projects"]}
        before = stored[PROJECT]  # the sample's
        with service.client() as client:
            for number, text in enumerate((b"2026-11-22 08:00:00 INFO hello\n", b"more\n", randbytes(20_000))):
                url = f"/v1/{PROJECT}/logs/build/{RECORD}/cost{number}"
                client.patch(url, content=text, headers={"Content-Type": "application/octet-stream"}).raise_for_status()
                client.get(f"/v1/{PROJECT}/services/{SERVICE}/events").raise_for_status()
        with service.client(**{"X-Auth-Token": "logkeep-other-token"}) as client:
            client.get(f"/v1/{OTHER_PROJECT}/logs").raise_for_status()
        with service.client(**{"X-Auth-Token": "unknown"}) as client:
            client.get(f"/v1/{PROJECT}/logs")
        present, _ = files(tmp_path)
        assert eventually(lambda: present.read_bytes().count(b"\n") == 8)

        told = admin.told("cost", "--days", "1", "--json")
        costs = {each["project"]: each for each in told["projects"]}
        assert {project: cost["requests"] for project, cost in costs.items()} == {PROJECT: 6, OTHER_PROJECT: 1, "-": 1}
        mine, nobody = costs[PROJECT]["dollars"], costs["-"]["dollars"]
        assert mine["api"] == pytest.approx(6e-6)
        assert mine["dynamodb"] > 3 * 4 * 0.625e-6  # an append is a transaction of two items, two units each
        assert nobody["dynamodb"] == 0.125e-6 / 2  # the look at a token that is not there
        assert mine["metrics"] == 0, "they are not asked for"
        assert costs[PROJECT]["total"] == pytest.approx(sum(mine.values()), abs=1e-7)
        assert mine["s3"] == pytest.approx(5e-6)  # random bytes, which do not get small enough for a row
        assert 20_000 <= costs[PROJECT]["stored_bytes"] - before < 21_000

        table = admin.done("cost")
        assert [row.split()[:2] for row in table.splitlines()[2:6]][1:] == [
            [each["project"], str(each["requests"])] for each in told["projects"]
        ]
        made = subprocess.run(
            ["make", "--silent", "cost", "LOCAL=1", "DAYS=2"],  # noqa: S607 - as a user calls it
            cwd=ROOT, env=service.environment, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert made.stdout == table.replace("30 days", "2 days")


def test_sizes_of_objects_are_added_up_by_project(target, objects):
    for key in ("logs/p/check/a", "renders/p/x", "backups/q/c/r.zip", "elsewhere/r/x"):
        objects.s3.put_object(Bucket=objects.bucket, Key=key, Body=b"12345")
    assert usage.stored(target) == {"p": 10, "q": 5}
