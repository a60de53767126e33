"""The service that a command is about: a stack on AWS, or the local one."""

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import boto3
from botocore.config import Config

from admin import Refused
from local import DATA, ROOT
from local.emulator import leave_account, values_of, variables_of
from local.template import Template
from logkeep.identity.credential_store import CredentialStore

CONFIG: Final = Config(connect_timeout=5, retries={"mode": "standard", "max_attempts": 3})
_OUTPUTS: Final = ("CredentialsTable", "CredentialsKey", "TokenKeys", "FunctionLogs", "Bucket")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    session: boto3.Session
    credentials_table: str
    credentials_key: str
    token_keys: str
    function_logs: str  # the log group; empty for the local service, which has files
    bucket: str
    project_metrics: bool  # whether metrics are told apart by project

    @classmethod
    def local(cls) -> Self:
        """The service of a running `make run`; from now on, the environment leads nowhere else."""
        try:
            endpoint = json.loads((data_directory() / "demo.json").read_text())["emulator"]
        except (OSError, ValueError, KeyError):
            raise Refused("no local service was found; start it with: make run") from None
        leave_account()
        os.environ |= variables_of(endpoint)
        template = Template.load()
        values = values_of(template, endpoint) | {"FunctionLogs": ""}
        return cls.of(boto3.Session(), values, template.parameters)

    @classmethod
    def stack(cls, name: str, region: str | None, profile: str | None) -> Self:
        session = boto3.Session(profile_name=profile, region_name=region)
        (found,) = session.client("cloudformation", config=CONFIG).describe_stacks(StackName=name)["Stacks"]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
        if missing := [output for output in _OUTPUTS if output not in outputs]:
            raise Refused(f"stack {name} has no output {', '.join(missing)}; is it Logkeep, and of this version?")
        given = {each["ParameterKey"]: each.get("ParameterValue", "") for each in found.get("Parameters", [])}
        return cls.of(session, outputs, given)

    @classmethod
    def of(cls, session: boto3.Session, values: dict[str, str], parameters: dict[str, str]) -> Self:
        """By what the template's resources are called, and its parameters."""
        return cls(
            session=session,
            credentials_table=values["CredentialsTable"],
            credentials_key=values["CredentialsKey"],
            token_keys=values["TokenKeys"],
            function_logs=values["FunctionLogs"],
            bucket=values["Bucket"],
            project_metrics=parameters.get("ProjectMetrics") == "true",
        )

    def credentials(self) -> CredentialStore:
        dynamodb, kms = self.session.client("dynamodb", config=CONFIG), self.session.client("kms", config=CONFIG)
        return CredentialStore(dynamodb, kms, self.credentials_table)


def data_directory() -> Path:
    return Path(os.environ.get("LOGKEEP_DATA", DATA))


def default_stack() -> str:
    """The name that `make deploy` uses."""
    parameters = tomllib.loads((ROOT / "samconfig.toml").read_text())["default"]["global"]["parameters"]
    return str(parameters["stack_name"])
