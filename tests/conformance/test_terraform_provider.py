"""The life cycle of the log resources of Terraform's provider, replayed: what it sends, and how it judges."""

from collections.abc import Iterator

import httpx
import pytest

from local.emulator import BUCKET, physical_name
from logkeep.backups.records import BackupRecord, Status
from logkeep.backups.store import BackupStore
from tests.conformance.clients import aws
from tests.conformance.terraform import (
    BASE,
    REAL_TIME,
    Failed,
    Gone,
    LogSetting,
    ManualBackup,
    Provider,
    backup_records,
    cluster_logs,
)
from tests.local.service import Service, eventually

PERIOD = "00:00 GMT+08:00"
START = 1_656_042_837_000
RECORDS = 30


@pytest.fixture
def provider(service: Service) -> Iterator[Provider]:
    demo = service.demo
    with httpx.Client(base_url=demo["endpoint"], trust_env=False, timeout=60) as http:
        yield Provider(http, demo["ak"], demo["sk"], demo["project_id"])


@pytest.fixture
def setting(provider: Provider) -> LogSetting:
    return LogSetting(provider)


def make_cluster(service: Service, cluster: str) -> None:
    """A cluster exists once it has a log."""
    with service.client() as http:
        url = f"/v1/{service.demo['project_id']}/logs/cluster/{cluster}/node-1/instance?offset=0"
        text = b"[2026-11-22T08:00:00,000][INFO ][o.e.n.Node] started\n"
        assert http.patch(url, content=text, headers={"Content-Type": "application/octet-stream"}).is_success


def make_records(service: Service, cluster: str) -> None:
    store = BackupStore(
        aws(service, "dynamodb"), physical_name("BackupsTable"), service.demo["project_id"], cluster
    )  # fmt: skip
    store.enable()
    for number in range(RECORDS):
        store.put(
            BackupRecord(
                id=f"terraform-{number:03d}",
                cluster_id=cluster,
                created_at=START + number * 1000,
                log_path="css/log",
                status=Status.FAIL if number % 3 == 0 else Status.SUCCESS,
                job_type="Auto" if number % 2 else "Manual",
                job_id=f"job-{number}",
                finished_at=START + number * 1000 + 500,
            )
        )


def config(cluster: str, **changes: str) -> dict[str, str]:
    return {"cluster_id": cluster, "agency": "css_obs_agency", "base_path": "css/log", "bucket": BUCKET, **changes}


def test_a_backup_setting_is_created_read_updated_imported_and_destroyed(setting: LogSetting) -> None:
    wanted = config("terraform-base")
    state = setting.create(wanted)
    assert state
    assert wanted.items() <= state.items()
    assert (state["auto_enabled"], state["period"], state["log_switch"]) == (False, "", True)

    wanted = config("terraform-base", base_path="css/log-update", period=PERIOD)
    state = setting.update(state, wanted)
    assert state
    assert wanted.items() <= state.items()
    assert state["auto_enabled"] is True
    assert setting.read(wanted) == state, "a plan after it is empty"
    assert setting.imported("terraform-base") == setting.imported(f"terraform-base/{BASE}") == state

    wanted = config("terraform-base", base_path="css/log-update", period="")
    state = setting.update(state, wanted)
    assert state
    assert (state["auto_enabled"], state["period"], state["base_path"]) == (False, "", "css/log-update")

    assert setting.delete(state) is True
    assert setting.delete(state) is False, "415 CSS.0004 is no error"
    assert setting.read(state) is None
    assert setting.provider.sent.count("PUT close") == 2
    again = setting.create(config("terraform-base", period=PERIOD))
    assert again
    assert again["period"] == PERIOD


