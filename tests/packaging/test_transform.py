"""What SAM makes of the template for CloudFormation."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from admin.idle import idle
from local.template import Template
from tests.examples import LONG
from tests.packaging.translating import in_sam, translated

STREAMING = [name for name, each in Template.load().functions.items() if each.streams]
# One that has everything, and one that has least; all of them in `make soak`.
SOME = ["us-east-1", "cn-north-1"]
# In one process: loading the linter is a quarter of the work. What a region lacks shows in one resource of each shape,
# that is type, condition and properties; whether references and policies are right shows in one region, in `make soak`,
# since it takes as long as all else. Left out are the regions of secret services and of the European partition, whose
# services nobody has compared with ours.
LINT = """
from cfnlint.api import lint
from cfnlint.config import ManualArgs
from cfnlint.helpers import REGIONS

def linted(template, regions, ignored):
    found = lint(json.dumps(template), config=ManualArgs(regions=regions, ignore_checks=ignored))
    return [f"{each.rule.id} {each.message}" for each in found]

regions = [each for each in REGIONS if not each.startswith(("us-iso", "eu-iso", "eusc"))]
here = linted(translated, ["us-east-1"], []) if WHOLE else []
shapes = {}
for name, each in translated["Resources"].items():
    each.get("Properties", {}).pop("Policies", None)
    shapes.setdefault((each["Type"], each.get("Condition"), *sorted(each.get("Properties", {}))), (name, each))
del translated["Outputs"]
there = linted({**translated, "Resources": dict(shapes.values())}, CHOSEN or regions, ["E1", "W", "I"])
json.dump({"regions": regions, "found": here + there}, sys.stdout)
"""


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    return translated()["Resources"]


@pytest.mark.soak
def test_the_linter_finds_nothing_in_any_region() -> None:
    linted = in_sam(LINT.replace("CHOSEN", repr([] if LONG else SOME)).replace("WHOLE", str(LONG)))
    assert linted["found"] == []
    others = {"ap-east-2", "mx-central-1", "us-gov-east-1", "us-gov-west-1", "cn-north-1", "cn-northwest-1"}
    assert others <= {*linted["regions"]}
    assert len(linted["regions"]) >= 38


def referred(value: Any) -> Iterator[str]:
    """The names of resources and parameters that a part of a template refers to."""
    if isinstance(value, list):
        for each in value:
            yield from referred(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            match key, each:
                case "Ref", str():
                    yield each
                case "Fn::GetAtt", [name, *_]:
                    yield name
                case "Fn::Sub", [text, own]:
                    yield from {name.partition(".")[0] for name in re.findall(r"\$\{([\w.:]+)\}", text)} - own.keys()
                    yield from referred(own)
                case "Fn::Sub", str():
                    yield from (name.partition(".")[0] for name in re.findall(r"\$\{([\w.:]+)\}", each))
                case "DependsOn", _:
                    yield from [each] if isinstance(each, str) else each
                case _:
                    yield from referred(each)


def test_every_reference_leads_to_a_resource_or_a_parameter() -> None:
    template = translated()
    found = {name for name in referred(template) if not name.startswith("AWS::")}
    assert len(found) > 50
    assert found <= template["Resources"].keys() | template["Parameters"].keys()


def test_what_sam_makes_of_it_costs_what_the_template_costs() -> None:
    assert idle(Template(translated())) == pytest.approx(idle(Template.load()))


# Names that are unique in an account and region, or in the world.
NAMES = {
    "BucketName", "TableName", "FunctionName", "RoleName", "QueueName", "TopicName", "LogGroupName", "AlarmName",
    "AliasName", "Name", "ApiName", "LayerName", "SecretName", "PolicyName", "DashboardName",
}  # fmt: skip


def test_a_second_stack_finds_no_name_taken(resources: dict[str, Any]) -> None:
    fixed = {
        f"{name}.{key}"
        for name, each in resources.items()
        for key, value in each.get("Properties", {}).items()
        if key in NAMES and isinstance(value, str)
    }
    # A stage and an inline policy are named within their API and their role. A layer's name has versions.
    assert {each for each in fixed if not each.endswith(".PolicyName")} <= {
        "ApiApiGatewayDefaultStage.Name", "CommonLayer.LayerName"
    } | {f"{name}.LayerName" for name in resources}, fixed  # fmt: skip


@pytest.mark.parametrize("name", ["BuildRender", "RunBackup", "RunRestore"])
def test_sam_passes_on_that_a_function_may_order_itself(resources: dict[str, Any], name: str) -> None:
    assert resources[name]["Properties"]["RecursiveLoop"] == "Allow"


@pytest.mark.parametrize("name", STREAMING)
def test_a_streaming_function_has_a_url_that_streams(resources: dict[str, Any], name: str) -> None:
    url = resources[f"{name}Url"]
    assert (url["Condition"], url["Properties"]["InvokeMode"]) == ("Streams", "RESPONSE_STREAM")
    assert url["Properties"]["AuthType"] == "NONE", "the proof of the caller is ours"


@pytest.mark.parametrize("name", STREAMING)
def test_its_url_is_open_by_both_permissions(resources: dict[str, Any], name: str) -> None:
    """One does not do for URLs made since October 2025."""
    permissions = [
        each
        for each in resources.values()
        if each["Type"] == "AWS::Lambda::Permission" and each["Properties"]["FunctionName"] == {"Ref": name}
    ]
    told = [{**each["Properties"], "FunctionName": name} for each in permissions]
    assert [each["Condition"] for each in permissions] == ["Streams", "Streams"]
    common = {"FunctionName": name, "Principal": "*"}
    assert {**common, "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"} in told
    assert {**common, "Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True} in told


@pytest.mark.parametrize("name", STREAMING)
def test_its_concurrency_is_reserved(resources: dict[str, Any], name: str) -> None:
    reserved = resources[name]["Properties"]["ReservedConcurrentExecutions"]
    assert reserved == {"Fn::If": ["ReservesStreams", {"Ref": "StreamConcurrency"}, {"Ref": "AWS::NoValue"}]}
