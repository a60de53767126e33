"""Data that an earlier commit wrote is read as it was read then."""

import time
import zlib

import pytest

from logkeep.apis.modelarts.events import EventQuery, page_of
from logkeep.backups.store import backup_store
from logkeep.clock import now_ms
from logkeep.errors import LogDeleted, LogNotFound
from logkeep.events.store import event_store
from logkeep.logid import LogId
from logkeep.logs.format_store import check_format
from logkeep.logs.pack_store import packer
from logkeep.logs.registration import Registration
from logkeep.logs.store import log_store
from logkeep.restores.plan import RestoreRequest
from logkeep.restores.store import restores
from tests.calls import BUILD, CLUSTER, PROJECT, RECORD, SERVICE
from tests.fixture import described, load

pytestmark = [pytest.mark.usefixtures("aws"), pytest.mark.dates]
CLUSTER_LOG = f"cluster/{CLUSTER}/node-1/instance"


def test_what_an_earlier_commit_wrote_is_read_and_continued(monkeypatch) -> None:
    monkeypatch.setenv("EVENT_RETENTION_DAYS", "36500")
    seen = load()
    logs = log_store(PROJECT)
    check_format(logs.dynamodb, logs.table)
    for log_id, before in seen["logs"].items():
        if log_id == seen["deleted"]:
            with pytest.raises(LogNotFound):
                logs.head(LogId.parse(log_id))
            with pytest.raises(LogDeleted):
                logs.append(LogId.parse(log_id), (b"x",).__iter__, before["certificate"]["bytes"])
            continue
        found = described(logs, log_id)
        assert [*map(list, found.pop("rows"))] == before.pop("rows"), log_id
        assert found == before, log_id
    assert logs.registrations.record(Registration(*BUILD.values())) == RECORD
    assert page_of(event_store(PROJECT, SERVICE), EventQuery(limit=10)).total_count == seen["events"]

    backups = backup_store(PROJECT, CLUSTER)
    assert {each.id for each in backups.records()} == {"full", "more"}
    restoring = restores(PROJECT, CLUSTER)
    request = RestoreRequest(prefix="again-", deleted=True)
    report, _ = restoring.begin("more", request, now_ms())
    while restoring.resume("more", report.run, time.monotonic() + 600):
        pass
    for log_id in (CLUSTER_LOG, seen["deleted"]):
        text = b"".join(logs.texts(logs.head(LogId.parse(log_id.replace("cluster/", "cluster/again-")))))
        before = seen["logs"][log_id]["certificate"]
        # The backup was made before the last line.
        assert (before["bytes"] - len(text), len(text) > 8000) in {(0, True), (len(text.splitlines()[-1]) + 1, True)}
        if before["bytes"] == len(text):
            assert f"{zlib.crc32(text):08x}" == before["crc32"]

    for log_id in seen["logs"].keys() - {seen["deleted"], f"build/{RECORD}/stage1"}:
        packer(PROJECT).pack(logs.head(LogId.parse(log_id)), float("inf"))
        again = described(logs, log_id)
        assert (again["sha256"], again["certificate"]) == tuple(
            seen["logs"][log_id][name] for name in ("sha256", "certificate")
        )
