"""Switching a cluster's backups on and off, and backing up by hand, as CSS's clients ask for it."""

import importlib
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from logkeep.aws import clients
from logkeep.backups.due_store import items_of
from logkeep.backups.orders import BACKUP_ORDERS, RunOrder
from logkeep.backups.settings import SettingsChange
from logkeep.backups.store import BackupStore, backup_store
from logkeep.backups.work_store import ORDERED_FOR, Kind
from logkeep.clock import now_ms
from tests.calls import CLUSTER, PROJECT, Answer, Context, append, call, event, send
from tests.faults import answering, at_once
from tests.orders import ordered

pytestmark = pytest.mark.usefixtures("aws")
BASE = {"agency": "css_obs_agency", "log_base_path": "css/log", "log_bucket": "logkeep-local"}
REAL_TIME = {"index_prefix": "css-logs", "keep_days": 30, "target_cluster_id": CLUSTER}
PERIOD = "00:00 GMT+08:00"


@pytest.fixture
def store(aws) -> BackupStore:
    return backup_store(PROJECT, CLUSTER)


def ask(name: str, body: dict[str, Any] | None = None, **query: str) -> Answer:
    sent = {} if body is None else {"body": json.dumps(body)}
    return call(name.partition("-")[0], event(name, rawQueryString=urlencode(query), **sent))


def shown() -> dict[str, Any]:
    answer = send("show_log_settings")
    assert answer.status == 200
    return answer.json


def is_refused(answer: Answer, status: int, code: str, named: str = "") -> bool:
    return (answer.status, answer.json["error_code"]) == (status, code) and named in answer.json["error_msg"]


def orders() -> list[Any]:
    """What was ordered since this was last called."""
    return [BACKUP_ORDERS.validate_python(each) for each in ordered("RunBackup")]


# open, close, settings


def test_a_cluster_comes_into_being_by_open_and_shows_its_settings() -> None:
    assert send("show_log_settings").status == 404
    before = now_ms()
    answer = ask("open_log_backup", BASE)
    assert (answer.status, answer.body) == (200, b"")
    made = shown()
    configuration = made["logConfiguration"]
    assert before <= configuration.pop("updateAt") <= now_ms()
    assert len(configuration.pop("id")) == 36
    assert configuration == {
        "clusterId": CLUSTER,
        "obsBucket": "logkeep-local",
        "agency": "css_obs_agency",
        "basePath": "css/log",
        "autoEnable": False,
        "period": None,
        "logSwitch": True,
        "services": [],
        "backupKeepDays": 3650,
        "fullEvery": 7,
    }
    assert made["realTimeLogCollectRecord"] is None


def test_a_cluster_that_has_only_logs_shows_none() -> None:
    append(f"cluster/{CLUSTER}/node-1/instance", b"x\n")
    assert shown() == {"logConfiguration": None, "realTimeLogCollectRecord": None}


@pytest.mark.parametrize("missing", sorted(BASE))
def test_what_open_needs_is_named(missing: str) -> None:
    answer = ask("open_log_backup", {name: value for name, value in BASE.items() if name != missing})
    assert is_refused(answer, 400, "CSS.0001", f"{missing}: ")
    assert send("show_log_settings").status == 404, "nothing was written"


def test_a_body_that_does_not_fit_is_refused_in_words() -> None:
    assert is_refused(send("open_log_backup", body=""), 400, "CSS.0001", "request: a body of JSON is required")
    assert is_refused(ask("open_log_backup", BASE | {"agency": "a/b"}), 400, "CSS.0001", "agency: must match ^[A-Za")
    unknown = send("verify_backup", body='{"color": 1}')
    assert is_refused(unknown, 400, "CSS.0001", "color: is not a field of this request")
    garbled = send("open_log_backup", body="\N{REPLACEMENT CHARACTER}", headers={"content-length": "1"})
    assert is_refused(garbled, 415, "CSS.0001", "not UTF-8")


@pytest.mark.parametrize("missing", sorted(REAL_TIME))
def test_what_a_real_time_collection_needs_is_named(missing: str) -> None:
    body = {name: value for name, value in REAL_TIME.items() if name != missing}
    assert is_refused(ask("open_log_backup", body, action="real_time_log_collect"), 400, "CSS.0001", f"{missing}: ")


