"""What reaches the stack of the parameters that are set, by what `sam deploy` prints before it finds nobody."""

import os
import subprocess
from pathlib import Path

import pytest

from admin.preflight import declared, merged

DEAD = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("samconfig", "arguments", "expected"),
    [
        ("", ["Architecture=arm64"], '{"Architecture": "arm64"}'),
        (
            '[default.deploy.parameters]\nparameter_overrides = "AlertEmail=ops@example.com BackupLockDays=30"',
            ["Architecture=arm64", "BackupLockDays=7"],
            '{"AlertEmail": "ops@example.com", "BackupLockDays": "7", "Architecture": "arm64"}',
        ),
    ],
)
def test_the_parameters_of_samconfig_and_of_the_command_reach_the_stack(
    root: Path, tmp_path: Path, samconfig: str, arguments: list[str], expected: str
) -> None:
    text = (root / "template.yaml").read_text()
    parameters = text[text.index("\nParameters:") : text.index("\nConditions:")]
    (tmp_path / "template.yaml").write_text(f"{parameters}\nResources:\n  Topic: {{ Type: 'AWS::SNS::Topic' }}\n")
    (tmp_path / "samconfig.toml").write_text(f"version = 0.1\n{samconfig}\n")
    found = merged((tmp_path / "samconfig.toml").read_text(), arguments, declared(root / "template.yaml"))
    overrides = [f"{name}={value}" for name, value in found.items()]
    done = subprocess.run(  # noqa: S603 - our own tool
        [
            root / ".venv-sam" / "bin" / "sam", "deploy", "--stack-name", "logkeep", "--capabilities", "CAPABILITY_IAM",
            "--parameter-overrides", *overrides,
        ],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_DEFAULT_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_ENDPOINT_URL": DEAD, "AWS_MAX_ATTEMPTS": "1", "SAM_CLI_TELEMETRY": "0",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    (printed,) = (line for line in done.stdout.splitlines() if "Parameter overrides" in line)
    assert printed.partition(":")[2].strip() == expected
    assert done.returncode != 0
