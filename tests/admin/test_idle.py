"""The price of a month without a request, by list prices, as README says it."""

import re
from pathlib import Path
from typing import Any

import pytest

from admin.idle import idle
from local.template import Template

pytestmark = pytest.mark.unit

POLLING = "polling of queues"


def total(overrides: str = "") -> float:
    return sum(idle(Template.load(overrides=overrides)).values())


def of(kind: str, properties: dict[str, Any]) -> float:
    return sum(idle(Template({"Resources": {"One": {"Type": kind, "Properties": properties}}})).values())


def test_an_idle_stack_costs_at_most_2_20_a_month_without_a_dashboard() -> None:
    assert total() <= 2.20


def test_all_but_the_polling_of_queues_costs_at_most_2_20_a_month() -> None:
    assert sum(price for part, price in idle(Template.load()).items() if part != POLLING) <= 2.20


def test_readme_says_what_it_costs(root: Path) -> None:
    parts = idle(Template.load())
    said = re.search(r"Idle, the stack costs \$(\d\.\d\d) a month", (root / "README.md").read_text())
    assert said
    assert said[1] == f"{sum(parts.values()) - parts.get(POLLING, 0):.2f}"
    page = (root / "docs" / "operations.md").read_text()
    for part, price in parts.items():
        if part != POLLING:
            assert f"| {part} | ${price:.2f} |" in page


def test_a_dashboard_costs_what_its_parameter_says() -> None:
    assert total("Dashboard=true") - total() == pytest.approx(3.00)


def test_a_customer_s_key_costs_the_calls_for_five_tables() -> None:
    key = "CustomerKey=arn:aws:kms:us-east-1:000000000000:key/1"
    assert total(key) - total() == pytest.approx(5 * 8760 * 0.03 / 10_000)


@pytest.mark.parametrize(
    ("kind", "properties", "dollars"),
    [
        ("AWS::KMS::Key", {}, 1.00),
        ("AWS::KMS::Key", {"EnableKeyRotation": True}, 3.00),  # every year; two of them count
        ("AWS::KMS::Key", {"EnableKeyRotation": True, "RotationPeriodInDays": 2560}, 1.00),  # not within five years
        ("AWS::KMS::Key", {"EnableKeyRotation": True, "RotationPeriodInDays": 1000}, 2.00),
        ("AWS::SecretsManager::Secret", {}, 0.40),
        ("AWS::CloudWatch::Alarm", {"Period": 60}, 0.10),
        ("AWS::CloudWatch::Alarm", {"Period": 10}, 0.30),
        ("AWS::CloudWatch::Alarm", {"Metrics": [{"Expression": "a"}, *[{"MetricStat": {"Period": 300}}] * 3]}, 0.30),
        ("AWS::CloudWatch::CompositeAlarm", {}, 0.50),
        ("AWS::CloudWatch::Dashboard", {}, 3.00),
        # 5 pollers, or 2, ask three times a minute, 43,800 minutes, $0.40 a million
        ("AWS::Lambda::EventSourceMapping", {"ScalingConfig": {"MaximumConcurrency": 10}}, 0.2628),
        ("AWS::Lambda::EventSourceMapping", {}, 0.10512),
        ("AWS::Logs::MetricFilter", {"MetricTransformations": [{"MetricValue": "1"}]}, 0.0),
        ("AWS::Logs::MetricFilter", {"MetricTransformations": [{"DefaultValue": 0}]}, 0.30),
        ("AWS::DynamoDB::Table", {"BillingMode": "PAY_PER_REQUEST"}, 0.0),
        ("AWS::SQS::Queue", {}, 0.0),
    ],
)
def test_each_resource_costs_what_the_list_says(kind: str, properties: dict[str, Any], dollars: float) -> None:
    assert of(kind, properties) == pytest.approx(dollars)


def test_the_schedule_costs_its_calls_its_runs_and_its_reads() -> None:
    schedule = {"ScheduleExpression": "rate(1 minute)", "Target": {"Arn": {"Fn::GetAtt": ["One", "Arn"]}}}
    function = {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 512}}
    timed = {"Type": "AWS::Scheduler::Schedule", "Properties": schedule}
    # 43,800 times: $1 a million, $0.20 a million, 0.025 GB-s, 2 read units
    assert idle(Template({"Resources": {"One": function, "Two": timed}}))["schedule"] == pytest.approx(
        43_800 * (1e-6 + 0.2e-6 + 0.025 * 0.0000133334 + 2 * 0.125e-6)
    )


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("AWS::EC2::NatGateway", {}),
        ("AWS::DynamoDB::Table", {"BillingMode": "PROVISIONED"}),
        ("AWS::Lambda::Function", {"ProvisionedConcurrencyConfig": {}}),
        ("AWS::Scheduler::Schedule", {"ScheduleExpression": "at(x)", "Target": {"Arn": {"Fn::GetAtt": ["One"]}}}),
    ],
)
def test_what_has_no_price_here_is_an_error(kind: str, properties: dict[str, Any]) -> None:
    with pytest.raises(LookupError):
        of(kind, properties)
