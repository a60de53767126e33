"""`./logkeep-admin` as its user sees it, beside a running service."""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcss.v1 import CssClient, ListLogsJobRequest

from logkeep.identity.credential_store import CACHED_FOR
from tests.admin.command import Admin
from tests.calls import PROJECT, a_build
from tests.local.service import Service, running

pytestmark = pytest.mark.filterwarnings(
    r"ignore:datetime.datetime.utcnow\(\) is deprecated:DeprecationWarning:huaweicloudsdkcore"
)
MINUTE = 60.0
HURRIED = 1.0
# Run by every Python process of the service; functions are forked off the one that is meant.
_HURRY = f"""
import sys
if "forkserver" in " ".join(sys.orig_argv):
    from logkeep.identity import credential_store
    credential_store.CACHED_FOR = {HURRIED}
"""
READ = "logs:read"


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    """Its functions keep what they know of a credential for HURRIED seconds instead of CACHED_FOR."""
    early = tmp_path_factory.mktemp("early")
    (early / "sitecustomize.py").write_text(_HURRY)
    with running(tmp_path_factory.mktemp("service"), PYTHONPATH=str(early)) as service, Admin(service) as admin:
        yield admin


def works_with_token(service: Service, token: str) -> bool:
    with service.client(**{"X-Auth-Token": token}) as client:
        return client.get(f"/v1/{PROJECT}/logs?limit=1").status_code == httpx.codes.OK


def works_with_kuscia_token(service: Service, token: str) -> bool:
    query = {"task_id": service.demo["task_id"], "container": service.demo["container"]}
    with service.client(Token=token) as client:
        return client.post("/api/v1/log/task/query", json=query).status_code == httpx.codes.OK


def works_signed(service: Service, access_key: str, secret_key: str) -> bool:
    keys = BasicCredentials(access_key, secret_key, PROJECT)
    client = CssClient.new_builder().with_credentials(keys).with_endpoint(service.demo["endpoint"]).build()
    try:
        client.list_logs_job(ListLogsJobRequest(cluster_id=service.demo["cluster_id"], limit=1))
    except ClientRequestException:
        return False
    return True


def login(service: Service, name: str, password: str) -> str | None:
    """The token that a password gives, if it does."""
    user = {"name": name, "password": password, "domain": {"name": "Default"}}
    identity = {"methods": ["password"], "password": {"user": user}}
    with service.client() as client:
        answer = client.post("/v3/auth/tokens", json={"auth": {"identity": identity}})
        return answer.headers.get("X-Subject-Token")


def test_a_rotation_leaves_no_moment_without_access(admin: Admin) -> None:
    """All kinds: made, used, rotated; both work; the old one is disabled or deleted, and stops within a minute."""
    service = admin.service
    proofs: dict[str, Callable[[dict[str, Any]], bool]] = {
        "access-key": lambda made: works_signed(service, made["access_key"], made["secret_key"]),
        "token": lambda made: works_with_token(service, made["token"]),
        "kuscia-token": lambda made: works_with_kuscia_token(service, made["token"]),
        "user": lambda made: works_with_token(service, made["session"]),
    }

    def with_session(made: dict[str, Any]) -> dict[str, Any]:
        return made | {"session": login(service, made["name"], made["password"])} if "password" in made else made

    old = {kind: with_session(admin.told("create", kind, "--project", PROJECT, "--name", "app")) for kind in proofs}
    gone = admin.told("create", "token", "--project", PROJECT, "--name", "gone")
    assert all(made["scopes"] == [READ] and made["expires"] is None for made in old.values())
    new = {kind: with_session(admin.told("rotate", made["id"])) for kind, made in old.items()}
    for made in (old, new):
        assert {kind: proof(made[kind]) for kind, proof in proofs.items()} == dict.fromkeys(proofs, True)
    assert works_with_token(service, gone["token"])

    for each in old.values():
        assert "within a minute" in admin.done("disable", each["id"])
    assert "within a minute" in admin.done("delete", gone["id"], "--yes")
    disabled = time.monotonic()
    assert login(service, "app", old["user"]["password"]) is None  # at once: a login looks
    assert login(service, "app", new["user"]["password"])

    left: dict[str, Callable[[], bool]] = {kind: partial(proof, old[kind]) for kind, proof in proofs.items()}
    left["deleted"] = partial(works_with_token, service, gone["token"])
    while left:
        left = {name: works for name, works in left.items() if works()}
        assert time.monotonic() - disabled < HURRIED + MINUTE - CACHED_FOR, f"{', '.join(left)} did not stop"
        time.sleep(0.5 if left else 0)
    assert CACHED_FOR < MINUTE
    assert {kind: proof(new[kind]) for kind, proof in proofs.items()} == dict.fromkeys(proofs, True)


