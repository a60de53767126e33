"""What `make deploy` asks and says before it deploys."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from admin import Refused, preflight
from admin.preflight import ask, declared, merged, notices

pytestmark = pytest.mark.unit

KEYS: Any = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}

NAMES = ["Architecture", "AlertEmail", "BackupLockDays", "StreamConcurrency"]


class Account:
    """A session of an account with these limits and this stack."""

    region_name: str | None = "eu-central-1"

    def __init__(
        self,
        total: int = 1000,
        free: int = 1000,
        stack: dict[str, Any] | None = None,
        left: list[dict[str, Any]] | None = None,
    ) -> None:
        self._limits = {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": free}
        self._stack = stack
        self._left = left or []
        self._asked = False

    def client(self, service: Any, **_: Any) -> Any:
        client: Any = boto3.client(service, region_name="eu-central-1", **KEYS)
        stubber = Stubber(client)
        if service == "resourcegroupstaggingapi":
            stubber.add_response("get_resources", {"ResourceTagMappingList": self._left})
        elif service == "lambda":
            stubber.add_response("get_account_settings", {"AccountLimit": self._limits})
        elif self._stack:
            stubber.add_response("describe_stacks", {"Stacks": [self._stack]})
        else:
            # Which stack there is, then what it has.
            operation = "list_stack_resources" if self._asked else "describe_stacks"
            stubber.add_client_error(operation, "ValidationError", "Stack with id logkeep does not exist")
            self._asked = True
        stubber.activate()
        return client


def stack(status: str, **parameters: str) -> dict[str, Any]:
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
    return {"StackName": "logkeep", "CreationTime": "2026-01-01", "StackStatus": status, "Parameters": given}


@pytest.mark.parametrize(
    "text",
    [
        '[default.deploy.parameters]\nparameter_overrides = "AlertEmail=a@b.c StreamConcurrency=5"',
        '[default.deploy.parameters]\nparameter_overrides = ["AlertEmail=a@b.c", "StreamConcurrency=5"]',
        '[default.global.parameters]\nparameter_overrides = "AlertEmail=a@b.c StreamConcurrency=5"',
    ],
)
def test_what_samconfig_says_and_what_the_command_says_both_arrive(text: str) -> None:
    found = merged(text, ["Architecture=arm64", "StreamConcurrency=7", "AlertEmail=x y"], NAMES)
    assert found == {"AlertEmail": "x y", "StreamConcurrency": "7", "Architecture": "arm64"}
    assert merged(text, [], NAMES) == {"AlertEmail": "a@b.c", "StreamConcurrency": "5"}


@pytest.mark.parametrize(("word", "why"), [("AlertMail=a@b.c", "no parameter AlertMail"), ("AlertEmail", "Name=value")])
def test_what_is_no_parameter_is_refused(word: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        merged("", [word], NAMES)


def test_the_names_are_those_of_the_template(root: Path) -> None:
    assert set(NAMES) <= set(declared(root / "template.yaml"))


def test_what_is_missing_is_said() -> None:
    assert [notice.partition(" ")[0] for notice in notices({})] == ["AlertEmail", "BackupLockDays"]
    assert notices({"AlertEmail": "a@b.c", "BackupLockDays": "30"}) == []


def test_an_account_that_fits_has_nothing_to_say() -> None:
    assert ask(Account(), {"StreamConcurrency": "50"}, "logkeep") == []  # type: ignore[arg-type]
    assert ask(Account(stack=stack("UPDATE_COMPLETE", BackupLockDays="0")), {}, "logkeep") == []  # type: ignore[arg-type]


def test_a_new_account_deploys_the_defaults_and_hears_of_its_quota() -> None:
    (notice,) = ask(Account(10, 10), {}, "logkeep")  # type: ignore[arg-type]
    assert "10 functions at once" in notice


def test_what_an_earlier_stack_left_is_said_before_a_new_one_is_made_beside_it() -> None:
    tags = [{"Key": "logkeep:stack", "Value": "logkeep"}, {"Key": "logkeep:resource", "Value": "LogsTable"}]
    table = {"ResourceARN": "arn:aws:dynamodb:eu-central-1:0:table/logkeep-LogsTable-1", "Tags": tags}
    (notice,) = ask(Account(left=[table]), {}, "logkeep")  # type: ignore[arg-type]
    assert "left logkeep-LogsTable-1" in notice
    assert "./logkeep-admin adopt" in notice


@pytest.mark.parametrize(
    ("account", "wanted", "why"),
    [
        (Account(10, 10), {"StreamConcurrency": "1"}, "set it to 0"),
        (Account(1000, 250), {"StreamConcurrency": "50"}, "set it to 37"),
        (Account(stack=stack("ROLLBACK_COMPLETE")), {}, "delete-stack --stack-name logkeep"),
        (Account(stack=stack("UPDATE_COMPLETE", BackupLockDays="30")), {}, "BackupLockDays=30"),
    ],
)
def test_what_would_fail_is_refused_in_words(account: Any, wanted: dict[str, str], why: str) -> None:
    with pytest.raises(Refused, match=why):
        ask(account, wanted, "logkeep")


def test_without_a_region_nothing_is_deployed() -> None:
    account = Account()
    account.region_name = None
    with pytest.raises(Refused, match="AWS_DEFAULT_REGION"):
        ask(account, {}, "logkeep")  # type: ignore[arg-type]


def test_an_account_that_cannot_be_asked_is_no_reason_to_stop(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "admin.preflight", "Architecture=arm64", "AlertEmail=a@b.c"],
        cwd=root,
        env={
            "PATH": "/usr/bin:/bin",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_MAX_ATTEMPTS": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "Architecture=arm64 AlertEmail=a@b.c\n")
    assert "could not be asked" in done.stderr


def test_main_prints_what_sam_reads(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["preflight", "AlertEmail=a b"])
    monkeypatch.setattr(preflight, "ask", lambda *_: [])
    preflight.main()
    assert capsys.readouterr().out == "AlertEmail='a b'\n"
