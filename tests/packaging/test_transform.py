"""What SAM makes of the template for CloudFormation."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.template import Template

STREAMING = [name for name, each in Template.load().functions.items() if each.streams]
TRANSFORM = """
import json, sys
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

template = yaml_parse(open("template.yaml").read())
for each in template["Resources"].values():
    for uri in {"CodeUri", "ContentUri"} & each.get("Properties", {}).keys():
        each["Properties"][uri] = "s3://bucket/key"
loader = type("Loader", (), {"load": lambda self: {}})()
json.dump(transform(template, {}, loader)["Resources"], sys.stdout)
"""


@pytest.fixture(scope="module")
def resources(root: Path) -> dict[str, Any]:
    command = [str(root / ".venv-sam" / "bin" / "python"), "-c", TRANSFORM]
    environment = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, check=True)  # noqa: S603 - our own tool
    return json.loads(done.stdout)


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
    assert {each for each in fixed if not each.endswith(("Lock.PolicyName", "Again.PolicyName"))} <= {
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