def test_a_list_shows_what_there_is_and_no_secret(admin: Admin) -> None:
    made = admin.told(
        "create", "token", "--project", "listed", "--scope", "logs:write,events:write", "--expires", "24h"
    )
    (listed,) = admin.told("list", "--project", "listed", "--json")
    assert listed == {name: value for name, value in made.items() if name != "token"}
    assert (listed["scopes"], listed["state"]) == (["events:write", "logs:write"], "active")
    heads, row = admin.done("list", "--project", "listed").splitlines()
    assert heads.split() == ["ID", "KIND", "NAME", "PROJECT", "SCOPES", "CREATED", "EXPIRES", "STATE"]
    assert row.split()[0] == made["id"]
    assert made["token"] not in row


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["disable", "LKNOBODY"], 1, "there is no credential LKNOBODY"),
        (["create", "user", "--project", "p", "--name", "demo"], 1, "rotate it, or choose another name"),
        (["create", "user", "--project", "p"], 2, "a user needs a --name"),
        (["create", "token", "--project", "p/q"], 2, "is not 1 to 128 of"),
        (["create", "token", "--project", "p", "--expires", "soon"], 2, "90d and 24h"),
        (["create", "token", "--project", "p", "--expires", "0d"], 2, "90d and 24h"),
        (["create", "token", "--project", "p", "--name", " ci"], 2, "printable characters"),
        (["create", "token", "--project", "p", "--scope", "logs:remove"], 2, "must be one or more of logs:read"),
        (["create", "certificate", "--project", "p"], 2, "certificate"),
        (["delete", "LKNOBODY"], 2, "--yes"),
        (["list", "--stack", "mine"], 2, "--local cannot be combined with"),
        ([], 2, "COMMAND"),
    ],
)
def test_what_cannot_be_done_is_told(admin: Admin, arguments: list[str], status: int, message: str) -> None:
    told = admin.run(*arguments, *(["--local"] if arguments else []))
    assert (told.returncode, told.stdout) == (status, "")
    assert message in told.stderr
    assert "Traceback" not in told.stderr


def test_new_logs_of_a_project_get_the_time_zone_that_was_set(admin: Admin) -> None:
    project = "zoned"
    assert admin.done("time-zone", project, "Asia/Shanghai").endswith("the time zone Asia/Shanghai\n")
    refused = admin.run("time-zone", project, "Mars/Olympus", "--local")
    assert (refused.returncode, "no time zone Mars/Olympus" in refused.stderr) == (2, True)
    token = admin.told("create", "token", "--project", project, "--scope", "logs:write")["token"]
    with admin.service.client(**{"X-Auth-Token": token}) as client:
        answer = client.patch(f"/v1/{project}/logs/{a_build('r', 's')}", content=b"2026-01-31 08:00:00 INFO x\n")
    assert (answer.json()["time_zone"], answer.json()["first_time"]) == ("Asia/Shanghai", 1769817600000)


def test_a_rebuild_says_of_every_log_what_it_would_do_and_changes_none_that_is_whole(admin: Admin) -> None:
    project, log_id = "rebuilt", a_build("r", "s")
    token = admin.told("create", "token", "--project", project, "--scope", "logs:write")["token"]
    with admin.service.client(**{"X-Auth-Token": token}) as client:
        text = random.Random(1).randbytes(20_000).hex().encode()  # too large for the table
        assert client.patch(f"/v1/{project}/logs/{log_id}", content=text).status_code == 202
    assert admin.done("rebuild", "--project", project).endswith("1 same\nWith --yes, this is done\n")
    (done,) = map(json.loads, admin.done("rebuild", "--project", project, "--yes", "--json").splitlines())
    assert (done["log_id"], done["outcome"], done["end"]) == (log_id, "same", len(text))


def test_with_local_nothing_of_the_shells_aws_is_used(admin: Admin) -> None:
    elsewhere = {
        "AWS_PROFILE": "production",
        "AWS_ACCESS_KEY_ID": "AKIAPRODUCTION",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9",
        "AWS_REGION": "eu-west-3",
        "AWS_CONFIG_FILE": os.devnull,
    }
    told = admin.run("list", "--json", "--local", **elsewhere)
    assert (told.returncode, told.stderr) == (0, "")
    assert admin.service.demo["ak"] in told.stdout


def test_where_may_stand_before_the_command(admin: Admin) -> None:
    assert admin.run("--local", "list", "--json").returncode == 0


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AWS_PROFILE": "nowhere"}, "nowhere"),
        ({"AWS_EC2_METADATA_DISABLED": "true"}, "credentials"),
        (
            {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            "127.0.0.1:9",
        ),
    ],
)
def test_an_account_that_cannot_be_reached_is_told(admin: Admin, environment: dict[str, str], message: str) -> None:
    files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    told = admin.run("list", **files | none | environment)
    assert (told.returncode, told.stdout) == (1, "")
    assert message in told.stderr
    assert told.stderr.count("\n") == 1


def test_a_service_that_was_never_started_is_told(tmp_path: Path) -> None:
    told = Admin(Service(tmp_path)).script("list", "--local")
    assert (told.returncode, told.stderr) == (1, "no local service was found; start it with: make run\n")


def test_a_service_that_does_not_run_is_told_and_credentials_outlive_its_restart(admin: Admin) -> None:
    """What is disabled stays so, also where it is a sample's."""
    service = admin.service
    made = admin.told("create", "access-key", "--project", PROJECT)
    admin.done("disable", "user-demo")
    assert service.stop() == 0
    try:
        told = admin.script("list", "--local")
    finally:
        service.start()
    assert (told.returncode, told.stderr) == (1, "the local service is not running; start it with: make run\n")
    assert works_signed(service, made["access_key"], made["secret_key"])
    assert works_signed(service, service.demo["ak"], service.demo["sk"])
    assert login(service, service.demo["user"], service.demo["password"]) is None
