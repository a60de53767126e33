"""What template.yaml lets roles do, one action on one resource at a time."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from local.template import Template

# With locks, because they add policies.
TEMPLATE: Final = Template.load(overrides="BackupLockDays=10")


@dataclass(frozen=True, order=True)
class Grant:
    role: str  # its logical id
    policy: str
    action: str
    resource: str  # as declared, in short: Bucket.Arn/logs/*

    @property
    def parts(self) -> tuple[str, str, str, str]:
        return self.role, self.policy, self.action, self.resource

    def __str__(self) -> str:
        return f"{self.role}: {self.action} on {self.resource}"


def grants(template: Template = TEMPLATE) -> Iterator[Grant]:
    return (grant for grant, _ in declared_grants(template))


def declared_grants(template: Template) -> Iterator[tuple[Grant, Any]]:
    """The grants with their resources as they are declared."""
    for role, policy in _policies(template):
        for statement in policy["PolicyDocument"]["Statement"]:
            for action in _listed(statement["Action"]):
                for resource in _listed(statement["Resource"]):
                    yield Grant(role, policy["PolicyName"], action, _named(resource)), resource


def policy_of(template: Template, grant: Grant) -> dict[str, Any] | None:
    """The policy that a grant is in, if there is one."""
    found = [each for role, each in _policies(template) if (role, each["PolicyName"]) == (grant.role, grant.policy)]
    return found[0] if found else None


def without(template: Template, taken: Collection[Grant]) -> Template:
    """The template with some grants taken away."""
    made = Template(json.loads(json.dumps(template.raw)), template.overrides)
    for role, policy in _policies(made):
        policy["PolicyDocument"]["Statement"] = [
            statement | {"Action": [action], "Resource": resource}
            for statement in policy["PolicyDocument"]["Statement"]
            for action in _listed(statement["Action"])
            for resource in _listed(statement["Resource"])
            if Grant(role, policy["PolicyName"], action, _named(resource)) not in taken
        ]
    # IAM takes no policy that says nothing.
    for declared in made.resources("AWS::IAM::Role").values():
        declared["Policies"] = [each for each in declared["Policies"] if each["PolicyDocument"]["Statement"]]
    for name, declared in made.resources("AWS::IAM::RolePolicy").items():
        if not declared["PolicyDocument"]["Statement"]:
            del made.raw["Resources"][name]
    return made


def _policies(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """The policies with the logical ids of their roles."""
    for role, declared in template.resources("AWS::IAM::Role").items():
        for policy in declared["Policies"]:
            yield role, policy
    for policy in template.resources("AWS::IAM::RolePolicy").values():
        yield policy["RoleName"]["Ref"], policy


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _named(resource: Any) -> str:
    match resource:
        case {"Ref": name}:
            return str(name)
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Fn::Sub": text}:
            return str(text).replace("${", "").replace("}", "")
        case _:
            return str(resource)
