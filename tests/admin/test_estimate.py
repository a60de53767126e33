"""The calculator, against sums worked out by hand, and its counts against what requests use."""

import itertools
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from admin import counts, estimate, prices
from admin.estimate import Use, appended, cloudwatch
from bench import PROJECT
from bench.meter import Meter
from bench.texts import lines_of, log_text
from local.template import Template
from logkeep.aws.logger import REQUEST, _serialize
from logkeep.logid import LogId
from logkeep.logs.store import log_store
from logkeep.web import audit

TEMPLATE = Template.load()


def of(**changes: Any) -> dict[str, float]:
    return estimate.estimate(Use(**changes), TEMPLATE)


@pytest.mark.parametrize("lines", counts.APPENDS)
def test_an_append_uses_what_is_counted(aws: None, lines: int) -> None:
    counted, store, log_id = counts.APPENDS[lines], log_store(PROJECT), LogId.parse(f"build/counted/{lines}")
    (body,) = itertools.islice(lines_of(log_text(1 << 20), lines), 1)
    first, *_, last = body.splitlines(keepends=True)
    # Makes the log, with its activity of today and of the text's times.
    before, _ = store.append(log_id, lambda: iter((first + last,)), 0)
    with Meter(boto3.client("dynamodb")).counting() as meter:
        store.append(log_id, lambda: iter((body,)), None)
    used = meter.write_units, meter.read_units, meter.requests["PutObject"]
    assert used == (counted.write_units, counted.read_units, counted.puts)
    assert len(body) == pytest.approx(counted.raw, rel=0.1)
    assert store.head(log_id).packed - before.packed == pytest.approx(counted.packed, rel=0.15)


def test_ten_gigabytes_in_appends_of_64_kb_cost_what_the_list_says() -> None:
    lines = of(gb=10, append=64_000)
    appends = 156_250
    assert lines["API requests"] == pytest.approx(appends * 1e-6)
    assert lines["Lambda requests"] == pytest.approx(appends * 0.2e-6)
    assert lines["DynamoDB writes"] == pytest.approx(appends * 4 * 0.625e-6)
    assert lines["S3 requests"] == pytest.approx(appends * 5e-6)
    assert lines["log lines"] == pytest.approx(appends * (counts.LINE + counts.ACCESS_LINE) / 1e9 * 0.5)
    assert lines["followers: Lambda"] == lines["backups"] == lines["transfer"] == 0


def test_a_follower_costs_half_a_gigabyte_of_memory_all_the_month() -> None:
    assert of(followers=1)["followers: Lambda"] == pytest.approx(0.5 * 3600 * 730 * 0.0000133334)


def test_what_small_appends_leave_is_in_the_table_and_what_large_ones_leave_is_in_the_bucket() -> None:
    small, large = of(gb=10, append=6_000, months=12), of(gb=10, append=600_000, months=12)
    assert small["storage: S3"] == 0 < large["storage: S3"]
    assert small["storage: tables"] > 10 * large["storage: tables"]


def test_without_use_only_the_idle_price_is_left() -> None:
    lines = of()
    assert sum(lines.values()) == lines["idle"] > 0


def test_cloudwatch_takes_fifty_cents_a_gigabyte() -> None:
    lines = cloudwatch(Use(gb=10, readers=2, followers=1))
    assert lines["ingestion"] == pytest.approx(5.00)
    assert lines["queries"] == pytest.approx(10 * 2 * 0.005)
    assert lines["live tail"] == pytest.approx(60 * 730 * 0.01)


@pytest.mark.parametrize("part", ["gb", "readers", "followers", "events", "backups", "months"])
def test_more_use_never_costs_less(part: str) -> None:
    base = {"gb": 10.0, "readers": 1.0, "followers": 1.0, "events": 1e6, "backups": 1.0, "months": 2.0}
    less, more = of(**base), of(**base | {part: base[part] * 2})
    assert all(more[line] >= less[line] for line in less)
    assert sum(more.values()) > sum(less.values())


def test_a_size_between_two_that_were_measured_costs_as_the_larger_one() -> None:
    assert appended(10_000).puts == 1
    assert appended(2_000).write_units == counts.APPENDS[50].write_units
    assert appended(4_000_000).puts == 7, "one for each 640 kB"


def test_a_request_s_lines_have_about_the_size_that_is_counted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SimpleNamespace(metrics_namespace="Logkeep/logkeep", project_metrics=False)
    monkeypatch.setattr(audit, "settings", lambda: settings)
    event = json.loads((root / "events" / "append_log.json").read_text())
    line = audit.line_of("append_log", event, {"statusCode": 202, "body": "x" * 250}, audit.Outcome.start())
    of_powertools = 210  # level, time, cold start, memory, request ids
    assert len(_serialize({"message": REQUEST, **(line or {})})) + of_powertools == pytest.approx(counts.LINE, rel=0.2)

    (api,) = TEMPLATE.resources("AWS::Serverless::HttpApi").values()
    values = iter([13, 16, 13, 42, 3, 3, 3, 3, 3, 1])  # characters of each field
    access = re.sub(r"\$context[\w.]+", lambda _: "x" * next(values), api["AccessLogSettings"]["Format"])
    assert len(access) + 26 == pytest.approx(counts.ACCESS_LINE, rel=0.25), "with what CloudWatch adds to each line"


def test_it_prints_both_totals(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["estimate", "--gb", "10", "--append", "64K"])
    estimate.main()
    printed = capsys.readouterr().out
    assert len(re.findall(r"^  total +\d+\.\d\d$", printed, re.MULTILINE)) == 2
    assert f"{10 * prices.LOG_GB:.2f}" in printed


@pytest.mark.parametrize("words", [["--append", "0"], ["--append", "1G"], ["--gb", "-1"], ["--gb", "nan"]])
def test_what_is_no_amount_is_refused(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr("sys.argv", ["estimate", *words])
    with pytest.raises(SystemExit) as ended:
        estimate.main()
    assert ended.value.code == 2