def test_a_collection_in_real_time_is_created_read_updated_imported_and_destroyed(
    setting: LogSetting, service: Service
) -> None:
    for each in ("terraform-source", "terraform-target"):
        make_cluster(service, each)
    source = {"cluster_id": "terraform-source", "action": REAL_TIME}
    wanted = {**source, "index_prefix": "css-logs", "keep_days": 30, "target_cluster_id": "terraform-target"}
    state = setting.create(wanted)
    assert state
    assert wanted.items() <= state.items()

    wanted |= {"keep_days": 7, "target_cluster_id": "terraform-source"}
    state = setting.update(state, wanted)
    assert state
    assert wanted.items() <= state.items()
    assert setting.imported(f"terraform-source/{REAL_TIME}") == setting.read(wanted) == state

    assert setting.delete(state) is True
    assert setting.delete(state) is False
    assert setting.read(state) is None
    with pytest.raises(Gone):
        setting.create({**wanted, "target_cluster_id": "terraform-nowhere"})


def test_what_the_provider_leaves_empty_is_named(setting: LogSetting) -> None:
    with pytest.raises(Failed, match="agency: is required"):
        setting.create({"cluster_id": "terraform-empty"})
    with pytest.raises(Failed, match="keep_days: "):
        setting.create({"cluster_id": "terraform-empty", "action": REAL_TIME, "target_cluster_id": "terraform-empty"})
    with pytest.raises(Failed, match=r"CSS\.0048"):
        setting.create(config("terraform-empty", bucket="another-bucket"))


def test_a_cluster_that_is_gone_is_forgotten(setting: LogSetting) -> None:
    for action in (BASE, REAL_TIME):
        state = {"cluster_id": "terraform-unknown", "action": action}
        assert setting.read(state) is None
        assert setting.delete(state) is False


def test_a_cluster_that_the_key_may_not_see_is_not_forgotten(service: Service, provider: Provider) -> None:
    provider._project = "f" * 32
    for act in (LogSetting(provider).read, LogSetting(provider).delete):
        with pytest.raises(Failed, match=r"CSS\.0015"):
            act({"cluster_id": "terraform-base"})


def test_a_backup_by_hand_is_found_while_it_runs_and_thirty_records_are_read(
    provider: Provider, service: Service
) -> None:
    cluster = "terraform-backups"
    make_cluster(service, cluster)
    make_records(service, cluster)
    LogSetting(provider).create(config(cluster))
    backup = ManualBackup(provider)
    job = backup.create(cluster)
    assert eventually(lambda: backup.read(cluster, job)["status"] != "RUNNING", 60)
    done = backup.read(cluster, job)
    assert (done["status"], done["failedMsg"], done["jobTypes"], done["logPath"]) == (
        "SUCCESS", None, "Manual", "css/log",
    )  # fmt: skip
    assert backup.read(cluster, "job-0")["createAt"] == START, "on the fourth page"
    with pytest.raises(Gone):
        backup.read(cluster, "no-such-job")

    provider.sent.clear()
    found = backup_records(provider, cluster)
    assert [each["jobId"] for each in found] == [job, *(f"job-{number}" for number in reversed(range(RECORDS)))]
    assert provider.sent == [f"GET records?limit=10&start={start}" for start in (1, 11, 21, 31, 41)]
    assert backup_records(provider, cluster, jobId="job-7") == [each for each in found if each["jobId"] == "job-7"]
    assert len(backup_records(provider, cluster, jobTypes="Auto")) == RECORDS // 2
    assert len(backup_records(provider, cluster, status="FAIL")) == RECORDS // 3


def test_the_logs_of_a_cluster_are_searched(provider: Provider, service: Service) -> None:
    make_cluster(service, "terraform-searched")
    wanted = {"instance_name": "node-1", "log_type": "instance"}
    found = cluster_logs(provider, "terraform-searched", **wanted, level="INFO", limit=5, keyword="started")
    assert (found["type"], found["completed"]) == ("instance", True)
    (log,) = found["logList"]
    assert (log["date"], log["level"]) == ("2026-11-22T08:00:00,000", "INFO")
    assert log["content"].endswith("started")


def test_a_provider_without_a_project_id_asks_for_it_by_name(provider: Provider, service: Service) -> None:
    assert provider.project_named("cn-north-4") == service.demo["project_id"]
