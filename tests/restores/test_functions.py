"""A backup by itself, over events: shown, handed out, verified, restored. What workers do is in the other files."""

import importlib
import json
import zipfile
import zlib
from io import BytesIO
from typing import Any

import pytest

from logkeep.backups.jobs import STALLED_AFTER
from logkeep.backups.lease_store import Leases
from logkeep.backups.records import BackupRecord
from logkeep.backups.runs import backup_runs
from logkeep.backups.store import BackupStore, backup_store
from logkeep.clock import now_ms
from logkeep.identity.credential_store import credential_store
from logkeep.identity.credentials import Kind, Scope, token_place
from logkeep.logs.store import log_store
from logkeep.restores.plan import RestoreReport, RestoreRequest
from tests.calls import BACKUP, CLUSTER, PROJECT, Answer, Context, append, call, credential, event, read, send
from tests.orders import ordered

pytestmark = pytest.mark.usefixtures("aws")
LOG = f"cluster/{CLUSTER}/node-1/instance"
TEXT = b"2026-11-22 05:00:00 INFO started\n" * 100
PUBLISHED = {
    "id", "clusterId", "createAt", "logPath", "status", "finishedAt", "jobTypes", "failedMsg", "jobId",
}  # fmt: skip


@pytest.fixture
def store(aws) -> BackupStore:
    append(LOG, TEXT)
    store = backup_store(PROJECT, CLUSTER)
    store.enable()
    return store


def back_up(store: BackupStore, id: str, created_at: int) -> BackupRecord:
    Leases(store).start(store.cluster(log_store(PROJECT)).new_record(id, created_at, "Manual"), now_ms())
    backup_runs(PROJECT, CLUSTER).resume(900)
    return store.record(id)


@pytest.fixture
def backup(store: BackupStore) -> BackupRecord:
    return back_up(store, BACKUP, 1000)


def asked(name: str, body: Any = None, record: str = BACKUP, **headers: str) -> Answer:
    request = event(name, headers=headers)
    request["rawPath"] = request["rawPath"].replace(BACKUP, record)
    request["pathParameters"] = {**request["pathParameters"], "record_id": record}
    if body is not None:
        request["body"] = body if isinstance(body, str) else json.dumps(body)
        request["headers"] = {**request["headers"], "content-length": str(len(request["body"].encode()))}
    return call(name, request)


def run_what_was_ordered() -> int:
    """Call the worker until nothing is ordered any more; how often."""
    handler, calls = importlib.import_module("functions.run_restore.app").lambda_handler, 0
    while orders := ordered("RunRestore"):
        for order in orders:
            handler(order, Context(900))
        calls += len(orders)
    return calls


# Shown


def test_a_record_is_shown_with_its_published_fields_its_archive_and_its_chain(store, backup) -> None:
    append(LOG, b"more\n", offset=None)
    back_up(store, "second", 2000)
    shown = asked("show_backup_record", record="second").json
    assert {name: shown[name] for name in PUBLISHED} == send("list_backup_records").json["clusterLogRecord"][0]
    record = store.record("second")
    assert shown["archive"] == {
        "key": record.key,
        "size": record.size,
        "crc32": f"{record.crc32:08x}",
        "logs": 1,
        "raw_size": 5,
        "base": BACKUP,
        "chain": ["second", BACKUP],
    }
    assert shown["verification"] is shown["restore"] is None


def test_a_record_without_an_archive_is_shown_too(store) -> None:
    Leases(store).start(store.cluster(log_store(PROJECT)).new_record(BACKUP, 1000, "Manual"), now_ms())
    shown = asked("show_backup_record").json
    assert (shown["status"], shown["archive"]) == ("RUNNING", None)


@pytest.mark.parametrize("name", ["show_backup_record", "download_backup", "verify_backup", "restore_backup"])
@pytest.mark.parametrize("record", ["unknown", "00000000-0000-4000-8000-000000000000", "..", "a b", "x" * 129])
def test_an_unknown_record_is_a_404(name, record, backup) -> None:
    answer = asked(name, record=record)
    assert (answer.status, answer.json["error_code"]) == (404, "CSS.0016")


