"""Dollars out of usage, against numbers worked out by hand from AWS's price pages."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore import xform_name

from admin import prices
from admin.cost import METRICS, PARTS, Usage, costs_of, steps
from logkeep.web import audit

MILLION = 1_000_000


def usage(**changes: Any) -> Usage:
    fields: dict[str, Any] = {
        "project": "p", "function": "append_log", "memory": 512, "requests": 0, "steps": 0, "milliseconds": 0.0,
        "read_units": 0.0, "write_units": 0.0, "hours": 0,
    }  # fmt: skip
    return Usage(**fields | changes)


@pytest.mark.parametrize(
    ("used", "part", "dollars"),
    [
        ({"steps": MILLION}, "api", 1.00),
        ({"requests": MILLION}, "lambda", 0.20),
        # 1 million requests of 100 ms with 512 MB are 50,000 GB-s.
        ({"milliseconds": 100.0 * MILLION}, "lambda", 0.66667),
        ({"milliseconds": 1000.0, "memory": 1769}, "lambda", 1769 / 1024 * 0.0000133334),
        ({"read_units": 8.0 * MILLION}, "dynamodb", 1.00),
        ({"write_units": 4.0 * MILLION}, "dynamodb", 2.50),
        ({"calls": {"PutObject": 1000, "GetObject": 10_000, "DeleteObject": MILLION}}, "s3", 0.009),
        ({"calls": {"UploadPart": 1000, "CompleteMultipartUpload": 1000, "ListParts": 1000}}, "s3", 0.015),
        ({"calls": {"Decrypt": 10_000, "GetSecretValue": 10_000, "GetItem": MILLION, "AssumeRole": 9}}, "keys", 0.08),
        ({"calls": {"Invoke": MILLION}}, "orders", 0.20),
        ({"bytes_out": 60 * 10**9, "bytes_linked": 40 * 10**9}, "transfer", 9.00),
        ({"bytes_logged": 3 * 10**9}, "logs", 1.50),
        # Four metrics of one function in every hour of a month.
        ({"hours": 730}, "metrics", 1.20),
    ],
)
def test_each_part_costs_what_the_list_says(used, part, dollars):
    (cost,) = costs_of([usage(**used)], {}, project_metrics=True)
    assert cost.parts[part] == pytest.approx(dollars)
    assert cost.total == pytest.approx(dollars)
    assert cost.parts.keys() == set(PARTS)


def test_a_projects_functions_are_added_up_and_the_dearest_project_comes_first():
    used = [
        usage(project="small", requests=3, steps=3),
        usage(project="large", requests=10, steps=10),
        usage(project="large", function="read_log", requests=7, steps=MILLION),
    ]
    costs = costs_of(used, {"large": 5 * 10**9, "idle": 10**9}, project_metrics=False)
    assert [(cost.project, cost.requests) for cost in costs] == [("large", 17), ("small", 3), ("idle", 0)]
    assert costs[0].parts["api"] == pytest.approx((MILLION + 10) * 1e-6)
    assert costs[0].parts["lambda"] == pytest.approx(17 * 0.2e-6)
    assert [cost.storage for cost in costs] == pytest.approx([0.115, 0, 0.023])
    assert costs[2].total == 0


def test_metrics_that_are_not_told_apart_cost_no_project():
    (cost,) = costs_of([usage(hours=730)], {}, project_metrics=False)
    assert cost.parts["metrics"] == 0


@pytest.mark.parametrize(
    ("bytes_in", "bytes_out", "count"),
    [(0, 0, 1), (512 * 1024, 512 * 1024, 1), (512 * 1024 + 1, 0, 2), (10, 4 * 1024 * 1024, 8)],
)
def test_the_gateway_counts_in_steps_of_512_kb(bytes_in, bytes_out, count):
    assert steps(bytes_in, bytes_out) == count


def test_every_operation_of_the_layer_has_its_price(root: Path):
    called = set()
    for path in (root / "layers" / "common" / "logkeep" / "aws").glob("*.py"):
        called |= set(re.findall(r"\b_?(?:s3|functions|kms|secrets)(?:\(\))?\.([a-z0-9_]+)\(", path.read_text()))
        called |= set(re.findall(r'_s3\.get_paginator\("([a-z0-9_]+)"\)', path.read_text()))
    called -= {"get_paginator", "token_bytes", "token_hex", "encrypt"}  # encrypt is an administrator's
    priced = {xform_name(operation) for operations in prices.CALLS.values() for operation in operations}
    assert called
    assert called <= priced


def test_a_request_carries_as_many_metrics_as_are_charged(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(audit, "settings", lambda: SimpleNamespace(metrics_namespace="Logkeep/logkeep"))
    metrics = audit._metrics({"requests": 1, "errors": 0, "bytes_in": 0, "bytes_out": 0}, {"function": "f"})
    assert len(metrics["_aws"]["CloudWatchMetrics"][0]["Metrics"]) == METRICS
