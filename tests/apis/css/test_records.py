from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from logkeep.apis.css.records import ClusterLogRecord, RecordQuery, page_of
from logkeep.backups.records import BackupRecord, Status

pytestmark = pytest.mark.unit

NOW = 1_769_860_800_000


def record(number: int = 0, status: Status = Status.SUCCESS, **changes: Any) -> BackupRecord:
    values: dict[str, Any] = {
        "id": f"record-{number}",
        "cluster_id": "c",
        "created_at": NOW - number,
        "log_path": "backups/p/c/x.zip",
        "status": status,
        "job_type": "Auto",
        "job_id": "j",
    }
    return BackupRecord(**values | changes)


records = st.lists(
    st.tuples(st.sampled_from(Status), st.one_of(st.none(), st.integers(NOW - 2, NOW + 2))), max_size=30
).map(lambda rows: [record(number, status, lease_until=lease) for number, (status, lease) in enumerate(rows)])
queries = st.builds(
    RecordQuery, offset=st.integers(1, 12), limit=st.integers(1, 12), status=st.sampled_from(["", "FAIL", "NOT_FAIL"])
)


@given(records, queries)
def test_a_page_is_what_filtering_and_slicing_all_records_gives(some: list[BackupRecord], query: RecordQuery):
    failed = [
        each.status is Status.FAIL
        or (each.status is Status.RUNNING and each.lease_until is not None and each.lease_until < NOW)
        for each in some
    ]
    matching = [
        each.id
        for each, fail in zip(some, failed, strict=True)
        if query.status == "" or (query.status == "FAIL") == fail
    ]
    page = page_of(iter(some), query, NOW)
    assert page.totalSize == len(matching)
    first = query.offset - 1
    assert [each.id for each in page.clusterLogRecord] == matching[first : first + query.limit]


@given(records, queries)
def test_pages_by_marker_show_every_record_once(some: list[BackupRecord], query: RecordQuery):
    query = query.model_copy(update={"offset": 1})
    shown: list[str] = []
    for _ in range(len(some) + 1):
        page = page_of(iter(some), query, NOW)
        shown += [each.id for each in page.clusterLogRecord]
        if page.marker is None:
            break
        assert len(page.clusterLogRecord) == query.limit
        query = query.model_copy(update={"marker": page.marker})
    whole = page_of(some, query.model_copy(update={"marker": "", "limit": 1000}), NOW)
    assert shown == [each.id for each in whole.clusterLogRecord]
    assert page.totalSize == len(shown)


def test_a_marker_stays_good_when_its_record_is_gone_and_newer_ones_come():
    some = [record(number) for number in range(6)]
    marker = page_of(some, RecordQuery(limit=3), NOW).marker
    later = [record(9, created_at=NOW + 9), *some[:2], *some[3:]]
    page = page_of(later, RecordQuery(limit=3, marker=marker), NOW)
    assert [each.id for each in page.clusterLogRecord] == ["record-3", "record-4", "record-5"]


@given(records)
def test_failed_and_not_failed_records_are_all_records(some: list[BackupRecord]):
    sizes = [page_of(some, RecordQuery(status=status), NOW).totalSize for status in ("FAIL", "NOT_FAIL", "")]
    assert sizes[0] + sizes[1] == sizes[2] == len(some)


def test_a_record_is_shown_with_the_names_of_the_table():
    shown = ClusterLogRecord.of(record(status=Status.FAIL, finished_at=NOW + 5, failed_msg="no space"))
    assert shown.model_dump(mode="json") == {
        "id": "record-0",
        "clusterId": "c",
        "createAt": NOW,
        "logPath": "backups/p/c/x.zip",
        "status": "FAIL",
        "finishedAt": NOW + 5,
        "jobTypes": "Auto",
        "failedMsg": "no space",
        "jobId": "j",
    }


def test_a_backup_whose_worker_died_has_failed_when_its_lease_ended():
    shown = record(status=Status.RUNNING, lease_until=NOW - 1).seen_at(NOW)
    assert (shown.status, shown.finished_at) == (Status.FAIL, NOW - 1)
    assert shown.failed_msg


@pytest.mark.parametrize("lease", [None, NOW, NOW + 1])
def test_a_backup_that_is_queued_or_whose_lease_lasts_is_running(lease: int | None):
    shown = record(status=Status.RUNNING, lease_until=lease).seen_at(NOW)
    assert (shown.status, shown.finished_at, shown.failed_msg) == (Status.RUNNING, None, None)


@pytest.mark.parametrize("status", [Status.SUCCESS, Status.FAIL])
def test_a_finished_backup_stays_as_it_is_whatever_became_of_its_lease(status: Status):
    shown = record(status=status, finished_at=NOW - 5, lease_until=NOW - 9).seen_at(NOW)
    assert (shown.status, shown.finished_at, shown.failed_msg) == (status, NOW - 5, None)


def test_the_query_starts_at_the_first_of_ten_records_of_any_status():
    assert RecordQuery() == RecordQuery(offset=1, limit=10, status="")


@pytest.mark.parametrize(
    "values",
    [
        {"offset": "0"},
        {"offset": "1001"},
        {"offset": "1.0"},
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "-1"},
        {"status": "SUCCESS"},
        {"status": "fail"},
    ],
    ids=str,
)
def test_a_query_that_the_table_does_not_allow_is_refused(values: dict[str, str]):
    with pytest.raises(ValidationError):
        RecordQuery.model_validate(values)
