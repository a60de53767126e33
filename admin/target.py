"""The service that a command works on: a stack on AWS, or the local service."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import boto3
from botocore.config import Config

from admin import Refused
from logkeep.aws.objects import Bucket
from logkeep.identity.credential_store import CredentialStore
from logkeep.logs.store import LogStore

CONFIG: Final = Config(connect_timeout=5, retries={"mode": "standard", "max_attempts": 3})
_SAMCONFIG: Final = Path(__file__).parent.parent / "samconfig.toml"
REQUIRED_OUTPUTS: Final = ("CredentialsTable", "CredentialsKey", "TokenKeys", "FunctionLogs", "Bucket", "LogsTable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The names of what a command reads and writes, and the session to reach it with."""

    session: boto3.Session
    credentials_table: str
    credentials_key: str
    token_keys: str
    function_logs: str  # the log group; empty for the local service, which has files
    bucket: str
    logs_table: str
    project_metrics: bool  # whether requests have metrics by function and project

    @classmethod
    def stack(cls, name: str, region: str | None, profile: str | None) -> Self:
        """A stack on AWS. Raises Refused if it lacks an output, and what boto3 raises if it cannot be read."""
        session = boto3.Session(profile_name=profile, region_name=region)
        (found,) = session.client("cloudformation", config=CONFIG).describe_stacks(StackName=name)["Stacks"]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
        if missing := [output for output in REQUIRED_OUTPUTS if output not in outputs]:
            raise Refused(f"stack {name} has no output {', '.join(missing)}; is it Logkeep, in this version?")
        given = {each["ParameterKey"]: each.get("ParameterValue", "") for each in found.get("Parameters", [])}
        return cls.of(session, outputs, given)

    @classmethod
    def of(cls, session: boto3.Session, values: dict[str, str], parameters: dict[str, str]) -> Self:
        """The target with these names of the template's resources, and these values of its parameters."""
        return cls(
            session=session,
            credentials_table=values["CredentialsTable"],
            credentials_key=values["CredentialsKey"],
            token_keys=values["TokenKeys"],
            function_logs=values["FunctionLogs"],
            bucket=values["Bucket"],
            logs_table=values["LogsTable"],
            project_metrics=parameters.get("ProjectMetrics") == "true",
        )

    def logs(self, project: str) -> LogStore:
        """The logs of a project. Only what the table holds can be read."""
        s3 = Bucket(self.session.client("s3", config=CONFIG), self.bucket)
        return LogStore(self.session.client("dynamodb", config=CONFIG), s3, self.logs_table, project)

    def projects_with_objects(self) -> list[str]:
        """The projects that have objects of logs, in order."""
        pages = (
            self.session.client("s3", config=CONFIG)
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self.bucket, Prefix="logs/", Delimiter="/")
        )
        return [each["Prefix"].split("/")[1] for page in pages for each in page.get("CommonPrefixes", [])]

    def credentials(self) -> CredentialStore:
        dynamodb, kms = self.session.client("dynamodb", config=CONFIG), self.session.client("kms", config=CONFIG)
        return CredentialStore(dynamodb, kms, self.credentials_table)


def default_stack() -> str:
    """The name of the stack that `make deploy` creates."""
    parameters = tomllib.loads(_SAMCONFIG.read_text())["default"]["global"]["parameters"]
    return str(parameters["stack_name"])
