from typing import Any
from urllib.parse import urlencode

import pytest

from logkeep.backups.records import BackupRecord, Status
from logkeep.backups.store import backup_store
from tests.calls import CLUSTER, PROJECT, append, call, event, send

pytestmark = pytest.mark.usefixtures("aws")
START = 1_656_042_837_000


def record(number: int, status: Status = Status.SUCCESS, **fields) -> BackupRecord:
    values: dict[str, Any] = {
        "id": f"record-{number:03d}",
        "cluster_id": CLUSTER,
        "created_at": START + number * 1000,
        "log_path": "backups/css/log",
        "status": status,
        "job_type": "Manual",
        "job_id": f"job-{number}",
        "finished_at": None if status is Status.RUNNING else START + number * 1000 + 500,
    }
    return BackupRecord(**values | fields)


@pytest.fixture
def records(aws) -> None:
    store = backup_store(PROJECT, CLUSTER)
    store.enable()
    for number in range(30):
        store.put(record(number, Status.FAIL if number % 3 == 0 else Status.SUCCESS))


def listed(**query):
    return call("list_backup_records", event("list_backup_records", rawQueryString=urlencode(query)))


def ids(answer) -> list[int]:
    return [int(each["id"].rpartition("-")[2]) for each in answer.json["clusterLogRecord"]]


@pytest.mark.usefixtures("records")
def test_the_newest_ten_by_default_with_the_total() -> None:
    answer = listed()
    assert ids(answer) == list(range(29, 19, -1))
    assert answer.json["totalSize"] == 30


@pytest.mark.usefixtures("records")
def test_offset_is_the_number_of_the_first_record_from_one() -> None:
    assert ids(listed(offset=3, limit=2)) == [27, 26]
    assert ids(listed(offset=1000, limit=1000)) == []


@pytest.mark.usefixtures("records")
def test_status_filters_page_and_total() -> None:
    failed = listed(status="FAIL", limit=1000)
    assert (ids(failed), failed.json["totalSize"]) == (list(range(27, -1, -3)), 10)
    assert listed(status="NOT_FAIL").json["totalSize"] == 20
    assert listed(status="").json["totalSize"] == 30


def test_a_record_has_the_documented_fields_and_types() -> None:
    store = backup_store(PROJECT, CLUSTER)
    store.enable()
    store.put(record(1, Status.RUNNING))
    store.put(record(0, Status.FAIL, failed_msg="no space", job_type="Auto"))
    assert listed().json["clusterLogRecord"] == [
        {
            "id": "record-001",
            "clusterId": CLUSTER,
            "createAt": START + 1000,
            "logPath": "backups/css/log",
            "status": "RUNNING",
            "finishedAt": None,
            "jobTypes": "Manual",
            "failedMsg": None,
            "jobId": "job-1",
        },
        {
            "id": "record-000",
            "clusterId": CLUSTER,
            "createAt": START,
            "logPath": "backups/css/log",
            "status": "FAIL",
            "finishedAt": START + 500,
            "jobTypes": "Auto",
            "failedMsg": "no space",
            "jobId": "job-0",
        },
    ]


def test_a_record_whose_worker_died_is_not_running_for_ever() -> None:
    store = backup_store(PROJECT, CLUSTER)
    store.enable()
    store.put(record(1, Status.RUNNING, lease_until=START))
    (found,) = listed(status="FAIL").json["clusterLogRecord"]
    assert (found["status"], found["finishedAt"]) == ("FAIL", START)


def test_an_unknown_cluster_is_a_404_and_one_never_backed_up_a_412() -> None:
    answer = listed()
    assert (answer.status, answer.json["error_code"]) == (404, "CSS.3027")
    append(f"cluster/{CLUSTER}/node-1/instance", b"x\n")
    answer = listed()
    assert (answer.status, answer.json["error_code"]) == (412, "CSS.5090")
    backup_store(PROJECT, CLUSTER).enable()
    assert listed().json == {"clusterLogRecord": [], "totalSize": 0, "marker": None}


@pytest.mark.usefixtures("records")
def test_a_marker_goes_on_behind_the_page_before() -> None:
    first = listed(limit=20)
    rest = listed(limit=20, marker=first.json["marker"])
    assert ids(first) + ids(rest) == list(range(29, -1, -1))
    assert (rest.json["marker"], rest.json["totalSize"]) == (None, 30)


@pytest.mark.parametrize(
    ("query", "named"),
    [({"offset": 0}, "offset"), ({"offset": 1001}, "offset"), ({"limit": 0}, "limit"), ({"limit": 1001}, "limit"),
     ({"limit": "ten"}, "limit"), ({"status": "fail"}, "status"), ({"status": "RUNNING"}, "status"),
     ({"marker": "x"}, "marker"), ({"marker": "1/" + "a" * 200}, "marker")],
)  # fmt: skip
def test_a_bad_parameter_is_named(query, named) -> None:
    answer = listed(**query)
    assert (answer.status, answer.json["error_code"]) == (400, "CSS.0001")
    assert f" {named}: " in answer.json["error_msg"]


@pytest.mark.usefixtures("records")
def test_the_event_files_do_what_their_names_say() -> None:
    assert len(ids(send("list_backup_records"))) == 10
    assert send("list_backup_records-limit_out_of_range").status == 400
    assert send("list_backup_records-unknown_cluster").status == 404
