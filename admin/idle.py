"""What a stack costs in a month in which nobody uses it, by list prices, worked out from its template."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from admin import prices
from local.template import Template, chosen

MINUTES: Final = 60 * prices.MONTH_HOURS
YEARS: Final = 5  # for which the price of the key holds
RUN_SECONDS: Final = 0.05  # of a run of the schedule that finds nothing due: assumed, four queries one after the other
RUN_READ_UNITS: Final = 4 * 0.5  # the queries are eventually consistent
# docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html: five pollers, of which three end where nothing comes,
# but not where a maximum concurrency is set. A long poll takes 20 s.
_POLLERS: Final = 5
_POLLERS_FEW: Final = 2
_POLLS_A_MINUTE: Final = 3
# docs.aws.amazon.com/kms/latest/developerguide/services-dynamodb.html: DynamoDB asks for a table's key every 5 minutes.
_KEY_CALLS: Final = MINUTES / 5
_RATE: Final = re.compile(r"rate\((\d+) (minute|hour)s?\)")
# What costs nothing while it is not used. Any other type of resource has to be priced here first.
_FREE: Final = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Stage",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::IAM::RolePolicy",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Url",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::Serverless::HttpApi",
    "AWS::Serverless::LayerVersion",
}


def idle(template: Template) -> dict[str, float]:
    """Dollars a month by part, without free tiers, before or after the template is translated by SAM.

    Raises LookupError for a resource whose price is not known here.
    """
    resources = {
        name: (each["Type"], chosen(each.get("Properties", {}), template.conditions))
        for name, each in template.raw["Resources"].items()
        if "Condition" not in each or template.conditions[each["Condition"]]
    }
    shared = template.raw.get("Globals", {}).get("Function", {}).get("MemorySize", 128)
    memory = {name: properties.get("MemorySize", shared) for name, (_, properties) in resources.items()}
    dollars: defaultdict[str, float] = defaultdict(float)
    for name, (kind, properties) in resources.items():
        for part, price in _prices(name, kind, properties, memory):
            dollars[part] += price
    return dict(sorted(dollars.items(), key=lambda each: -each[1]))


def _prices(
    name: str, kind: str, properties: Mapping[str, Any], memory: Mapping[str, int]
) -> Iterator[tuple[str, float]]:
    match kind:
        case "AWS::KMS::Key":
            rotations = YEARS * 365 // properties.get("RotationPeriodInDays", 365)
            yield "key", prices.KMS_KEY * (1 + min(2, rotations * properties.get("EnableKeyRotation", False)))
        case "AWS::SecretsManager::Secret":
            yield "secret", prices.SECRET
        case "AWS::CloudWatch::Alarm":
            yield "alarms", _alarm(properties)
        case "AWS::CloudWatch::CompositeAlarm":
            yield "alarms", prices.COMPOSITE_ALARM
        case "AWS::CloudWatch::Dashboard":
            yield "dashboard", prices.DASHBOARD
        case "AWS::Logs::MetricFilter":
            if any("DefaultValue" in each for each in properties["MetricTransformations"]):
                yield "metrics", prices.METRIC_HOUR * prices.MONTH_HOURS
        case "AWS::DynamoDB::Table":
            if properties["BillingMode"] != "PAY_PER_REQUEST":
                raise LookupError("a table with provisioned capacity")
            if properties.get("SSESpecification", {}).get("SSEEnabled"):
                yield "keys of tables", _KEY_CALLS * prices.KMS_CALL
        case "AWS::Lambda::EventSourceMapping":
            yield "polling of queues", _polling(properties)
        case "AWS::Scheduler::Schedule":
            target = properties["Target"]["Arn"]["Fn::GetAtt"][0]
            yield "schedule", _runs(properties["ScheduleExpression"], memory[target])
        case "AWS::Lambda::Function" | "AWS::Serverless::Function":
            if "ProvisionedConcurrencyConfig" in properties:
                raise LookupError("provisioned concurrency")
            for event in properties.get("Events", {}).values():
                if event["Type"] == "SQS":
                    yield "polling of queues", _polling(event["Properties"])
                elif event["Type"] == "ScheduleV2":
                    yield "schedule", _runs(event["Properties"]["ScheduleExpression"], memory[name])
        case _ if kind not in _FREE:
            raise LookupError(kind)


def _alarm(properties: Mapping[str, Any]) -> float:
    metrics = [each["MetricStat"]["Period"] for each in properties.get("Metrics", []) if "MetricStat" in each]
    periods = metrics or [properties["Period"]]
    return sum(prices.ALARM_METRIC if period >= 60 else prices.ALARM_METRIC_FAST for period in periods)


def _polling(properties: Mapping[str, Any]) -> float:
    pollers = _POLLERS if "MaximumConcurrency" in properties.get("ScalingConfig", {}) else _POLLERS_FEW
    return pollers * _POLLS_A_MINUTE * MINUTES * prices.SQS_CALL


def _runs(expression: str, memory: int) -> float:
    if not (found := _RATE.fullmatch(expression)):
        raise LookupError(expression)
    run = (
        prices.SCHEDULED_CALL
        + prices.LAMBDA_REQUEST
        + RUN_SECONDS * memory / 1024 * prices.LAMBDA_GB_SECOND
        + RUN_READ_UNITS * prices.READ_UNIT
    )
    return MINUTES / (int(found[1]) * (60 if found[2] == "hour" else 1)) * run
