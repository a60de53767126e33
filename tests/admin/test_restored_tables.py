"""A service whose tables were restored by point-in-time recovery, and so have other names, has what was in them."""

import os
import uuid
from collections.abc import Iterator

import boto3
import pytest

from tests.calls import a_build, append, forget_aws, list_events, put_events, read, seal

TABLES = ("LOGS_TABLE", "EVENTS_TABLE", "BACKUPS_TABLE", "CREDENTIALS_TABLE")
LOG = a_build("restored")
SMALL = b"2026-11-22 08:00:00 INFO kept in the table\n"
LARGE = b"".join(f"2026-11-22 08:00:01 INFO {uuid.UUID(int=n**5)}\n".encode() for n in range(5000))  # in the bucket
EVENT = {"occur_time": 1_795_348_800_000, "event_type": "normal", "event_info": "deployed"}


@pytest.fixture
def _restored(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    append(LOG, SMALL)
    append(LOG, LARGE, len(SMALL))
    put_events([EVENT], key="one")
    dynamodb = boto3.client("dynamodb")
    for variable in TABLES:
        restored = f"restored-{variable.lower()}"
        dynamodb.restore_table_to_point_in_time(
            SourceTableName=os.environ[variable], TargetTableName=restored, UseLatestRestorableTime=True
        )
        monkeypatch.setenv(variable, restored)
    append(LOG, b"after that time\n", len(SMALL) + len(LARGE))  # to the table as it was
    forget_aws()
    append(a_build("other"), b"in the restored table\n")
    yield
    forget_aws()


@pytest.mark.usefixtures("_restored")
def test_logs_events_and_credentials_of_restored_tables_are_there_and_can_be_written_on() -> None:
    assert read(LOG).body == SMALL + LARGE
    assert list_events().json["total_count"] == 1
    answer = append(LOG, b"the next line\n", len(SMALL) + len(LARGE))
    assert (answer.status, answer.json["bytes"]) == (202, len(SMALL) + len(LARGE) + 14)
    assert seal(LOG).json["state"] == "sealed"
    assert read(a_build("other")).body == b"in the restored table\n"