@pytest.mark.parametrize(
    ("field", "value"),
    [("agency", "a b"), ("log_base_path", "/css"), ("log_base_path", "a/../b"), ("log_base_path", "é" * 257),
     ("log_base_path", ""), ("period", "25:00 GMT+08:00"), ("keep_days", 0), ("keep_days", 3651),
     ("target_cluster_id", "a/b"), ("full_every", 0), ("full_every", 101), ("auto_enable", "perhaps"),
     ("backup_keep_days", 0), ("backup_keep_days", 3651),
     ("services", "a"), ("services", ["a/b"]), ("services", [""]), ("services", ["a", "a"]), ("services", [1]),
     ("services", [str(n) for n in range(11)]), ("services", ["x" * 129]), ("services", {"a": "b"})],
)  # fmt: skip
def test_a_bad_field_is_named(field: str, value: Any) -> None:
    assert is_refused(ask("open_log_backup", BASE | {field: value}), 400, "CSS.0001", f"Incorrect parameters. {field}")


@pytest.mark.parametrize("name", ["log_bucket", "log_Bucket"])
def test_backups_go_to_the_bucket_of_the_stack_and_no_other(name: str) -> None:
    body = {key: value for key, value in BASE.items() if key != "log_bucket"}
    assert is_refused(ask("open_log_backup", body | {name: "somebody-elses"}), 400, "CSS.0048")
    assert ask("open_log_backup", body | {name: "logkeep-local"}).status == 200


def test_an_unknown_action_is_named() -> None:
    assert is_refused(ask("open_log_backup", BASE, action="paint"), 400, "CSS.0001", "action: ")


def test_settings_change_what_they_tell_and_leave_the_rest() -> None:
    assert send("change_log_settings").status == 404
    append(f"cluster/{CLUSTER}/node-1/instance", b"x\n")
    assert is_refused(send("change_log_settings"), 412, "CSS.5090")
    ask("open_log_backup", BASE)
    assert ask("change_log_settings", {"log_base_path": "other"}).status == 200
    assert ask("change_log_settings", {"auto_enable": True, "period": PERIOD}).body == b""
    configuration = shown()["logConfiguration"]
    assert [configuration[name] for name in ("agency", "basePath", "autoEnable", "period")] == [
        "css_obs_agency",
        "other",
        True,
        PERIOD,
    ]


def test_services_are_registered_shown_kept_and_removed(store: BackupStore) -> None:
    ask("open_log_backup", BASE | {"services": ["one", "two"]})
    assert shown()["logConfiguration"]["services"] == ["one", "two"]
    for change in ({"log_base_path": "other"}, {"services": None}):
        assert ask("change_log_settings", change).status == 200
        assert shown()["logConfiguration"]["services"] == ["one", "two"], "not told"
    ask("open_log_backup-close")
    ask("open_log_backup", BASE)
    assert shown()["logConfiguration"]["services"] == ["one", "two"]
    ten = [f"s{n}" for n in range(10)]
    assert ask("change_log_settings", {"services": ten}).status == 200
    assert shown()["logConfiguration"]["services"] == ten
    assert is_refused(ask("change_log_settings", {"services": ["a", "b/c"]}), 400, "CSS.0001", "services.1: ")
    assert shown()["logConfiguration"]["services"] == ten
    assert ask("change_log_settings", {"services": []}).status == 200
    assert shown()["logConfiguration"]["services"] == []


def test_how_long_archives_are_kept_is_told_by_a_field_of_its_own(store: BackupStore) -> None:
    """The published client sends keep_days, of the real-time collection, without saying which of the two it means."""
    ask("open_log_backup", BASE | {"keep_days": 7})
    ask("open_log_backup", REAL_TIME, action="real_time_log_collect")
    ask("change_log_settings", {"keep_days": 8, "log_base_path": "other"})
    ask("change_log_settings", {"keep_days": 9}, action="base_log_collect")
    assert shown()["logConfiguration"]["backupKeepDays"] == 3650
    assert shown()["realTimeLogCollectRecord"]["keepDays"] == 9

    assert ask("change_log_settings", {"backup_keep_days": 30}).status == 200
    assert shown()["logConfiguration"]["backupKeepDays"] == 30
    assert (store.items.get("cluster") or {})["keep_days"] == 30
    ask("open_log_backup", BASE | {"backup_keep_days": 31})
    ask("change_log_settings", {"full_every": 3})
    assert shown()["logConfiguration"]["backupKeepDays"] == 31
    assert shown()["logConfiguration"]["fullEvery"] == 3
    assert shown()["realTimeLogCollectRecord"]["keepDays"] == 9


