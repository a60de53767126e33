"""What people read of backups that failed or did not happen."""

import pytest

from logkeep.backups import notices
from logkeep.backups.notices import SUBJECT_MAX
from logkeep.backups.records import Status
from tests.backups.test_retention import NOW, a_record

pytestmark = pytest.mark.unit

PROJECT = "0f5f3d6c1b6a4d5a8f4e1a2b3c4d5e6f"


def test_a_failure_is_told_with_what_to_do() -> None:
    record = a_record("r1", status=Status.FAIL).failed("the object logs/ü is missing", NOW)
    notice = notices.failed(PROJECT, record)
    assert (notice.kind, notice.project) == ("failed", PROJECT)
    assert notice.subject == "Logkeep: backup failed, cluster c"
    assert notice.text.splitlines()[:9] == [
        "A backup of the cluster's logs failed.",
        "",
        f"Project:         {PROJECT}",
        "Cluster:         c",
        "Record:          r1",
        "Due:             1972-09-26 23:59:59 UTC",
        "Failed:          1972-09-27 00:00:00 UTC",
        "Reason:          the object logs/ü is missing",
        "",
    ]
    assert f"POST /v1.0/{PROJECT}/clusters/c/logs/collect" in notice.text
    assert f"POST /v1.0/{PROJECT}/clusters/c/logs/records/{{record_id}}/restore" in notice.text


def test_missed_backups_are_told_with_the_last_success_or_none() -> None:
    assert "Last success:    1972-09-26 23:59:59 UTC (record r1)\n" in notices.missed(PROJECT, "c", a_record("r1")).text
    assert "Last success:    none\n" in notices.missed(PROJECT, "c", None).text


def test_a_subject_is_as_long_as_a_topic_takes() -> None:
    subject = notices.missed(PROJECT, "c" * 128, None).subject
    assert len(subject) == SUBJECT_MAX
    assert subject.isascii()
