"""Runs the AWS emulator (ministack) as a subprocess on loopback, and creates the template's resources in it."""

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, ClassVar, Final, Self

import boto3
import httpx
import psutil
from botocore.config import Config

from local import ACCOUNT, REGION, ROOT
from local.template import Template, Values, chosen, resolve

KEY: Final = "test"
BUCKET: Final = "logkeep-local"
_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 20.0
_LEAVING_SECONDS: Final = 3.0  # in which an emulator whose parent was killed saves its data and ends


class PortTaken(Exception):
    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is taken")
        self.port = port


class EmulatorRuns(Exception):
    """An emulator that we did not start uses the data directory; `pid` is the process to end."""

    def __init__(self, pid: str) -> None:
        super().__init__(f"pid {pid}")
        self.pid = pid


class Emulator:
    """An emulator whose data lives in a directory; at most one runs on a directory."""

    program: ClassVar = "local.guard"  # the module that is run
    start_seconds: ClassVar = _START_SECONDS

    def __init__(self, directory: Path, port: int | None = None, *, enforce_iam: bool = False) -> None:
        self.port = port or free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        self._enforce_iam = enforce_iam
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: dict[str, Any] = {}  # making one takes longer than most calls

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers. Raises PortTaken, EmulatorRuns, or RuntimeError with its output."""
        for name in ("state", "s3", "tmp"):
            (self._directory / name).mkdir(parents=True, exist_ok=True)
        output = self._directory / "emulator.log"
        with _locked(self._directory / "emulator.pid") as lock, output.open("wb") as log:
            if not is_free(self.port):
                raise PortTaken(self.port)
            # It inherits the lock, so that the lock is held as long as it lives. It has its own session, so that Ctrl-C
            # does not stop it before the processes that write to it.
            self._process = subprocess.Popen(  # noqa: S603 - our own file
                [sys.executable, "-P", str(Path(__file__).with_name("leash.py")), self.program],
                env=os.environ | self.settings(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lock.fileno()],
                start_new_session=True,
            )
            lock.truncate(0)
            lock.write(f"{self._process.pid} {os.getpid()}\n")
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it. It saves its data first."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin:
            process.stdin.close()

    def wait(self) -> bool:
        """Wait until it ends. Returns whether it did so by itself, and was not stopped."""
        process = self._process
        if process is None:
            return False
        process.wait()
        return self._process is process

    def create(self, template: Template) -> dict[str, str]:
        """Create the template's resources that are missing. Returns the environment that its functions need."""
        values = values_of(template, self.endpoint)
        self._create_tables(template, values)
        self._create_queues(template)
        arns = self._create_keys(template, values) | self._create_secrets(template, values)
        if self._enforce_iam:  # otherwise any role can be assumed, and policies are ignored
            self._create_roles(template, values | arns)
        for name, declared in template.resources("AWS::S3::Bucket").items():
            # In us-east-1 it is no error if the bucket exists and is one's own.
            locked = "ObjectLockEnabled" in chosen(declared, template.conditions)
            self.client("s3").create_bucket(Bucket=values[name], ObjectLockEnabledForBucket=locked)
        for name in template.resources("AWS::SNS::Topic"):
            self.client("sns").create_topic(Name=physical_name(name))  # no error if it exists
        return template.environment(values) | variables_of(self.endpoint)

    def settings(self) -> dict[str, str]:
        """The environment that configures the emulator."""
        settings = {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self._directory / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self._directory / "s3"),
            "TMPDIR": str(self._directory / "tmp"),
            "LOG_LEVEL": "WARNING",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "PYTHONPATH": str(ROOT),
            "SERVICES": "dynamodb,s3,sqs,sns,sts,iam,kms,secretsmanager",
        }
        if self._enforce_iam:
            settings |= {"AUTH": "true", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": KEY}
        return settings

    def _create_tables(self, template: Template, values: Values) -> None:
        dynamodb = self.client("dynamodb")
        existing = {name for page in dynamodb.get_paginator("list_tables").paginate() for name in page["TableNames"]}
        for name, declared in template.resources("AWS::DynamoDB::Table").items():
            if values[name] in existing:
                continue
            keys = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
            dynamodb.create_table(TableName=values[name], **{key: declared[key] for key in keys if key in declared})
            if lifetime := declared.get("TimeToLiveSpecification"):
                dynamodb.update_time_to_live(TableName=values[name], TimeToLiveSpecification=lifetime)

    def _create_queues(self, template: Template) -> None:
        sqs = self.client("sqs")
        for name, declared in template.resources("AWS::SQS::Queue").items():
            properties = chosen(declared, template.conditions)
            attributes = {"MessageRetentionPeriod": str(properties["MessageRetentionPeriod"])}
            sqs.create_queue(QueueName=physical_name(name), Attributes=attributes)

    def _create_keys(self, template: Template, values: Values) -> dict[str, str]:
        """The ARNs of the keys. The emulator chooses them, so they are found by alias."""
        kms, arns = self.client("kms"), {}
        for name in template.resources("AWS::KMS::Key"):
            try:
                metadata = kms.describe_key(KeyId=values[name])["KeyMetadata"]
            except kms.exceptions.NotFoundException:
                metadata = kms.create_key()["KeyMetadata"]
                kms.create_alias(AliasName=values[name], TargetKeyId=metadata["KeyId"])
            arns[f"{name}.Arn"] = metadata["Arn"]
        return arns

    def _create_secrets(self, template: Template, values: Values) -> dict[str, str]:
        manager, arns = self.client("secretsmanager"), {}
        for name, declared in template.resources("AWS::SecretsManager::Secret").items():
            try:
                arns[name] = manager.describe_secret(SecretId=values[name])["ARN"]
            except manager.exceptions.ResourceNotFoundException:
                generated = manager.get_random_password(**declared["GenerateSecretString"])["RandomPassword"]
                arns[name] = manager.create_secret(Name=values[name], SecretString=generated)["ARN"]
        return arns

    def _create_roles(self, template: Template, values: Values) -> None:
        iam = self.client("iam")
        for name, declared in template.resources("AWS::IAM::Role").items():
            role = resolve(declared, values)
            with suppress(iam.exceptions.EntityAlreadyExistsException):
                trust = json.dumps(role["AssumeRolePolicyDocument"])
                iam.create_role(RoleName=physical_name(name), AssumeRolePolicyDocument=trust)
            for policy in role.get("Policies", []):
                iam.put_role_policy(
                    RoleName=physical_name(name),
                    PolicyName=policy["PolicyName"],
                    PolicyDocument=json.dumps(policy["PolicyDocument"]),
                )

        for declared in template.resources("AWS::IAM::RolePolicy").values():
            policy = resolve(declared, values)
            iam.put_role_policy(**policy | {"PolicyDocument": json.dumps(policy["PolicyDocument"])})

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._make_client(service)
        return self._clients[service]

    def _make_client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]  # the stubs want a literal
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=KEY,
            aws_secret_access_key=KEY,
            config=Config(proxies={}),
        )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + self.start_seconds
        with httpx.Client(trust_env=False) as client:
            while time.monotonic() < until and process.poll() is None:
                with suppress(httpx.TransportError):
                    if client.get(f"{self.endpoint}/_ministack/ready").status_code == httpx.codes.OK:
                        return
                time.sleep(0.05)
        output = (self._directory / "emulator.log").read_text(errors="replace")
        raise RuntimeError(f"the AWS emulator did not start:\n{output[-2000:]}")


