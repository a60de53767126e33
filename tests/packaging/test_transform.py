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
