"""A stack on AWS, which here is botocore's stub of CloudFormation."""

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from admin import Refused
from admin.target import REQUIRED_OUTPUTS, Target, default_stack
from tests.conftest import TEMPLATE

pytestmark = pytest.mark.unit

OUTPUTS = {name: f"the-{name}" for name in REQUIRED_OUTPUTS}


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let a stack have these outputs and parameters; what the session was asked for."""
    asked: dict[str, Any] = {}
    cloudformation = boto3.client("cloudformation", region_name="us-east-1")
    stub = Stubber(cloudformation)

    class Session:
        def __init__(self, **arguments: Any) -> None:
            asked.update(arguments)

        def client(self, service: str, **_: Any) -> Any:
            assert service == "cloudformation"
            return cloudformation

    def deploy(outputs: dict[str, str], **parameters: str) -> dict[str, Any]:
        stack = {
            "StackName": "logs",
            "CreationTime": datetime.now(UTC),
            "StackStatus": "CREATE_COMPLETE",
            "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        }
        stub.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": "logs"})
        return asked

    monkeypatch.setattr("admin.target.boto3.Session", Session)
    with stub:
        yield deploy


@pytest.mark.parametrize("metrics", ["true", "false"])
def test_what_a_command_needs_is_among_the_outputs_and_parameters(deployed, metrics):
    asked = deployed(OUTPUTS, ProjectMetrics=metrics)
    target = Target.stack("logs", "eu-west-3", "work")
    assert (target.credentials_table, target.credentials_key) == ("the-CredentialsTable", "the-CredentialsKey")
    assert (target.token_keys, target.function_logs) == ("the-TokenKeys", "the-FunctionLogs")
    assert target.bucket == "the-Bucket"
    assert target.project_metrics is (metrics == "true")
    assert asked == {"profile_name": "work", "region_name": "eu-west-3"}


def test_another_stack_is_refused(deployed):
    deployed({"Bucket": "b"})
    with pytest.raises(Refused, match="stack logs has no output CredentialsTable, CredentialsKey"):
        Target.stack("logs", None, None)


def test_the_template_has_these_outputs_and_samconfig_the_name():
    assert set(REQUIRED_OUTPUTS) <= TEMPLATE.raw["Outputs"].keys()
    assert default_stack() == "logkeep"
