"""The sample data that `make run` starts with."""

import time
from collections import Counter
from typing import Any

import boto3
import pytest

from local import sample
from logkeep.apis.css.records import RecordQuery, page_of
from logkeep.backups.records import Status
from logkeep.backups.store import backup_store
from logkeep.clock import now_ms
from logkeep.logs.listing import Selection
from logkeep.logs.listing_store import listing
from logkeep.logs.store import log_store
from logkeep.settings import settings
from tests.calls import EVENTS, send
from tests.conftest import marked
from tests.rewinding import Rewinding

KMS_KEY = "alias/logkeep-CredentialsKey"


@pytest.fixture(scope="module")
def written(emulator: Rewinding, environment: dict[str, str]) -> None:
    with marked("sample", emulator, environment):
        sample.write_sample(KMS_KEY)


@pytest.fixture(autouse=True)
def _sample(written: None, aws: None, emulator: Rewinding) -> None:
    emulator.rewind("sample")


def stored() -> list[Any]:
    """Every item of every table."""
    dynamodb, env = boto3.client("dynamodb"), settings()
    tables = (env.logs_table, env.events_table, env.backups_table, env.credentials_table)
    pages = (page for table in tables for page in dynamodb.get_paginator("scan").paginate(TableName=table))
    return sorted((item for page in pages for item in page["Items"]), key=str)


def test_a_later_start_writes_nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    before, now = stored(), time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 3 * 86_400 * 10**9)
    sample.write_sample(KMS_KEY)
    assert stored() == before


def test_every_api_has_something_to_show() -> None:
    logs = log_store(sample.PROJECT)
    kinds = Counter(head.log_id.kind for head in listing(sample.PROJECT).page(Selection(), "", 1000, 0).heads)
    assert kinds == {"app": 2, "build": 3, "task": 6, "check": 5, "cluster": 8}
    records = page_of(backup_store(sample.PROJECT, sample.CLUSTER).listed(logs), RecordQuery(limit=1000), now_ms())
    assert records.totalSize == 26
    assert {(each.status, each.jobTypes) for each in records.clusterLogRecord} == {
        (Status.SUCCESS, "Auto"),
        (Status.FAIL, "Auto"),
        (Status.SUCCESS, "Manual"),
        (Status.FAIL, "Manual"),
        (Status.RUNNING, "Manual"),
    }


def test_the_registered_build_and_execution_are_those_of_the_event_files() -> None:
    assert send("page_build_log").json["result"]["log"].endswith("finished")
    assert len(send("show_check_log").json["log_info"]) == 5
    assert send("show_check_log-console").json["result"]["hasMore"] is True
    succeed = [path.stem for path in EVENTS.glob("download_build_log-full*") if "unknown" not in path.stem]
    assert [send(name).status for name in succeed] == [200] * 3
    assert send("append_log-of_a_build").status == 202, "another stage of the same build"


def test_a_search_in_a_cluster_s_log_finds_something() -> None:
    error, warning = send("search_logs").json["logList"]
    assert (error["level"], warning["level"]) == ("ERROR", "WARN")
    assert error["content"].endswith("\t... 14 more")
    assert len(send("search_logs-keyword").json["logList"]) == 1
