"""Before `make deploy`: the parameters of samconfig.toml and of the command line as one, and whether the account fits.

Prints the parameters for `sam deploy --parameter-overrides`, which would otherwise replace those of samconfig.toml as a
whole, and says on stderr what will not work, or not be there.
"""

import shlex
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import boto3
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from admin import Refused
from admin.kept import kept
from admin.target import CONFIG, default_stack
from local import ROOT

_STREAMS: Final = 4  # functions for which StreamConcurrency is reserved
_UNRESERVED_MIN: Final = 100  # that AWS keeps, if the account has as many
_GONE: Final = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS"}


def main() -> None:
    try:
        wanted = merged((ROOT / "samconfig.toml").read_text(), sys.argv[1:], declared(ROOT / "template.yaml"))
        for notice in notices(wanted):
            _say(notice)
        session = boto3.Session()
        for notice in ask(session, wanted, default_stack()):
            _say(notice)
    except Refused as refused:
        sys.exit(str(refused))
    print(" ".join(f"{name}={shlex.quote(value)}" for name, value in wanted.items()))


def merged(samconfig: str, arguments: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """The parameters of samconfig.toml, changed by those of the command line. Raises Refused for what is none."""
    config = tomllib.loads(samconfig).get("default", {})
    found: dict[str, str] = {}
    for command in ("global", "deploy"):
        given = config.get(command, {}).get("parameters", {}).get("parameter_overrides", [])
        found |= _pairs(shlex.split(given) if isinstance(given, str) else given)
    found |= _pairs(arguments)
    if unknown := found.keys() - set(names):
        raise Refused(f"the template has no parameter {', '.join(sorted(unknown))}")
    return found


def _pairs(words: Iterable[str]) -> dict[str, str]:
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise Refused(f"{word!r} is not of the form Name=value")
        pairs[name] = value
    return pairs


def declared(template: Path) -> dict[str, Any]:
    """The template's parameters."""
    text = template.read_text()
    # Up to the first section with tags of CloudFormation, which YAML does not know.
    begin, end = text.index("\nParameters:"), text.index("\nConditions:")
    parameters: dict[str, Any] = yaml.safe_load(text[begin:end])["Parameters"]
    return parameters


def notices(wanted: Mapping[str, str]) -> list[str]:
    """What a deployment with these parameters lacks."""
    found = []
    if not wanted.get("AlertEmail"):
        found.append(
            "AlertEmail is not set: nobody will hear of failed backups and alarms. "
            'Set it with make deploy PARAMETERS="AlertEmail=you@example.com"'
        )
    if wanted.get("BackupLockDays", "0") == "0":
        found.append("BackupLockDays is 0: backups can be deleted. It can be set later, and never be taken back")
    return found


def ask(session: boto3.Session, wanted: Mapping[str, str], stack: str) -> list[str]:
    """What the account says. Raises Refused if the deployment would fail."""
    if not session.region_name:
        raise Refused("no AWS region is configured: set AWS_DEFAULT_REGION, or region in your AWS profile")
    try:
        found = _capacity(session, int(wanted.get("StreamConcurrency", "0")))
        if not _check_stack(session, stack, wanted):
            found += _leftovers(session, stack)
    except (BotoCoreError, ClientError) as error:
        return [f"the account could not be asked whether it fits: {error}"]
    return found


def _capacity(session: boto3.Session, streams: int) -> list[str]:
    limits = session.client("lambda", config=CONFIG).get_account_settings()["AccountLimit"]
    free = limits["UnreservedConcurrentExecutions"]
    keeps = min(_UNRESERVED_MIN, limits["ConcurrentExecutions"])
    if streams and free - _STREAMS * streams < keeps:
        most = max(0, free - keeps) // _STREAMS
        raise Refused(
            f"StreamConcurrency={streams} reserves {_STREAMS * streams} of the account's concurrency, of which {free} "
            f"are free and {keeps} must stay so: set it to {most}, or ask AWS for a larger quota"
        )
    if limits["ConcurrentExecutions"] < _UNRESERVED_MIN:
        return [
            f"the account runs {limits['ConcurrentExecutions']} functions at once, all together. More requests are "
            "answered with 503; ask AWS for the usual quota of 1000 (Service Quotas, Lambda, Concurrent executions)"
        ]
    return []


def _leftovers(session: boto3.Session, stack: str) -> list[str]:
    try:
        names = [name for each in kept(session, stack).values() for name in each]
    except (BotoCoreError, ClientError) as error:
        return [f"whether an earlier stack left something could not be asked: {error}"]
    if not names:
        return []
    return [
        f"an earlier stack {stack} left {', '.join(names)}. The new one does not see them: stop here, and take them "
        "over with ./logkeep-admin adopt, or remove them as ./logkeep-admin kept says"
    ]


def _check_stack(session: boto3.Session, stack: str, wanted: Mapping[str, str]) -> bool:
    """Whether there is such a stack. Raises Refused if it cannot be updated."""
    try:
        (found,) = session.client("cloudformation", config=CONFIG).describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    if found["StackStatus"] in _GONE:
        raise Refused(
            f"stack {stack} is {found['StackStatus']}: its first deployment failed. Delete it with "
            f"aws cloudformation delete-stack --stack-name {stack}, then see ./logkeep-admin kept"
        )
    given = {each["ParameterKey"]: each.get("ParameterValue", "") for each in found.get("Parameters", [])}
    if given.get("BackupLockDays", "0") != "0" and wanted.get("BackupLockDays", "0") == "0":
        raise Refused(
            f"stack {stack} has BackupLockDays={given['BackupLockDays']}, which cannot be taken back: name it again, "
            "in samconfig.toml or PARAMETERS"
        )
    return True


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