@pytest.mark.parametrize("name", ["download_backup", "verify_backup", "restore_backup"])
def test_a_backup_without_an_archive_is_a_409_that_says_why(name, store) -> None:
    record = store.cluster(log_store(PROJECT)).new_record(BACKUP, 1000, "Manual")
    store.put(record.failed("no space", 1))
    answer = asked(name)
    assert (answer.status, answer.json["error_code"]) == (409, "CSS.0031")
    assert "FAIL" in answer.json["error_msg"]


# Handed out


def test_a_small_archive_is_in_the_answer(backup) -> None:
    answer = asked("download_backup")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
    assert f'filename="{BACKUP}.zip"' in answer.headers["Content-Disposition"]
    assert "Content-Encoding" not in answer.headers
    assert (len(answer.sent), zlib.crc32(answer.sent)) == (backup.size, backup.crc32)
    assert zipfile.ZipFile(BytesIO(answer.sent)).testzip() is None


def test_whoever_has_an_archive_already_is_told_so(backup) -> None:
    tag = asked("download_backup").headers["ETag"]
    again = asked("download_backup", **{"if-none-match": tag})
    assert (again.status, again.sent, again.headers["ETag"]) == (304, b"", tag)
    assert asked("download_backup", **{"if-none-match": '"another"'}).status == 200


def test_the_link_tells_size_and_checksum_of_the_record(backup) -> None:
    told = asked("download_backup", accept="application/json").json
    assert (told["size"], told["raw_size"], told["crc32"]) == (backup.size, backup.size, f"{backup.crc32:08x}")
    assert (told["filename"], told["content_encoding"]) == (f"{BACKUP}.zip", None)


def test_an_archive_that_is_gone_is_a_409_that_names_it(backup, objects) -> None:
    objects.s3.delete_object(Bucket=objects.bucket, Key=backup.key)
    answer = asked("download_backup")
    assert answer.status == 409
    assert f"the archive of the backup {BACKUP} is missing" in answer.json["error_msg"]


# Verified


def test_what_was_verified_is_answered_and_shown(backup) -> None:
    for body in (None, {}, {"mode": "sample"}, {"mode": "attributes"}, ""):
        answer = asked("verify_backup", body)
        assert (answer.status, answer.json["state"], answer.json["failures"]) == (200, "passed", [])
        assert answer.json["done"] == answer.json["total"] > 0
        assert asked("show_backup_record").json["verification"] == answer.json
    assert answer.json["bytes"] > 0


@pytest.mark.no_faults("counts orders; one whose answer is lost is sent twice")
def test_in_full_it_is_done_by_a_worker(backup) -> None:
    answer = asked("verify_backup", {"mode": "full"})
    assert (answer.status, answer.json["state"], answer.json["total"]) == (202, "running", backup.size)
    assert asked("verify_backup", {"mode": "full"}).json == answer.json
    assert asked("verify_backup").status == 409
    assert run_what_was_ordered() == 2
    shown = asked("show_backup_record").json["verification"]
    assert (shown["state"], shown["done"], shown["bytes"]) == ("passed", backup.size, backup.size)
    assert asked("verify_backup").status == 200


def test_an_unknown_mode_is_named(backup) -> None:
    answer = send("verify_backup-unknown_mode")
    assert (answer.status, answer.json["error_code"]) == (400, "CSS.0001")
    assert " mode: " in answer.json["error_msg"]


# Restored


@pytest.mark.no_faults("counts orders; one whose answer is lost is sent twice")
def test_a_restore_is_ordered_done_and_shown(backup) -> None:
    answer = send("restore_backup")
    assert (answer.status, answer.json["state"], answer.json["prefix"]) == (202, "running", "restored-")
    assert asked("show_backup_record").json["restore"] == answer.json
    assert run_what_was_ordered() == 1
    shown = asked("show_backup_record").json["restore"]
    assert (shown["state"], shown["done"], shown["counts"], shown["bytes"]) == ("done", 1, {"new": 1}, len(TEXT))
    assert read(LOG.replace(CLUSTER, f"restored-{CLUSTER}")).body == TEXT
    assert send("restore_backup").status == 202, "again, which changes nothing"
    run_what_was_ordered()
    assert asked("show_backup_record").json["restore"]["counts"] == {"held": 1}


