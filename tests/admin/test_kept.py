"""What a stack leaves is named, removed, or adopted by another one, in the CloudFormation of the emulator."""

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from admin import Refused, kept
from admin.__main__ import main
from admin.kept import adopt, chosen_names, import_template, types
from local.emulator import Emulator, variables_of
from local.template import Template

TEMPLATE = Template.load()
KEPT = types(TEMPLATE)


class Cloud(Emulator):
    def settings(self) -> dict[str, str]:
        services = "dynamodb,s3,kms,sns,cloudformation,resourcegroupstaggingapi,tagging,iam,sts,ssm"
        return super().settings() | {"SERVICES": services, "PERSIST_STATE": "0", "S3_PERSIST": "0"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture
def session(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    monkeypatch.setattr(kept, "_POLL_SECONDS", 0.02)
    for name, value in variables_of(cloud.endpoint).items():
        monkeypatch.setenv(name, value)
    return boto3.Session()


def deploy(session: boto3.Session, stack: str, resources: dict[str, Any], status: str) -> dict[str, str]:
    """Create or update a stack of the template's data and of other resources. Gives its resources' names."""
    cloudformation: Any = session.client("cloudformation")
    template = import_template(TEMPLATE, {**KEPT})
    template["Resources"] |= resources
    try:
        cloudformation.describe_stacks(StackName=stack)
        call = cloudformation.update_stack
    except cloudformation.exceptions.ClientError:
        call = cloudformation.create_stack
    call(StackName=stack, TemplateBody=json.dumps(template))
    assert ended(session, stack) == status
    found = cloudformation.list_stack_resources(StackName=stack)["StackResourceSummaries"]
    for each in found:
        if each["ResourceType"] == "AWS::S3::Bucket" and each["ResourceStatus"].startswith(("CREATE_C", "UPDATE_C")):
            # The emulator's CloudFormation leaves them out.
            tags = [{"Key": kept.STACK, "Value": stack}, {"Key": kept.RESOURCE, "Value": each["LogicalResourceId"]}]
            session.client("s3").put_bucket_tagging(Bucket=each["PhysicalResourceId"], Tagging={"TagSet": tags})  # type: ignore[typeddict-item]  # built as a list
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found if "PhysicalResourceId" in each}


def ended(session: boto3.Session, stack: str) -> str:
    cloudformation = session.client("cloudformation")
    for _ in range(500):
        try:
            status: str = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        except cloudformation.exceptions.ClientError:
            return "gone"
        if not status.endswith("IN_PROGRESS"):
            return status
        time.sleep(0.02)
    raise AssertionError(status)


def delete(session: boto3.Session, stack: str) -> None:
    session.client("cloudformation").delete_stack(StackName=stack)
    assert ended(session, stack) in {"gone", "DELETE_COMPLETE"}


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setattr("sys.argv", ["logkeep-admin", *words])
    main()
    return capsys.readouterr().out


def test_what_is_left_of_a_stack_is_adopted_by_another_with_a_table_that_was_restored(
    session: boto3.Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = deploy(session, "first", {}, "CREATE_COMPLETE")
    assert kept.kept(session, "first") == {}, "they are the stack's"
    dynamodb, s3 = session.client("dynamodb"), session.client("s3")
    item = {"pk": {"S": "p"}, "sk": {"S": "s"}}
    dynamodb.put_item(TableName=first["LogsTable"], Item=item)
    s3.put_object(Bucket=first["Bucket"], Key="logs/a", Body=b"kept")
    dynamodb.restore_table_to_point_in_time(
        SourceTableName=first["LogsTable"], TargetTableName="restored", UseLatestRestorableTime=True
    )
    delete(session, "first")
    assert kept.kept(session, "first") == {name: [first[name]] for name in sorted(KEPT)}

    printed = run(capsys, monkeypatch, "adopt", "--stack", "second", "--from", "first", "LogsTable=restored")
    assert "LogsTable         restored" in printed
    assert ended(session, "second") == "gone", "nothing is done without --yes"
    printed = run(capsys, monkeypatch, "adopt", "--stack", "second", "--from", "first", "LogsTable=restored", "--yes")
    assert "make deploy" in printed

    # What `make deploy` does then: all resources of the template, of which those that were adopted stay.
    second = deploy(session, "second", {"Alerts": {"Type": "AWS::SNS::Topic"}}, "UPDATE_COMPLETE")
    assert second.keys() == {*KEPT, "Alerts"}
    assert {name: second[name] for name in KEPT} == first | {"LogsTable": "restored"}
    assert dynamodb.get_item(TableName=second["LogsTable"], Key=item)["Item"] == item
    assert s3.get_object(Bucket=second["Bucket"], Key="logs/a")["Body"].read() == b"kept"
    assert kept.kept(session, "first") == {"LogsTable": [first["LogsTable"]]}, "the damaged one"
    for name in ("LogsTable", "EventsTable"):
        arn = dynamodb.describe_table(TableName=second[name])["Table"]["TableArn"]
        tags = {each["Key"]: each["Value"] for each in dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"]}
        assert tags.items() >= {kept.STACK: "second", kept.RESOURCE: name}.items()


def test_a_failed_first_deployment_leaves_tables_which_are_named_with_what_removes_them(
    session: boto3.Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = {"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::none/none"}]}
    impossible = {"Impossible": {"Type": "AWS::IAM::Policy", "DependsOn": [*KEPT], "Properties": {
        "PolicyName": "impossible", "PolicyDocument": policy, "Roles": ["none"],
    }}}  # fmt: skip
    deploy(session, "failed", impossible, "ROLLBACK_COMPLETE")
    delete(session, "failed")
    found = kept.kept(session, "failed")
    assert found.keys() == {name for name, kind in KEPT.items() if kind == "AWS::DynamoDB::Table"}
    printed = run(capsys, monkeypatch, "kept", "--stack", "failed")
    dynamodb = session.client("dynamodb")
    for (name,) in found.values():
        assert f"aws dynamodb update-table --table-name {name} --no-deletion-protection-enabled" in printed
        assert f"aws dynamodb delete-table --table-name {name}" in printed
        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
        dynamodb.delete_table(TableName=name)
    assert run(capsys, monkeypatch, "kept", "--stack", "failed").startswith("Nothing is kept")


def test_what_cannot_be_adopted_is_said_and_leaves_no_stack(session: boto3.Session) -> None:
    with pytest.raises(Refused, match="nowhere"):
        adopt(session, "third", TEMPLATE, {"LogsTable": "nowhere"})
    assert ended(session, "third") == "gone"


def test_a_resource_that_is_kept_twice_must_be_chosen() -> None:
    found = {"Bucket": ["one", "two"], "LogsTable": ["logs"]}
    with pytest.raises(Refused, match=r"Bucket=NAME of one, two"):
        chosen_names(TEMPLATE, found, {})
    assert chosen_names(TEMPLATE, found, {"Bucket": "two"}) == {"Bucket": "two", "LogsTable": "logs"}
    with pytest.raises(Refused, match="Table is none of Bucket, LogsTable"):
        chosen_names(TEMPLATE, found, {"Table": "logs"})
    with pytest.raises(Refused, match="nothing is kept"):
        chosen_names(TEMPLATE, {}, {})


def test_a_resource_is_imported_as_the_template_and_its_parameters_have_it() -> None:
    locked = Template.load(overrides="BackupLockDays=30")
    made = import_template(locked, {"Bucket": "b", "CredentialsKey": "k"})
    assert made["Resources"] == {name: TEMPLATE.raw["Resources"][name] for name in ("Bucket", "CredentialsKey")}
    assert all(each["DeletionPolicy"].startswith("Retain") for each in made["Resources"].values()), "or AWS refuses"
    assert made["Parameters"]["BackupLockDays"]["Default"] == "30"
    assert kept.to_import(locked, {"Bucket": "b", "CredentialsKey": "k"}) == [
        {"ResourceType": "AWS::S3::Bucket", "LogicalResourceId": "Bucket", "ResourceIdentifier": {"BucketName": "b"}},
        {"ResourceType": "AWS::KMS::Key", "LogicalResourceId": "CredentialsKey", "ResourceIdentifier": {"KeyId": "k"}},
    ]


def test_the_size_of_what_is_imported_fits_a_request() -> None:
    assert len(json.dumps(import_template(TEMPLATE, {**KEPT}))) < 51_200


def test_a_bucket_and_a_key_are_removed_by_a_command_of_aws() -> None:
    assert kept.removal("AWS::S3::Bucket", "b") == ["aws s3 rb --force s3://b"]
    (command,) = kept.removal("AWS::KMS::Key", "k")
    assert command == "aws kms schedule-key-deletion --key-id k --pending-window-in-days 30"


@pytest.mark.parametrize("words", [["kept", "--local"], ["adopt", "--local"], ["adopt", "LogsTable"]])
def test_what_makes_no_sense_is_a_wrong_usage(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr("sys.argv", ["logkeep-admin", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
