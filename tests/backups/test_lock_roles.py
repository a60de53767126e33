"""Where backups are locked, their functions work with what their roles have more."""

import importlib
import os
from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError

from local.emulator import KEY, Emulator, values_of
from local.sample import write_credentials
from local.template import Template
from logkeep.aws import clients
from logkeep.backups.store import backup_store
from logkeep.clock import now_ms
from logkeep.logs.store import log_store
from tests.calls import BACKUP, CLUSTER, PROJECT, Context, append, event, forget_aws, send
from tests.test_roles import as_new_caller, become

TEMPLATE = Template.load(overrides="BackupLockDays=10")
OBJECTS = [f"backups/{PROJECT}/{CLUSTER}/css/log/{BACKUP}.zip", f"cuts/{PROJECT}/{CLUSTER}/{BACKUP}.json"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with Emulator(tmp_path_factory.mktemp("iam"), enforce_iam=True) as emulator, pytest.MonkeyPatch.context() as patch:
        environment = emulator.create(TEMPLATE)
        for name, value in environment.items():
            patch.setenv(name, value)
        forget_aws()
        write_credentials(values_of(TEMPLATE, emulator.endpoint)["CredentialsKey"])
        append(f"cluster/{CLUSTER}/node-1/instance", b"a line\n")
        backup_store(PROJECT, CLUSTER).enable()
        yield environment
    as_new_caller()


def test_backups_are_locked_held_and_let_go(guarded: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    root = boto3.client("s3", aws_access_key_id=KEY, aws_secret_access_key=KEY, aws_session_token=None)
    bucket = os.environ["BUCKET"]

    def held() -> set[str]:
        return {root.get_object_legal_hold(Bucket=bucket, Key=key)["LegalHold"]["Status"] for key in OBJECTS}

    become("RunBackup", guarded, monkeypatch)
    store = backup_store(PROJECT, CLUSTER)
    store.start(store.cluster(log_store(PROJECT)).new_record(BACKUP, 1000, "Manual"), now_ms())
    importlib.import_module("functions.run_backup.app").lambda_handler(event("run_backup"), Context(900))
    for key in OBJECTS:
        assert root.get_object_retention(Bucket=bucket, Key=key)["Retention"]["Mode"] == "GOVERNANCE"
    with pytest.raises(ClientError, match="AccessDenied"):
        clients.s3().put_object_legal_hold(Bucket=bucket, Key=OBJECTS[0], LegalHold={"Status": "ON"})

    become("HoldBackup", guarded, monkeypatch)
    assert send("hold_backup").status == 200
    assert held() == {"ON"}
    assert send("hold_backup-let_go").status == 200
    assert held() == {"OFF"}
    with pytest.raises(ClientError, match="AccessDenied"):
        clients.s3().put_object_retention(
            Bucket=bucket, Key=OBJECTS[0], Retention={"Mode": "GOVERNANCE", "RetainUntilDate": "2100-01-01"}
        )
