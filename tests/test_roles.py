"""Every function works with its own role: the emulator enforces the policies of template.yaml."""

import hashlib
import importlib
import io
import json
import os
import random
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlencode

import boto3
import botocore.loaders
import botocore.session
import httpx
import pytest
from botocore.exceptions import ClientError

from local import ACCOUNT
from local.emulator import KEY, Emulator, physical_name, values_of
from local.sample import USER, write_credentials
from local.template import Template
from logkeep.apis.logs.worker import tend_logs
from logkeep.aws import clients
from logkeep.aws.download_role import download_signer
from logkeep.aws.dynamo import transact
from logkeep.aws.multipart import Unfinished
from logkeep.backups.due_store import due_shard
from logkeep.backups.lease_store import Leases
from logkeep.backups.records import Cluster
from logkeep.backups.runs import backup_runs
from logkeep.backups.settings import SettingsChange
from logkeep.backups.store import backup_store
from logkeep.backups.work_store import Kind
from logkeep.backups.worker import start_next
from logkeep.clock import DAY, now_ms
from logkeep.downloads.render_store import Renders
from logkeep.errors import Busy, Corrupt, NotFound
from logkeep.identity.credential_store import credential_store
from logkeep.identity.credentials import NEEDED, Access, user_id
from logkeep.identity.limiter_store import FREE, Limiter, project_limiter
from logkeep.identity.token_key_store import token_keys
from logkeep.identity.tokens import claims_for, issue
from logkeep.logid import LogId
from logkeep.logs.deletion_store import deleting
from logkeep.logs.many_store import orders_of
from logkeep.logs.pack_store import packer
from logkeep.logs.packs import DUE_RAW
from logkeep.logs.registration import Registration
from logkeep.logs.store import log_store
from logkeep.restores.plan import RestoreRequest
from logkeep.restores.store import restores
from logkeep.restores.verification_store import verifications
from tests.calls import (
    BACKUP,
    BUILD,
    CLUSTER,
    EVENTS,
    EXECUTION,
    PROJECT,
    RECORD,
    SERVICE,
    SUB_JOBS,
    TASK,
    Answer,
    Context,
    HurriedClock,
    append,
    call,
    event,
    forget_aws,
    put_events,
    seal,
    send,
    streamed,
)  # fmt: skip
from tests.orders import ordered, taking_orders
from tests.remembered import remembering
from tests.signing import send_signed

