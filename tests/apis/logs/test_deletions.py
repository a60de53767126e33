"""DELETE of a log, holds and certificates as clients see them."""

from typing import Any

import pytest

from logkeep.backups.store import backup_store
from tests.calls import (
    BUILD,
    CLUSTER,
    EXECUTION,
    PROJECT,
    RECORD,
    SUB_JOBS,
    TASK,
    Answer,
    append,
    call,
    event,
    log_request,
    read,
    seal,
    send,
)
from tests.restores.test_store import back_up

pytestmark = pytest.mark.usefixtures("aws")
LOG = "app/shop/web"


def delete(log_id: str, **changes: Any) -> Answer:
    return call("delete_log", log_request("delete_log", log_id, **changes))


def hold(log_id: str, method: str = "hold_log") -> Answer:
    path = {"rawPath": f"/v1/{PROJECT}/holds/{log_id}", "pathParameters": {"project_id": PROJECT, "log_id": log_id}}
    return call("hold_log", event(method, **path))


def certificates(query: str = "") -> dict[str, Any]:
    answer = call("list_deletions", event("list_deletions", rawQueryString=query))
    assert answer.status == 200, answer.body
    document: dict[str, Any] = answer.json
    return document


def test_a_log_is_deleted_and_who_continues_it_is_told_how(aws) -> None:
    append(LOG, b"one\ntwo\n", headers={"logkeep-labels": "service=web"})
    deleted = delete(LOG)
    assert deleted.status == 200
    told = deleted.json
    assert (told["log_id"], told["bytes"], told["lines"], told["reason"]) == (LOG, 8, 2, "request")
    assert told["labels"] == {"kind": "app", "service": "web"}
    assert told["deleted_by"] == "token-id"
    assert (told["removed_at"], told["objects"]) == (None, None)
    assert read(LOG).status == 404
    assert send("list_logs", rawQueryString="prefix=app/").json["logs"] == []
    for offset in (8, 3):
        refused = append(LOG, b"three\n", offset)
        assert (refused.status, refused.json["error_code"]) == (410, "LOGKEEP.0410")
        assert refused.json["deletion"] == told
    assert delete(LOG).json == told
    assert append(LOG, b"anew\n", None).status == 202
    assert read(LOG).body == b"anew\n"
    assert delete(LOG).json["bytes"] == 5
    assert [each["bytes"] for each in certificates(f"log_id={LOG}")["deletions"]] == [5, 8]


@pytest.mark.parametrize(
    ("log_id", "status", "why"),
    [("app/none", 404, "no log app/none"), ("app", 400, "named app"), ("app/..", 400, "name must be")],
)
def test_what_cannot_be_deleted_is_said(aws, log_id, status, why) -> None:
    answer = delete(log_id)
    assert answer.status == status
    assert why in answer.json["error_msg"]


def test_a_hold_is_shown_and_keeps_a_log(aws) -> None:
    append(LOG, b"one\n")
    assert hold("app/none").status == 404
    assert hold(LOG).json["hold"] is True
    refused = delete(LOG)
    assert (refused.status, refused.json["error_msg"]) == (409, f"{LOG} is held")
    append(f"{LOG}/hold", b"a log may bear that name\n")
    assert delete(f"{LOG}/hold").status == 200
    assert send("list_logs", rawQueryString="prefix=app/").json["logs"][0]["hold"] is True
    assert hold(LOG, "hold_log-let_go").json["hold"] is False
    assert delete(LOG).status == 200


def test_certificates_of_a_time_come_in_pages_oldest_first(aws) -> None:
    names = [f"app/{number}" for number in range(5)]
    for name in names:
        append(name, b"x")
        delete(name)
    found, marker = list[str](), ""
    while True:
        page = certificates(f"limit=2&since=1h&marker={marker}")
        found += [each["log_id"] for each in page["deletions"]]
        marker = page["marker"]
        if marker is None:
            break
    assert found == names
    assert certificates("since=2h&until=1h") == {"deletions": [], "marker": None}
    for wrong in ("since=400d", "since=1h&until=2h", f"since=1h&log_id={LOG}", "log_id=app", "marker=x", "limit=0"):
        assert call("list_deletions", event("list_deletions", rawQueryString=wrong)).status == 400


def test_a_certificate_names_the_backups_that_hold_the_log(aws) -> None:
    log_id, store = f"cluster/{CLUSTER}/node-1/instance", backup_store(PROJECT, CLUSTER)
    append(log_id, b"one\n")
    store.enable()
    back_up(store, "r1")
    delete(log_id)
    (told,) = certificates(f"log_id={log_id}")["deletions"]
    assert told["held_by"] == {"backups": ["r1"], "more_backups": False, "table_until": None, "versions_until": None}
    records = send("list_backup_records").json
    assert [each["id"] for each in records["clusterLogRecord"]] == ["r1"], "a cluster whose logs are gone has its own"


def test_every_api_passes_over_what_was_deleted(aws) -> None:
    stage = f"build/{RECORD}/stage1"
    older = f"build/{RECORD.replace('5', '6')}/stage1"
    for log_id in (older, stage):
        append(log_id, f"{log_id}\n".encode(), registered=BUILD)
    append(f"check/{SUB_JOBS[0]}", b"x\n", registered=EXECUTION)
    append(f"task/{TASK}/0/secretflow/0", b"x\n")
    for log_id in (stage, f"check/{SUB_JOBS[0]}", f"task/{TASK}/0/secretflow/0"):
        assert delete(log_id).status == 200
    assert older in send("page_build_log").body.decode(), "the one before is the latest again"
    for name in ("download_build_log", "download_check_logs", "show_check_log", "show_check_log-console"):
        assert send(name).status == 404
    assert b"not found" in send("query_task_log").body
    assert seal(stage).status == 404