def test_automatic_backups_need_a_period_told_now_or_before() -> None:
    assert is_refused(ask("open_log_backup", BASE | {"auto_enable": True}), 400, "CSS.0001", "period: ")
    ask("open_log_backup", BASE | {"period": PERIOD})
    assert shown()["logConfiguration"]["period"] is None, "as long as backups are not automatic"
    assert ask("change_log_settings", {"auto_enable": True}).status == 200
    assert shown()["logConfiguration"]["period"] == PERIOD


def test_close_switches_all_of_it_off_and_open_on_again(store: BackupStore) -> None:
    ask("open_log_backup", BASE | {"auto_enable": True, "period": PERIOD})
    assert store.due_run()
    assert ask("open_log_backup-close").body == b""
    configuration = shown()["logConfiguration"]
    assert (configuration["logSwitch"], configuration["autoEnable"]) == (False, False)
    assert (store.due_run(), store.due_at("watch")) == (None, None)
    for name in ("collect_logs", "change_log_policy", "change_log_policy-close"):
        assert is_refused(send(name), 412, "CSS.5090"), name
    assert is_refused(ask("open_log_backup-close"), 415, "CSS.0004", "Invalid operation. base_log_collect is not")
    assert send("list_backup_records").status == 200, "what was backed up stays"
    ask("open_log_backup", BASE)
    assert send("collect_logs").status == 200


def test_the_policy_sets_the_time_and_closing_it_ends_it(store: BackupStore) -> None:
    ask("open_log_backup", BASE)
    assert ask("change_log_policy", {"period": PERIOD}).body == b""
    assert shown()["logConfiguration"]["period"] == PERIOD
    first = store.due_run()
    assert first
    assert first[0] > now_ms()
    assert ask("change_log_policy", {"period": "12:00 GMT+08:00"}).status == 200
    assert store.due_run() != first
    assert ask("change_log_policy-close").status == 200
    assert shown()["logConfiguration"]["autoEnable"] is False
    assert store.due_run() is None


def test_changes_at_once_leave_a_schedule_that_is_as_shown(store: BackupStore) -> None:
    ask("open_log_backup", BASE)
    work = [
        lambda: store.change(SettingsChange(auto_enable=True, period=PERIOD), now_ms()),
        lambda: store.change(SettingsChange(auto_enable=False), now_ms()),
        lambda: store.change(SettingsChange(period="12:00 GMT+08:00"), now_ms()),
    ]
    for _ in range(6):
        at_once(*work)
        item = store.items.get("cluster") or {}
        found = store.due_run()
        assert (found and found[1].text) == (item["period"] if item["auto_enable"] else None)


# The real-time collection


def test_a_real_time_collection_is_shown_changed_and_closed() -> None:
    assert ask("open_log_backup", REAL_TIME, action="real_time_log_collect").status == 200
    record = shown()["realTimeLogCollectRecord"]
    assert {"indexPrefix": "css-logs", "keepDays": 30, "targetClusterId": CLUSTER, "status": "200"}.items() <= (
        record.items()
    )
    assert shown()["logConfiguration"] is None
    assert ask("change_log_settings", {"keep_days": 7}, action="real_time_log_collect").status == 200
    changed = shown()["realTimeLogCollectRecord"]
    assert (changed["keepDays"], changed["indexPrefix"], changed["id"]) == (7, "css-logs", record["id"])
    assert ask("change_log_settings", {"keep_days": 8}).status == 200, "as the published client says it"
    assert shown()["realTimeLogCollectRecord"]["keepDays"] == 8
    assert ask("open_log_backup-close", action="real_time_log_collect").status == 200
    assert shown()["realTimeLogCollectRecord"] is None
    assert is_refused(ask("open_log_backup-close", action="real_time_log_collect"), 415, "CSS.0004")


def test_one_request_may_change_both_collections() -> None:
    ask("open_log_backup", BASE)
    ask("open_log_backup", REAL_TIME, action="real_time_log_collect")
    assert ask("change_log_settings", {"keep_days": 5, "log_base_path": "both"}).status == 200
    made = shown()
    assert (made["logConfiguration"]["basePath"], made["realTimeLogCollectRecord"]["keepDays"]) == ("both", 5)