TEMPLATE = Template.load()
ROUTED = [name for name, each in TEMPLATE.functions.items() if not each.is_worker and not each.schedules]
LARGE = os.urandom(3 << 20).hex().encode()
ARCHIVES = {"RunBackup", "RunRestore", "DownloadBackup", "VerifyBackup", "RestoreBackup"}
_DENIED = r"AccessDenied|not authorized"
STAGE = LogId.parse(f"build/{RECORD}/stage1")
_MODELS = botocore.loaders.create_loader()  # of the services, which take a session longer to read than most tests run
_SESSIONS: dict[str, str] = {}  # the roles of the session tokens that tests got
RUN_ALONE = "cluster-of-one-test"  # of which nothing but the test of its runs makes backups


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An emulator that enforces IAM, a role per function, and data that all of them read."""
    with (
        Emulator(tmp_path_factory.mktemp("iam"), enforce_iam=True) as emulator,
        pytest.MonkeyPatch.context() as patch,
        remembering(),
        ExitStack() as patched,
    ):
        functions = patched.enter_context(taking_orders(emulator, lambda name: _may_call(emulator, name)))
        environment = emulator.create(TEMPLATE) | {"AWS_ENDPOINT_URL_LAMBDA": functions}
        for name, value in environment.items():
            patch.setenv(name, value)
        forget_aws()
        write_credentials(values_of(TEMPLATE, emulator.endpoint)["CredentialsKey"])
        log_store(PROJECT).append(STAGE, lambda: iter((LARGE,)), 0, Registration(*BUILD.values()))
        for container in ("secretflow", "sidecar"):
            append(f"task/{TASK}/0/{container}/0", LARGE[:100_000])
        for sub_job in SUB_JOBS:
            append(f"check/{sub_job}", LARGE[:100_000], registered=EXECUTION)
        for name in ("kept", "old"):
            append(f"app/sample/{name}", b"2026-01-01 10:00:00 INFO a line\n")
        now = int(time.time() * 1000)
        put_events([{"occur_time": now, "event_type": "normal", "event_info": "x"}], service_name="s")
        for cluster in (CLUSTER, RUN_ALONE):
            append(f"cluster/{cluster}/node-1/instance", LARGE[:100_000])
        _back_up()
        settings = SettingsChange(auto_enable=True, period="00:00 GMT+00:00", services=[SERVICE])
        backup_store(PROJECT, RUN_ALONE).open(settings, now_ms())
        yield environment
    forget_aws()


def _may_call(emulator: Emulator, function: str) -> bool:
    """Whether the role that we have may call a function. Without one, as in what is made for all tests, we may."""
    if not (session := os.environ.get("AWS_SESSION_TOKEN")):
        return True
    arn = values_of(TEMPLATE, emulator.endpoint)[f"{function}.Arn"]
    decided = emulator.client("iam").simulate_principal_policy(
        PolicySourceArn=_SESSIONS[session], ActionNames=["lambda:InvokeFunction"], ResourceArns=[arn]
    )
    return decided["EvaluationResults"][0]["EvalDecision"] == "allowed"


def _back_up() -> None:
    """Make the backup that the events name."""
    store = backup_store(PROJECT, CLUSTER)
    store.enable()
    Leases(store).start(store.cluster(log_store(PROJECT)).new_record(BACKUP, 500, "Manual"), 0)
    backup_runs(PROJECT, CLUSTER).resume(900)


@pytest.fixture(scope="module")
def token(guarded: dict[str, str]) -> str:
    """Issued by one who may do everything."""
    user = next(credential_store().user(user_id(USER)))
    return issue(claims_for(user[1], user[0], time.time()), token_keys().current())


def as_new_caller() -> None:
    """Let the code under test see new credentials: boto3's session keeps the first that it saw."""
    session = botocore.session.get_session()
    session.register_component("data_loader", _MODELS)
    boto3.setup_default_session(botocore_session=session)
    forget_aws()


