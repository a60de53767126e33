"""Keeping a backup from expiring, over HTTP."""

import pytest

from logkeep.backups.store import BackupStore, backup_store
from logkeep.clock import DAY, now_ms
from logkeep.logs.store import log_store
from tests.calls import BACKUP, CLUSTER, PROJECT, event, send

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def store(aws) -> BackupStore:
    store = backup_store(PROJECT, CLUSTER)
    store.enable()
    return store


def finish(store: BackupStore) -> None:
    record = store.cluster(log_store(PROJECT)).new_record(BACKUP, 1000, "Manual")
    store.put(record.failed("for the test", 2000))


def test_a_record_is_held_and_let_go_however_often_that_is_said(store) -> None:
    finish(store)
    for name, held in (("hold_backup", True), ("hold_backup-let_go", False)):
        for _ in range(2):
            answer = send(name)
            assert (answer.status, answer.json) == (200, {"id": BACKUP, "hold": held})
            assert bool(store.record(BACKUP).hold) == held
        shown = send("show_backup_record").json
        assert (shown["hold"], shown["expires_at"]) == (held, None if held else 2000 + 3650 * DAY)


def test_a_record_that_runs_is_a_conflict(store) -> None:
    store.start(store.cluster(log_store(PROJECT)).new_record(BACKUP, 1000, "Manual"), now_ms())
    answer = send("hold_backup")
    assert (answer.status, answer.json["error_code"]) == (409, "CSS.0031")
    assert send("hold_backup-let_go").status == 200, "it is not held"
    assert store.record(BACKUP).hold is None


@pytest.mark.parametrize("id", ["x", "..", "a b", "x" * 129, "x" * 3000, "é", "\x00"])
def test_an_unknown_record_is_not_found(store, id: str) -> None:
    finish(store)
    assert send("hold_backup-unknown_record").json["error_code"] == "CSS.0016"
    parameters = event("hold_backup")["pathParameters"] | {"record_id": id}
    path = f"/v1.0/{PROJECT}/clusters/{CLUSTER}/logs/records/{id}/hold"
    answer = send("hold_backup", rawPath=path, pathParameters=parameters)
    assert answer.status == 404


def test_another_project_s_record_is_not_found(store) -> None:
    finish(store)
    assert send("hold_backup", headers={"x-auth-token": "token-of-another-project"}).status in {403, 404}
    assert store.record(BACKUP).hold is None