def test_connectivity_is_whether_the_target_exists() -> None:
    append(f"cluster/{CLUSTER}/node-1/instance", b"x\n")
    assert (send("check_log_connectivity").status, send("check_log_connectivity").body) == (200, b"")
    assert is_refused(send("check_log_connectivity-unknown_target"), 404, "CSS.3027")
    assert is_refused(ask("check_log_connectivity", {"target_cluster_id": "a/b"}), 400, "CSS.0001")


# collect


@pytest.mark.no_faults("counts orders; one whose answer is lost is sent twice")
def test_a_backup_by_hand_is_recorded_ordered_and_run(store: BackupStore, monkeypatch) -> None:
    monkeypatch.setattr("logkeep.apis.css.http.BEGINS_AFTER", 0)
    append(f"cluster/{CLUSTER}/node-1/instance", b"INFO a line\n")
    assert is_refused(send("collect_logs"), 412, "CSS.5090")
    ask("open_log_backup", BASE)
    answer = send("collect_logs")
    assert (answer.status, answer.body) == (200, b"")
    (running,) = send("list_backup_records").json["clusterLogRecord"]
    assert (running["status"], running["jobTypes"], running["logPath"]) == ("RUNNING", "Manual", "css/log")
    (order,) = orders()
    assert isinstance(order, RunOrder)
    assert (order.project, order.cluster) == (PROJECT, CLUSTER)
    assert is_refused(send("collect_logs"), 409, "CSS.3004")
    assert orders() == []
    run_order("run_backup")
    (ended,) = send("list_backup_records").json["clusterLogRecord"]
    assert (ended["id"], ended["status"], ended["failedMsg"]) == (running["id"], "SUCCESS", None)
    assert ended["finishedAt"] >= ended["createAt"]
    assert send("collect_logs").status == 200


@pytest.mark.no_faults("puts its own")
def test_a_backup_by_hand_whose_order_is_refused_is_left_to_the_schedule(store: BackupStore) -> None:
    """It is written: a 503 would have the client come back, and be answered that a backup runs."""
    ask("open_log_backup", BASE)
    with answering(clients.functions(), "Invoke", "TooManyRequestsException", times=1):
        assert send("collect_logs").status == 200
    assert orders() == []
    (due,) = items_of(Kind.BACKUPS, now_ms() + ORDERED_FOR)
    assert (due.project, due.cluster) == (PROJECT, CLUSTER)


def run_order(name: str, seconds: float = 900) -> None:
    importlib.import_module("functions.run_backup.app").lambda_handler(event(name), Context(seconds))


def test_a_worker_that_has_no_time_leaves_the_backup_running_and_complains() -> None:
    ask("open_log_backup", BASE)
    send("collect_logs")
    with pytest.raises(Exception, match="no step"):
        run_order("run_backup", 1)
    (running,) = send("list_backup_records").json["clusterLogRecord"]
    assert running["status"] == "RUNNING"


@pytest.mark.no_faults("counts messages; one whose answer is lost is sent twice")
def test_a_backup_that_is_not_finished_is_ordered_again(store, monkeypatch) -> None:
    ask("open_log_backup", BASE)
    send("collect_logs")
    orders()
    store.items.update("active", {"due_at": 1})  # as if a worker had given it back
    monkeypatch.setattr("logkeep.backups.runs.BackupRuns.resume", lambda *_: True)
    run_order("run_backup")
    assert orders() == [RunOrder(project=PROJECT, cluster=CLUSTER)]


@pytest.mark.parametrize(
    ("name", "status"),
    [("open_log_backup", 200), ("open_log_backup-real_time", 200), ("open_log_backup-foreign_bucket", 400),
     ("open_log_backup-no_agency", 400), ("show_log_settings", 200), ("show_log_settings-unknown_cluster", 404),
     ("change_log_settings", 200), ("change_log_settings-bad_period", 400), ("change_log_policy", 200),
     ("change_log_policy-no_period", 400), ("change_log_policy-close", 200), ("collect_logs", 200),
     ("collect_logs-unknown_cluster", 404), ("check_log_connectivity", 200),
     ("check_log_connectivity-unknown_target", 404), ("open_log_backup-close", 200)],
)  # fmt: skip
def test_the_event_files_do_what_their_names_say(name: str, status: int) -> None:
    ask("open_log_backup", BASE)
    assert send(name).status == status


def test_an_order_that_is_none_goes_to_the_dead_letters() -> None:
    with pytest.raises(ValueError, match="paint"):
        run_order("run_backup-unknown_order")