@pytest.fixture
def role(request: pytest.FixtureRequest, guarded: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Become a function: what is called from here on is called with its role."""
    name: str = request.param
    become(name, guarded, monkeypatch)
    yield name
    as_new_caller()


@contextmanager
def ourselves() -> Iterator[None]:
    """Be nobody's role for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
        patch.setenv("AWS_SESSION_TOKEN", "")
        as_new_caller()
        yield
    as_new_caller()


def become(name: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    as_new_caller()
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    arn = f"arn:aws:iam::{ACCOUNT}:role/{physical_name(f'{name}Role')}"
    keys = clients.sts().assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", keys["SessionToken"])
    _SESSIONS[keys["SessionToken"]] = arn
    as_new_caller()


def a_failed_backup(cluster: str, id: str, *, alert: bool = False) -> None:
    record = Cluster(cluster_id=cluster).new_record(id, 1000, "Manual").failed("for the test", 2000)
    backup_store(PROJECT, cluster).put(record, alert=alert)


def folder_of(name: str) -> str:
    return TEMPLATE.functions[name].folder


def answered(name: str, asked: dict[str, Any]) -> Answer:
    """By the handler that the function has."""
    return (streamed if TEMPLATE.functions[name].streams else call)(folder_of(name), asked)


def as_role(*names: str) -> Any:
    return pytest.mark.parametrize("role", names or list(TEMPLATE.functions), indirect=True)


@as_role(*ROUTED)
def test_its_own_event_succeeds(role: str) -> None:
    folder = TEMPLATE.functions[role].folder
    if role == "SealLog":
        assert seal(f"build/{RECORD}/stage9", bytes=5).json["state"] == "truncated"
    else:
        answer = answered(role, event(folder))
        assert answer.status in {200, 202, 303, 201, 404 if role == "RejectUnknown" else 200}
        if folder == "query_task_log":
            assert answer.json["status"]["message"] == "success", "its failures have the status 200, too"


PROVED = [
    name
    for name in ROUTED
    # Kuscia's clients have a proof of their own.
    if NEEDED[folder_of(name)] is not Access.EVERYONE and folder_of(name) != "query_task_log"
]


@as_role(*PROVED)
def test_a_signature_and_an_issued_token_work_under_its_role(role: str, token: str) -> None:
    """Each needs more than a token that is kept: the secret's key, or the keys of tokens."""
    folder = TEMPLATE.functions[role].folder
    for asked in (send_signed(folder), event(folder, headers={"x-auth-token": token})):
        assert answered(role, asked).status not in {401, 403, 500}


@as_role("QueryTaskLog", "QueryTaskLogStream")
def test_kuscias_route_takes_a_kept_token_under_its_role_and_cannot_take_an_issued_one(role: str, token: str) -> None:
    for bearer, status in (("logkeep-demo-token", 200), (token, 401)):
        headers = {"token": None, "authorization": f"Bearer {bearer}"}
        assert answered(role, event("query_task_log", headers=headers)).status == status


@as_role(*PROVED, "QueryTaskLog", "QueryTaskLogStream")
def test_its_requests_are_counted(role: str) -> None:
    """If they cannot be, it answers all the same."""
    for _ in range(FREE.burst + 1):
        project_limiter().take(role)
    root = boto3.client("dynamodb", aws_access_key_id=KEY, aws_secret_access_key=KEY, aws_session_token=None)
    assert "Item" in root.get_item(TableName=os.environ["LIMITS_TABLE"], Key={"pk": {"S": f"project/{role}"}})


@as_role("ReadLog", "ReadLogStream", "DownloadBuildLog", "DownloadBuildLogStream")
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_render_is_built_and_linked(role: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if encoding == "gzip":
        monkeypatch.setattr(Renders, "find", lambda *_: None)  # by each role, though another has built it
    query = "" if folder_of(role) == "read_log" else "task_name=stage1"
    headers = {"accept": "application/json", "accept-encoding": encoding}
    answer = answered(role, event(folder_of(role), rawQueryString=query, headers=headers))
    assert (answer.status, answer.json["raw_size"]) == (200, len(LARGE))


@as_role("ReadLog")
def test_a_link_opens_renders_and_its_role_nothing_else(role: str) -> None:
    link = send("read_log", headers={"accept": "application/json"}).json["url"]
    assert httpx.get(link, trust_env=False).status_code == 200
    for elsewhere in ("logs/x", f"backups/{PROJECT}/x"):
        place = {"Bucket": os.environ["BUCKET"], "Key": elsewhere}
        stolen = download_signer("renders/x").generate_presigned_url("get_object", Params=place)
        assert httpx.get(stolen, trust_env=False).status_code == 403
    with pytest.raises(ClientError, match=_DENIED):
        download_signer("backups/x")


@as_role("DownloadCheckLogs", "DownloadCheckLogsStream")
def test_a_zip_is_built_and_linked(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Renders, "find", lambda *_: None)
    asked = event("download_check_logs", headers={"accept": "application/json"})
    assert answered(role, asked).status == 200


@as_role("DownloadBuildLog", "PageBuildLog", "ShowCheckLog")
def test_its_other_routes_succeed_too(role: str) -> None:
    folder = TEMPLATE.functions[role].folder
    names = ["full", "full_v4", "full_v3", "stage", "v3", "console"]
    others = [f"{folder}-{name}" for name in names if (EVENTS / f"{folder}-{name}.json").exists()]
    assert others
    for name in others:
        assert send(name, headers={"accept": "application/json"}).status == 200


@as_role("ListLogs")
def test_the_logs_of_a_day_are_listed(role: str) -> None:
    assert send("list_logs-of_a_day").status == 200


@as_role("SearchLogs")
def test_a_log_is_searched(role: str) -> None:
    """Its own event is of a node that has none here."""
    body = json.dumps({"instance_name": "node-1", "log_type": "instance"})
    answer = send("search_logs", body=body)
    assert (answer.status, len(answer.json["logList"])) == (200, 1)


@as_role(*(f"{name}{how}" for name in ("ReadLog", "QueryTaskLog") for how in ("", "Stream")))
def test_a_follower_leaves_a_note_on_the_log(role: str, monkeypatch) -> None:
    monkeypatch.setattr("logkeep.reading.http.CLOCK", HurriedClock())
    folder = folder_of(role)
    followed = STAGE if folder == "read_log" else LogId.parse(f"task/{TASK}/0/secretflow/0")
    store = log_store(PROJECT)
    monkeypatch.setattr("logkeep.reading.http.now_ms", lambda: now_ms() + (store.head(followed).followed_until or 0))
    noted = store.head(followed).followed_until or 0
    assert answered(role, event(f"{folder}-follow")).status == 200
    assert (store.head(followed).followed_until or 0) > noted


@as_role("HoldLog")
def test_a_log_is_let_go(role: str) -> None:
    assert send("hold_log").status == 200
    assert send("hold_log-let_go").status == 200


@as_role("DeleteLog")
def test_a_log_is_deleted_and_a_repeated_request_is_answered_the_same(role: str) -> None:
    with ourselves():
        append("app/sample/old", b"x\n")
    deleted = send("delete_log").json
    assert deleted["bytes"] == 2
    assert send("delete_log").json == deleted


@as_role("OrderDeletions", "DeleteLogs")
def test_many_logs_are_counted_and_deleted_by_order(role: str) -> None:
    handler = importlib.import_module("functions.delete_logs.app").lambda_handler
    with ourselves():
        append(f"app/many/{role}", b"x\n")
        orders = orders_of(PROJECT)
        token = orders.advance(orders.plan("a", f"app/many/{role}", None, ()), time.monotonic() + 60).token
        ordered("DeleteLogs")
    if role == "OrderDeletions":
        with ourselves():
            orders._items.update(f"order/{token}", {"at": 1})
        assert send("order_deletions", body=json.dumps({"prefix": f"app/many/{role}"})).json["logs"] == 1
        with pytest.raises(NotFound):
            orders.find(token)
        token = send("order_deletions", body=json.dumps({"prefix": f"app/many/{role}"})).json["token"]
        assert send("order_deletions", body=json.dumps({"token": token})).status == 202
    else:
        with ourselves():
            orders.begin(token)
            append("app/many/other", b"x\n")
        handler({"project": PROJECT, "token": token}, Context(0))
        handler({"project": PROJECT, "token": token}, Context(900))
        handler(event("delete_logs-unknown_order"), Context(900))
        assert orders.find(token).deleted == 1
    with ourselves():
        assert {each["token"] for each in ordered("DeleteLogs")} <= {token}


@as_role("ListDeletions")
def test_deletions_are_listed_with_the_backups_that_hold_them(role: str) -> None:
    log_id = f"cluster/{CLUSTER}/node-9/instance"
    with ourselves():
        append(log_id, b"x\n")
        deleting(PROJECT).delete(LogId.parse(log_id), "a")
    assert send("list_deletions-of_a_log").status == 200
    query = urlencode({"log_id": log_id})
    (told,) = send("list_deletions", rawQueryString=query).json["deletions"]
    assert (told["log_id"], told["held_by"]["table_until"]) == (log_id, None)


@as_role("AppendLog")
def test_who_continues_a_log_that_was_deleted_is_told(role: str) -> None:
    with ourselves():
        append("app/gone", b"x\n")
        deleting(PROJECT).delete(LogId.parse("app/gone"), "a")
    assert append("app/gone", b"y\n", 2).status == 410


@as_role("AppendLog")
def test_a_log_is_registered(role: str) -> None:
    assert append(f"build/{RECORD}/stage8", b"x\n", registered=BUILD).status == 202
    assert append(f"check/{RECORD}", b"", registered=EXECUTION).status == 202
    assert append(f"check/{RECORD}", b"", registered=EXECUTION).status == 200


@as_role(*(f"{name}{how}" for name in ("ReadLog", "DownloadBuildLog", "DownloadCheckLogs") for how in ("", "Stream")))
def test_what_takes_too_long_is_ordered(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Renders, "find", lambda *_: None)
    monkeypatch.setattr(Renders, "is_ordered", lambda *_: False)
    monkeypatch.setattr(Limiter, "take", lambda *_: None)  # of renders that are ordered
    monkeypatch.setattr(Renders, "build", lambda *_: Unfinished(0))
    assert answered(role, event(folder_of(role), headers={"accept": "application/json"})).status == 202


@as_role("BuildRender")
def test_an_ordered_file_is_built(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = importlib.import_module("functions.build_render.app").lambda_handler
    with monkeypatch.context() as patch:
        patch.setattr(Renders, "find", lambda *_: None)
        with pytest.raises(Busy):
            handler(event("build_render"), Context(0))
        handler(event("build_render"), Context(900))
        patch.setattr(Renders, "build", lambda *_: Unfinished(1))
        handler(event("build_render"), Context(900))
    handler(event("build_render"), Context(900))
    handler(event("build_render-unknown_log"), Context(900))


@as_role("OpenLogBackup", "ChangeLogPolicy")
def test_its_other_ways_succeed_too(role: str) -> None:
    folder = folder_of(role)
    names = [path.stem for path in EVENTS.glob(f"{folder}-*.json") if path.stem.endswith(("-real_time", "-close"))]
    for name in sorted(names, reverse=True):  # closed at last
        assert send(name).status == 200
    assert send("open_log_backup" if role == "OpenLogBackup" else folder).status == 200


@as_role("HoldBackup")
def test_a_backup_is_let_go(role: str) -> None:
    assert send("hold_backup-let_go").status == 200


@as_role("RunBackup")
def test_old_backups_are_deleted(role: str) -> None:
    a_failed_backup(CLUSTER, "old")
    store = backup_store(PROJECT, CLUSTER)
    assert store.record("old")
    importlib.import_module("functions.run_backup.app").lambda_handler(event("run_backup-expire"), Context(900))
    assert "old" not in {each.id for each in store.records()}


@as_role("RunBackup")
def test_a_backup_is_run_and_one_that_fails_is_removed(role: str) -> None:
    handler = importlib.import_module("functions.run_backup.app").lambda_handler
    store = backup_store(PROJECT, RUN_ALONE)

    def order(name: str) -> dict[str, Any]:
        return event(name) | {"cluster": RUN_ALONE}

    def corrupt(*_: object) -> None:
        raise Corrupt("the archive")

    for hour, prefix in enumerate(("aa", "zz")):
        record = store.cluster(log_store(PROJECT)).new_record(f"{prefix}-by-its-role", 1000 + hour, "Manual")
        Leases(store).start(record, 0)
        with pytest.MonkeyPatch.context() as patch:
            if hour:
                patch.setattr("logkeep.backups.runs.BackupRuns._verify", corrupt)
            handler(order("run_backup"), Context(900))
        assert store.items.get("active") is None, "it ended"
    assert list(store.items.newest("alert/")) == [], "people were told"
    root = boto3.client("s3", aws_access_key_id=KEY, aws_secret_access_key=KEY, aws_session_token=None)
    kept = root.list_objects_v2(Bucket=os.environ["BUCKET"], Prefix="backups/")["Contents"]
    names = {each["Key"].rpartition("/")[2] for each in kept}
    assert "aa-by-its-role.zip" in names
    assert "zz-by-its-role.zip" not in names
    (key,) = [each["Key"] for each in kept if each["Key"].endswith("aa-by-its-role.zip")]
    made = zipfile.ZipFile(io.BytesIO(root.get_object(Bucket=os.environ["BUCKET"], Key=key)["Body"].read()))
    assert json.loads(made.read("manifest.json"))["services"][0]["events"] > 0
    assert (
        root.list_objects_v2(Bucket=os.environ["BUCKET"], Prefix=f"staging/{PROJECT}/{RUN_ALONE}/aa")["KeyCount"] == 0
    )


@as_role("DownloadBackup")
def test_an_archive_is_linked(role: str) -> None:
    link = send("download_backup", headers={"accept": "application/json"}).json["url"]
    assert httpx.get(link, trust_env=False).content == send("download_backup").sent


@as_role("VerifyBackup")
def test_an_archive_is_verified_in_full_by_order(role: str) -> None:
    assert send("verify_backup").json["state"] == "passed"
    assert send("verify_backup-full").status == 202


@as_role("RestoreBackup")
def test_a_restore_is_planned(role: str) -> None:
    assert send("restore_backup-dry_run").json["counts"] == {"held": 1}


@as_role("RunRestore")
def test_what_was_ordered_of_an_archive_is_done(role: str) -> None:
    handler = importlib.import_module("functions.run_restore.app").lambda_handler
    with ourselves():
        restores(PROJECT, CLUSTER).begin(BACKUP, RestoreRequest(prefix="restored-"), now_ms())
        verifications(PROJECT, CLUSTER).begin(BACKUP, now_ms())
    for name in ("run_restore", "run_restore-verify"):
        with pytest.raises(Busy):
            handler(event(name), Context(0))
        handler(event(name), Context(900))
    record = backup_store(PROJECT, CLUSTER).record(BACKUP)
    assert record.restore
    assert (record.restore["state"], record.restore["counts"]) == ("done", {"new": 1})
    assert record.verification
    assert record.verification["state"] == "passed"


@as_role("RunBackup", "RunRestore")
def test_a_worker_orders_what_waits(role: str) -> None:
    """If it cannot, the schedule does, a minute later."""
    with ourselves():
        store = backup_store(PROJECT, "waiting")
        ordered(role)
        Leases(store).start(Cluster(cluster_id="waiting").new_record("w", 1000, "Manual"), 0)
        waiting = store.job("restore", "w").put_of(Kind.JOBS, "w", 0, ordered=False)
        transact(clients.dynamodb(), [{"Put": waiting}])
    start_next(Kind.BACKUPS if role == "RunBackup" else Kind.JOBS)
    with ourselves():
        assert [each for each in ordered(role) if each["cluster"] == "waiting"]


OF_CLUSTERS = ["ChangeLogPolicy", "ChangeLogSettings", "CheckLogConnectivity", "CollectLogs"]
OF_CLUSTERS += ["ListBackupRecords", "OpenLogBackup", "ShowLogSettings"]


@as_role(*OF_CLUSTERS)
def test_a_cluster_that_has_nothing_but_logs_is_known(role: str) -> None:
    cluster = f"of-{role}".ljust(len(CLUSTER), "0")  # the length of a body is checked
    with ourselves():
        append(f"cluster/{cluster}/node-1/instance", b"a line\n")
    name = "open_log_backup-close" if role == "OpenLogBackup" else folder_of(role)  # to open, it need not be known
    asked = json.loads(json.dumps(event(name)).replace(CLUSTER, cluster))
    assert answered(role, asked).status in {200, 412, 415}, "backups of the cluster were never switched on"


@as_role("ScheduleBackups")
def test_what_is_due_is_started(role: str) -> None:
    handler = importlib.import_module("functions.schedule_backups.app").lambda_handler
    store = backup_store(PROJECT, "scheduled")
    due = {"due_shard": due_shard(store.items), "due_at": 1}
    store.items.update("policy", {**due, "period": "00:00 GMT+08:00"})
    store.items.update("watch", due)
    Leases(store).start(Cluster(cluster_id="scheduled").new_record("r", 1000, "Manual"), 0)
    a_failed_backup("scheduled", "f", alert=True)
    for name in ("alert/f", "sweep"):
        store.items.update(name, {"due_at": 1})
    store.begin_job(store.record("r"), "restore", {"run": "x"}, 0, ordered=False)
    store.items.update("active", {"due_at": 1, "lease_until": 1})
    handler(event("schedule_backups"), Context(300))
    for name in ("active", "restore/r"):
        assert (store.items.get(name) or {})["due_at"] > time.time() * 1000, "a worker was ordered"
    found = store.due_run()
    assert found
    assert found[0] > time.time() * 1000
    assert (store.due_at("watch") or 0) > time.time() * 1000
    assert (store.due_at("sweep") or 0) > time.time() * 1000
    assert store.items.get("alert/f") is None, "people were told"


@as_role("AppendLog")
def test_a_large_append_its_replay_and_its_lost_race(role: str) -> None:
    log_id = f"build/{RECORD}/stage7"
    assert append(log_id, LARGE[:200_000]).status == 202
    assert append(log_id, LARGE[:200_000]).status == 200
    store = log_store(PROJECT)
    before = store.head(LogId.parse(log_id))
    _, packed = before.extended([LARGE[:100_000]], now_ms())
    append(log_id, LARGE[:100_000], offset=200_000)
    root = boto3.client("s3", aws_access_key_id=KEY, aws_secret_access_key=KEY, aws_session_token=None)
    stored = root.list_objects_v2(Bucket=os.environ["BUCKET"], Prefix="logs/")["KeyCount"]
    assert not store._commit(before, before, packed)
    assert root.list_objects_v2(Bucket=os.environ["BUCKET"], Prefix="logs/")["KeyCount"] == stored


@as_role()
def test_it_can_do_nothing_that_it_need_not(role: str) -> None:
    """The emulator refuses what the template does not grant: without this, the other tests here show nothing."""
    if role not in {"TendLogs", "DeleteLog", "DeleteLogs", "OrderDeletions"}:
        with pytest.raises(ClientError, match=_DENIED):
            clients.dynamodb().delete_item(TableName=os.environ["LOGS_TABLE"], Key={"pk": {"S": "x"}, "sk": {"S": "y"}})
    with pytest.raises(ClientError, match=_DENIED):
        clients.s3().get_object(Bucket=os.environ["BUCKET"], Key="backups/x" if role not in ARCHIVES else "renders/x")
    if role not in {"PutServiceEvents"}:
        with pytest.raises(ClientError, match=_DENIED):
            clients.dynamodb().put_item(TableName=os.environ["EVENTS_TABLE"], Item={"pk": {"S": "x"}, "sk": {"S": "y"}})


def filled(log_id: str, count: int = 8) -> None:
    """A log of so many appends, the first of which lies in an object."""
    append(log_id, random.Random(1).randbytes(20_000).hex().encode() + b"\n")
    for number in range(1, count):
        append(log_id, f"{number}\n".encode(), None)


@as_role("AppendLog", "SealLog")
def test_a_log_that_is_due_is_ordered_to_be_packed(role: str) -> None:
    log_id = f"app/due-of-{role}"
    with ourselves():
        filled(log_id)
        if role == "AppendLog":
            log_store(PROJECT).append(LogId.parse(log_id), (b"x" * (DUE_RAW - 50_000),).__iter__, None)
        ordered("PackLogs")
    if role == "SealLog":
        assert seal(log_id).status == 200
    else:
        assert append(log_id, b"x" * 50_000, None).status == 202
    with ourselves():
        assert [each["log_id"] for each in ordered("PackLogs")] == [log_id]


@as_role("RunRestore")
def test_a_restored_log_is_ordered_to_be_packed(role: str) -> None:
    log_store(PROJECT).append(LogId.parse("app/restored"), (b"x" * DUE_RAW,).__iter__, 0)
    with ourselves():
        assert [each["log_id"] for each in ordered("PackLogs")] == ["app/restored"]


@as_role("PackLogs")
def test_a_log_is_packed_once_and_the_loser_removes_its_pack(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = importlib.import_module("functions.pack_logs.app").lambda_handler
    log_id = "app/packed"
    with ourselves():
        filled(log_id)
    store = log_store(PROJECT)
    before = store.head(LogId.parse(log_id))
    order = {"project": PROJECT, "log_id": log_id, "birth": before.birth}
    handler(order, Context(0))  # one append, and an order for the rest
    handler(order, Context(900))
    assert store.head(LogId.parse(log_id)).mark.raw == before.end
    assert packer(PROJECT).pack(before, time.monotonic() + 60) is None
    with ourselves():
        keys = clients.s3().list_objects_v2(Bucket=os.environ["BUCKET"], Prefix=f"logs/{PROJECT}/{log_id}@")
        assert keys["KeyCount"] == 3, "the append and two packs"
    handler(event("pack_logs-unknown_log"), Context(900))


@as_role("TendLogs")
def test_silent_logs_are_ordered_and_what_packs_replaced_is_removed(role: str) -> None:
    log_id, cluster = "app/tended", "cluster/tended/node-1/instance"
    now = now_ms()
    with ourselves():
        for name in ("deleted", "expiring"):
            append(f"check/{name}", LARGE[:100_000], registered=EXECUTION)
        deletion = deleting(PROJECT).delete(LogId.parse("check/deleted"), "a")
        expired = f"cluster/{CLUSTER}/node-8/instance"
        log_store(PROJECT).append(LogId.parse(expired), (b"x\n",).__iter__, 0, retention=1, received_at=now - 2 * DAY)
        log_store(PROJECT).expiry.set({}, {"check/expiring": 1})
        renders = f"renders/{PROJECT}/of/{hashlib.sha256(b'check/deleted').hexdigest()[:40]}/x"
        clients.s3().put_object(Bucket=os.environ["BUCKET"], Key=renders, Body=b"")
        for each in (log_id, cluster):
            filled(each)
            packer(PROJECT).pack(log_store(PROJECT).head(LogId.parse(each)), time.monotonic() + 60)
        for number in range(8):
            log_store(PROJECT).append(
                LogId.parse("app/silent"), (b"x\n",).__iter__, 2 * number, received_at=now - 2 * DAY
            )
        ordered("PackLogs")
    importlib.import_module("functions.tend_logs.app")
    for days in (0, 2, 3, 6, 91):
        tend_logs(now + days * DAY)
    with ourselves():
        assert log_store(PROJECT).deletions.newest(deletion.log_id) is None, "it was removed and forgotten"
        assert log_store(PROJECT).find(LogId.parse("check/expiring")) is None
        log_store(PROJECT).expiry.set({}, {})
        assert "app/silent" in {each["log_id"] for each in ordered("PackLogs")}
        for each in (log_id, cluster):
            keys = clients.s3().list_objects_v2(Bucket=os.environ["BUCKET"], Prefix=f"logs/{PROJECT}/{each}@")
            assert [item["Key"].endswith(".pack.gz") for item in keys["Contents"]] == [True]