def test_a_dry_run_answers_the_plan_and_orders_nothing(backup) -> None:
    answer = send("restore_backup-dry_run")
    assert (answer.status, answer.json["state"], answer.json["counts"]) == (200, "planned", {"held": 1})
    plan = asked("restore_backup", {"dry_run": True, "prefix": "copy-"}).json
    assert (plan["counts"], plan["bytes"]) == ({"new": 1}, len(TEXT))
    assert run_what_was_ordered() == 0
    assert asked("show_backup_record").json["restore"] is None


def test_what_a_request_has_no_time_to_look_at_is_a_413_that_says_what_to_do(backup, monkeypatch) -> None:
    monkeypatch.setattr("logkeep.restores.archive_store.FILES_MAX", 0)
    assert "ask for mode full" in asked("verify_backup").json["error_msg"]
    assert asked("restore_backup", {"dry_run": True}).status == 413
    assert asked("verify_backup", {"mode": "full"}).status == 202
    assert asked("restore_backup").status == 202


def test_while_one_restore_runs_another_prefix_is_a_409(backup) -> None:
    first = asked("restore_backup", {"prefix": "a"})
    assert asked("restore_backup", {"prefix": "a"}).json == first.json
    assert asked("restore_backup", {"prefix": "b"}).status == 409
    assert asked("restore_backup", {"prefix": "b", "dry_run": True}).status == 200


def test_a_restore_that_nobody_goes_on_with_is_shown_as_failed(store, backup) -> None:
    begun = now_ms() - STALLED_AFTER - 2000
    old = RestoreReport.begin("lost", RestoreRequest(), begun).model_copy(update={"updated_at": begun + 1000})
    store.amend(backup, {"restore": old.model_dump()})
    shown = asked("show_backup_record").json["restore"]
    assert (shown["state"], shown["finished_at"]) == ("failed", old.updated_at)
    assert asked("restore_backup").status == 202


@pytest.mark.parametrize(
    ("body", "named"),
    [({"prefix": "../x"}, "prefix"), ({"prefix": "a/b"}, "prefix"), ({"prefix": "x" * 65}, "prefix"),
     ({"prefix": 1}, "prefix"), ({"dry_run": "yes"}, "dry_run"), ({"dryRun": True}, "dryRun"),
     ({"prefix": ".."}, "prefix"), ("[]", "request"), ("{", "request"), ('{"prefix": "\\ud800"}', "request")],
)  # fmt: skip
def test_a_bad_field_is_named_and_nothing_is_ordered(body, named, backup) -> None:
    answer = asked("restore_backup", body)
    assert (answer.status, answer.json["error_code"]) == (400, "CSS.0001")
    assert f" {named}: " in answer.json["error_msg"]
    assert run_what_was_ordered() == 0


@pytest.mark.parametrize("scopes", [{Scope.BACKUPS_MANAGE}, {Scope.LOGS_WRITE}, {Scope.LOGS_READ}])
def test_who_restores_needs_to_manage_backups_and_to_write_logs(scopes, backup) -> None:
    credential_store().put(token_place(Kind.TOKEN, "narrow"), credential(scopes=frozenset(scopes)))
    for name in ("restore_backup", "restore_backup-dry_run"):
        assert send(name, headers={"x-auth-token": "narrow"}).status == 403
    both = frozenset({Scope.BACKUPS_MANAGE, Scope.LOGS_WRITE})
    credential_store().put(token_place(Kind.TOKEN, "wide"), credential(scopes=both))
    assert send("restore_backup", headers={"x-auth-token": "wide"}).status == 202


@pytest.mark.parametrize("name", ["run_restore", "run_restore-verify"])
def test_an_order_whose_place_another_has_taken_is_left(name, backup) -> None:
    importlib.import_module("functions.run_restore.app").lambda_handler(event(name), Context(900))
    assert backup_store(PROJECT, CLUSTER).record(BACKUP) == backup


def test_the_event_files_of_unknown_records_are_404s(backup) -> None:
    assert send("show_backup_record-unknown_record").status == 404
    assert send("download_backup-unknown_record").status == 404