def physical_name(name: str) -> str:
    return f"logkeep-{name}"


def variables_of(endpoint: str) -> dict[str, str]:
    """The environment in which a client of AWS reaches an emulator, whatever its user has configured."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_SESSION_TOKEN": "",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def leave_account() -> None:
    """Remove from the environment everything that selects an AWS account: profile, token, region, endpoints."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]


def values_of(template: Template, endpoint: str) -> dict[str, str]:
    """The values of Ref and GetAtt for the template's resources in an emulator. They are always the same."""
    values = {
        **template.parameters,
        "EndpointUrl": endpoint,
        "AWS::Region": REGION,
        "AWS::StackName": "logkeep",
        "AWS::AccountId": ACCOUNT,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
    }
    for name in template.resources("AWS::S3::Bucket"):
        values |= {name: BUCKET, f"{name}.Arn": f"arn:aws:s3:::{BUCKET}"}
    for name in template.resources("AWS::DynamoDB::Table"):
        physical = physical_name(name)
        values |= {name: physical, f"{name}.Arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{physical}"}
    for name in template.resources("AWS::SQS::Queue"):
        physical = physical_name(name)
        values |= {
            name: f"{endpoint}/{ACCOUNT}/{physical}",
            f"{name}.Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{physical}",
        }
    for name in template.resources("AWS::Serverless::Function"):
        values |= {name: name, f"{name}.Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"}
    for name in template.resources("AWS::SNS::Topic"):
        values |= {name: f"arn:aws:sns:{REGION}:{ACCOUNT}:{physical_name(name)}"}
    for name in template.resources("AWS::Logs::LogGroup"):
        physical = physical_name(name)
        values |= {name: physical, f"{name}.Arn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{physical}:*"}
    for name in template.resources("AWS::KMS::Key"):
        values |= {name: f"alias/{physical_name(name)}"}
    for name in template.resources("AWS::SecretsManager::Secret"):
        values |= {name: physical_name(name)}
    for name in template.resources("AWS::IAM::Role"):
        values |= {name: physical_name(name), f"{name}.Arn": f"arn:aws:iam::{ACCOUNT}:role/{physical_name(name)}"}
    return values


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just closed counts as free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _to_end(emulator: str, parent: str) -> str:
    """The pid to end so that the emulator ends too: its parent's, or its own if the parent is gone."""
    return parent if psutil.pid_exists(int(parent)) else emulator


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    """The file, locked as long as it or an inherited copy of its descriptor is open. Raises EmulatorRuns."""
    until = time.monotonic() + _LEAVING_SECONDS
    with path.open("a+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    file.seek(0)
                    raise EmulatorRuns(_to_end(*file.read().split())) from None
                time.sleep(0.1)
        yield file
