"""What is kept of a stack that is gone or whose first deployment failed: to be removed, or adopted by a new stack."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError

from admin import Refused
from admin.target import CONFIG
from local.template import Template

STACK: Final = "logkeep:stack"  # tags, which template.yaml sets
RESOURCE: Final = "logkeep:resource"
CHANGE_SET: Final = "adopt"
# docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import-supported-resources.html
_IDENTIFIERS: Final = {
    "AWS::S3::Bucket": "BucketName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::KMS::Key": "KeyId",
}
_WAIT_SECONDS: Final = 900.0
_POLL_SECONDS: Final = 2.0


def types(template: Template) -> dict[str, str]:
    """The types of what outlives a stack, by logical id."""
    resources = template.raw["Resources"].items()
    return {name: each["Type"] for name, each in resources if "DeletionPolicy" in each}


def kept(session: boto3.Session, stack: str) -> dict[str, list[str]]:
    """The names of what a stack of this name has left and no longer has, by logical id."""
    tags = session.client("resourcegroupstaggingapi", config=CONFIG)
    pages = tags.get_paginator("get_resources").paginate(TagFilters=[{"Key": STACK, "Values": [stack]}])
    held = set(_held(session, stack))
    found: dict[str, list[str]] = {}
    for each in (each for page in pages for each in page["ResourceTagMappingList"]):
        name = each["ResourceARN"].rpartition(":")[2].rpartition("/")[2]
        resource = {tag["Key"]: tag["Value"] for tag in each["Tags"]}.get(RESOURCE)
        if resource and name not in held and not _is_going(session, resource, name):
            found.setdefault(resource, []).append(name)
    return {name: sorted(found[name]) for name in sorted(found)}


def _held(session: boto3.Session, stack: str) -> Iterator[str]:
    """The names of a stack's resources; none if there is no such stack."""
    try:
        pages = session.client("cloudformation", config=CONFIG).get_paginator("list_stack_resources")
        for page in pages.paginate(StackName=stack):
            for each in page["StackResourceSummaries"]:
                if each["ResourceStatus"] not in {"DELETE_COMPLETE", "DELETE_SKIPPED"}:
                    yield each.get("PhysicalResourceId", "")
    except ClientError as error:
        if "does not exist" not in str(error):
            raise


def _is_going(session: boto3.Session, resource: str, name: str) -> bool:
    """Whether it is a key that is being deleted, which takes days, for nothing."""
    if not resource.endswith("Key"):
        return False
    described = session.client("kms", config=CONFIG).describe_key(KeyId=name)
    return described["KeyMetadata"]["KeyState"] == "PendingDeletion"


def removal(kind: str, name: str) -> list[str]:
    """The commands that remove a resource with all that is in it."""
    match kind:
        case "AWS::DynamoDB::Table":
            return [
                f"aws dynamodb update-table --table-name {name} --no-deletion-protection-enabled",
                f"aws dynamodb delete-table --table-name {name}",
            ]
        case "AWS::S3::Bucket":
            return [f"aws s3 rb --force s3://{name}"]
        case _:
            return [f"aws kms schedule-key-deletion --key-id {name} --pending-window-in-days 30"]


def import_template(template: Template, names: Mapping[str, str]) -> dict[str, Any]:
    """A template of nothing but these resources, as template.yaml has them, with the values of its parameters.

    CloudFormation imports no resource together with new ones, and names are given beside the template.
    """
    parameters = {
        name: {**each, "Default": template.parameters[name]} for name, each in template.raw["Parameters"].items()
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Parameters": parameters,
        "Conditions": template.raw["Conditions"],
        "Resources": {name: template.raw["Resources"][name] for name in names},
    }


def to_import(template: Template, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """What a change set imports: physical names by logical id."""
    return [
        {
            "ResourceType": types(template)[name],
            "LogicalResourceId": name,
            "ResourceIdentifier": {_IDENTIFIERS[types(template)[name]]: physical},
        }
        for name, physical in names.items()
    ]


def chosen_names(template: Template, found: Mapping[str, list[str]], given: Mapping[str, str]) -> dict[str, str]:
    """One name for each resource: what is given, or else what was found. Raises Refused where several were."""
    if unknown := given.keys() - types(template).keys():
        raise Refused(f"{', '.join(sorted(unknown))} is none of {', '.join(types(template))}")
    names: dict[str, str] = {}
    for resource in types(template):
        candidates = [given[resource]] if resource in given else found.get(resource, [])
        if len(candidates) > 1:
            raise Refused(f"{resource} is kept several times: choose with {resource}=NAME of {', '.join(candidates)}")
        if candidates:
            names[resource] = candidates[0]
    if not names:
        raise Refused("nothing is kept of such a stack; name what to adopt, as in LogsTable=NAME")
    return names


def adopt(session: boto3.Session, stack: str, template: Template, names: Mapping[str, str]) -> None:
    """Make a stack of these existing resources. Raises Refused if CloudFormation does not."""
    cloudformation: Any = session.client("cloudformation", config=CONFIG)
    change = {"StackName": stack, "ChangeSetName": CHANGE_SET}
    cloudformation.create_change_set(
        **change,
        ChangeSetType="IMPORT",
        TemplateBody=json.dumps(import_template(template, names)),
        ResourcesToImport=to_import(template, names),
    )
    made = _awaited(lambda: cloudformation.describe_change_set(**change), "Status", "CREATE_COMPLETE")
    if made["Status"] != "CREATE_COMPLETE":
        cloudformation.delete_stack(StackName=stack)  # which has nothing: REVIEW_IN_PROGRESS
        raise Refused(f"CloudFormation refuses to adopt: {made.get('StatusReason', made['Status'])}")
    cloudformation.execute_change_set(**change)
    ended = _awaited(
        lambda: cloudformation.describe_stacks(StackName=stack)["Stacks"][0], "StackStatus", "IMPORT_COMPLETE"
    )
    if ended["StackStatus"] != "IMPORT_COMPLETE":
        raise Refused(f"stack {stack} is {ended['StackStatus']}: {ended.get('StackStatusReason', '')}")
    # An import changes nothing, and the deployment after it sees no change in these tags.
    tags = session.client("resourcegroupstaggingapi", config=CONFIG)
    for name, physical in names.items():
        arn = _arn(session, types(template)[name], physical)
        tags.tag_resources(ResourceARNList=[arn], Tags={STACK: stack, RESOURCE: name})


def _arn(session: boto3.Session, kind: str, name: str) -> str:
    match kind:
        case "AWS::DynamoDB::Table":
            return session.client("dynamodb", config=CONFIG).describe_table(TableName=name)["Table"]["TableArn"]
        case "AWS::S3::Bucket":
            return f"arn:{session.get_partition_for_region(session.region_name)}:s3:::{name}"
        case _:
            return session.client("kms", config=CONFIG).describe_key(KeyId=name)["KeyMetadata"]["Arn"]


def _awaited(ask: Any, field: str, wanted: str) -> Any:
    """The first answer in which nothing is under way any more."""
    until = time.monotonic() + _WAIT_SECONDS
    while (found := ask())[field] != wanted:
        if not found[field].endswith(("IN_PROGRESS", "PENDING")) or time.monotonic() > until:
            break
        time.sleep(_POLL_SECONDS)
    return found
