"""Logging in: tokens for passwords, what they are good for, and how many passwords can be tried."""

import json
import os
import time
from typing import Any

import pytest

from local.sample import PASSWORD, USER
from logkeep.aws import clients
from logkeep.identity import passwords
from logkeep.identity.credential_store import credential_store
from logkeep.identity.credentials import Kind, Scope, user_id, user_place
from logkeep.identity.limiter_store import FREE
from logkeep.identity.passwords import hash_password
from logkeep.identity.token_key_store import token_keys
from logkeep.identity.tokens import LIFETIME, claims_for, issue
from tests.calls import OTHER_PROJECT, PROJECT, RECORD, Answer, append, call, credential, event, forget_aws, send
from tests.faults import answering, counted

pytestmark = pytest.mark.usefixtures("aws")
TEXT = b"a line\n"
GUESS = {"password": "guess"}


@pytest.fixture(autouse=True)
def user(aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_COST", (16, 1, 1))  # what a guess costs is tried elsewhere
    put_user()
    append(f"build/{RECORD}/stage1", TEXT)


def put_user(slot: int = 1, password: str = PASSWORD, name: str = USER, **changes: Any) -> None:
    fields = {"id": f"password-{slot}", "name": name, "secret": hash_password(password).encode(), **changes}
    credential_store().put(user_place(user_id(name), slot), credential(Kind.USER, **fields))


def log_in(scope: Any = None, address: str = "192.0.2.1", **user: Any) -> Answer:
    who = {"name": USER, "domain": {"name": "Default"}, "password": PASSWORD} | user
    auth = {"identity": {"methods": ["password"], "password": {"user": who}}}
    body = json.dumps({"auth": auth if scope is None else {**auth, "scope": scope}})
    asked = event("issue_token", body=body)
    asked["requestContext"]["http"]["sourceIp"] = address
    return call("issue_token", asked)


def token() -> str:
    answer = log_in()
    assert answer.status == 201, answer.body
    return answer.headers["X-Subject-Token"]


def read_with(token: str, name: str = "read_log") -> Answer:
    return call(name, event(name, headers={"x-auth-token": token}))


# What a login gives


def test_a_password_gives_a_token_and_its_document() -> None:
    answer = send("issue_token")
    assert answer.status == 201
    assert answer.headers["Vary"] == "X-Auth-Token"
    document = answer.json["token"]
    assert document["project"]["id"] == PROJECT
    assert {role["name"] for role in document["roles"]} == set(map(str, Scope))
    assert PASSWORD not in answer.body.decode()
    assert read_with(answer.headers["X-Subject-Token"]).body == TEXT


@pytest.mark.parametrize(
    "scope",
    [None, "unscoped", {"project": {"id": PROJECT}}, {"project": {"name": "eu-de", "domain": {"id": "default"}}}],
)
@pytest.mark.parametrize("who", [{"name": USER}, {"id": user_id(USER), "name": None, "domain": {}}])
def test_a_user_logs_in_by_name_and_by_id_whatever_the_project_is_called(scope, who) -> None:
    answer = log_in(scope, **who)
    assert answer.status == 201
    assert answer.json["token"]["user"] == {
        "id": user_id(USER),
        "name": USER,
        "domain": {"id": "default", "name": "Default"},
    }


def test_two_passwords_are_good_while_one_replaces_the_other() -> None:
    put_user(2, "the next one")
    assert log_in().status == log_in(**GUESS | {"password": "the next one"}).status == 201


def test_a_token_needs_no_read_but_its_credentials_row() -> None:
    issued = token()
    token_keys.cache_clear()
    with counted() as counts:
        assert read_with(issued, "list_projects").status == 200
    assert counts == {"GetItem": 1, "GetSecretValue": 2}
    with counted() as counts:
        for _ in range(3):
            assert read_with(issued, "list_projects").status == 200
    assert not counts


def test_nothing_is_stored_of_a_token() -> None:
    before = clients.dynamodb().scan(TableName=os.environ["CREDENTIALS_TABLE"])["Items"]
    token()
    assert clients.dynamodb().scan(TableName=os.environ["CREDENTIALS_TABLE"])["Items"] == before


# How a token ends


def test_a_token_ends_after_a_day(monkeypatch) -> None:
    issued, now = token(), time.time()
    monkeypatch.setattr(time, "time", lambda: now + LIFETIME - 5)
    assert read_with(issued).status == 200
    monkeypatch.setattr(time, "time", lambda: now + LIFETIME + 1)
    answer = read_with(issued)
    assert (answer.status, answer.json["error_code"]) == (401, "APIGW.0301")
    assert answer.json["error_msg"].startswith("Incorrect IAM authentication information: token expires, expires_at: ")
    seed = {"error_code": "CC.00000003", "error_msg": "Authentication information expired."}
    assert read_with(issued, "download_check_logs").json == seed


@pytest.mark.parametrize("malformed", ["a.b.c", "..", "x", "eyJhbGciOiJub25lIn0.e30.", "\ud800.\0.é", "." * 90_000])
def test_a_malformed_token_is_the_seeds_401(malformed) -> None:
    answer = read_with(malformed)
    assert (answer.status, answer.json) == (
        401,
        {
            "error_code": "APIGW.0301",
            "error_msg": "Incorrect IAM authentication information: decrypt token fail",
        },
    )
    seed = {"error_code": "CC.00000003", "error_msg": "Authentication information expired."}
    assert read_with(malformed, "download_check_logs").json == seed


@pytest.mark.parametrize(
    "change",
    [
        {"disabled": True},
        {"id": "password-of-another"},
        {"project": OTHER_PROJECT},
        {"expires_at": 1},
    ],
    ids=["disabled", "made again", "moved", "expired"],
)
def test_a_token_ends_within_a_minute_of_its_password(change, monkeypatch) -> None:
    """Also where a user was deleted and made again, of the same name and with the same password."""
    issued = token()
    assert read_with(issued).status == 200
    put_user(**change)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 59)
    assert read_with(issued).status == 401


def test_a_token_ends_with_its_user(monkeypatch) -> None:
    issued = token()
    assert read_with(issued).status == 200
    key = {"pk": {"S": user_place(user_id(USER), 1)}}
    clients.dynamodb().delete_item(TableName=os.environ["CREDENTIALS_TABLE"], Key=key)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 59)
    assert read_with(issued).status == 401


def test_a_token_has_the_scopes_of_its_login_that_are_still_held(monkeypatch) -> None:
    put_user(scopes=frozenset({"logs:read"}))
    narrow = token()
    put_user(scopes=frozenset(map(str, Scope)))
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 59)
    assert read_with(narrow).status == 200
    assert read_with(narrow, "append_log").status == 403
    wide = token()
    put_user(scopes=frozenset({"logs:write"}))
    monkeypatch.setattr(time, "monotonic", lambda: now + 180)
    assert read_with(wide).status == 403


def test_a_token_cannot_say_more_than_it_was_issued_for() -> None:
    """Its claims are signed: one with another's, signed with a guessed key, is none."""
    issued = token()
    header, _, signature = issued.split(".")
    other = issue(claims_for(credential(Kind.USER, project=OTHER_PROJECT), "user/x/1", 1e9), token_keys().current())
    assert read_with(".".join((header, other.split(".")[1], signature))).status == 401


# Who gets none


@pytest.mark.parametrize(
    "who",
    [
        *(GUESS, {"password": ""}, {"password": PASSWORD + "\0"}, {"name": "nobody"}, {"name": "Demo"}, {"id": "x"}),
        *({"id": f"{user_id(USER)}/1"}, {"name": "demo "}, {"name": "d\0emo"}, {"id": "😀" * 255}),
    ],
)
def test_a_wrong_password_and_an_unknown_user_are_told_apart_by_nobody(who) -> None:
    answer = log_in(**who)
    assert answer.status == 401
    assert answer.json == {
        "error_code": "IAM.0101",
        "error_msg": "The username or password is wrong.",
        "error": {"code": 401, "title": "Unauthorized", "message": "The username or password is wrong."},
    }
    assert "X-Subject-Token" not in answer.headers


@pytest.mark.parametrize("change", [{"disabled": True}, {"expires_at": 1}])
def test_a_password_that_is_not_in_force_is_a_wrong_one(change) -> None:
    put_user(**change)
    assert log_in().status == 401


def test_every_wrong_login_costs_the_same_work(monkeypatch) -> None:
    done = []
    real = passwords._scrypt

    def scrypt(password: str, salt: bytes, *cost: int) -> bytes:
        done.append(cost)
        return real(password, salt, *cost)

    monkeypatch.setattr(passwords, "_scrypt", scrypt)
    work = []
    for who in ({"password": "guess"}, {"name": "nobody"}):
        log_in(**who)
        work.append(list(done))
        done.clear()
    put_user(2, "the next one")
    done.clear()
    log_in(**GUESS)
    work.append(list(done))
    assert work[0] == work[1] == work[2]


def test_a_login_for_another_project_is_refused() -> None:
    assert log_in({"project": {"id": OTHER_PROJECT}}).status == 401


def test_a_password_is_no_token_and_a_hash_no_password() -> None:
    assert read_with(PASSWORD).status == 401
    kept = hash_password(PASSWORD)
    put_user(secret=kept.encode())
    assert log_in(password=kept).status == 401


@pytest.mark.parametrize("name", ["issue_token-no_password"])
def test_another_method_is_a_400_that_names_it(name) -> None:
    answer = send(name)
    assert (answer.status, answer.json["error"]["code"]) == (400, 400)
    assert "auth.identity.methods" in answer.json["error_msg"]


@pytest.mark.parametrize(
    ("body", "status"),
    [("", 400), ("[]", 400), ("{" * 8000, 400), ('"\ud800"', 400), ("\0", 400), ("x" * 16_385, 413)],
)
def test_a_hostile_body_is_refused_before_anything_is_counted(body, status) -> None:
    with counted() as counts:
        answer = call("issue_token", event("issue_token", body=body))
    assert answer.status == status
    assert answer.json.keys() == {"error_code", "error_msg", "error"}
    assert not counts


# How many can be tried


@pytest.mark.no_faults("counts tries; one whose answer is lost counts twice")
def test_passwords_of_a_user_can_be_tried_only_so_often(monkeypatch) -> None:
    """From one address, and then the right one too; from another address the user still logs in."""
    now = time.time_ns()
    monkeypatch.setattr("logkeep.identity.limiter_store.time.time_ns", lambda: now)
    tried = [log_in(password=str(n)).status for n in range(25)]
    assert tried == [401] * 20 + [429] * 5
    assert log_in(address="192.0.2.77").status == 201
    refused = log_in()
    assert refused.status == 429
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.json["error"]["code"] == 429
    assert log_in(name="another").status == 401
    monkeypatch.setattr("logkeep.identity.limiter_store.time.time_ns", lambda: now + 4 * 10**9)
    assert log_in().status == 201, "a user that is tried is not locked out for long"


@pytest.mark.no_faults("counts tries; one whose answer is lost counts twice")
def test_a_user_is_one_user_by_name_and_by_id(monkeypatch) -> None:
    now = time.time_ns()
    monkeypatch.setattr("logkeep.identity.limiter_store.time.time_ns", lambda: now)
    names = [{"name": USER}, {"id": user_id(USER)}]
    assert [log_in(**GUESS, **names[n % 2]).status for n in range(22)] == [401] * 20 + [429] * 2


@pytest.mark.no_faults("counts tries; one whose answer is lost counts twice")
def test_an_address_can_try_only_so_often(monkeypatch) -> None:
    """Whatever names it makes up."""
    now = time.time_ns()
    monkeypatch.setattr("logkeep.identity.limiter_store.time.time_ns", lambda: now)
    assert [log_in(name=f"user-{n}").status for n in range(55)] == [401] * 50 + [429] * 5
    assert log_in(address="2001:db8::1").status == 201


@pytest.mark.no_faults("puts its own")
@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "ResourceNotFoundException"])
def test_no_password_is_tried_while_the_tries_cannot_be_counted(monkeypatch, code: str) -> None:
    tried: list[object] = []
    monkeypatch.setattr("logkeep.apis.keystone.http.matches", lambda *given: tried.append(given))
    with answering(clients.dynamodb(), "UpdateItem", code, times=9):
        answer = log_in()
    assert (answer.status, answer.headers["Retry-After"], answer.json["error_code"]) == (503, "1", "IAM.0503")
    assert not tried


@pytest.mark.no_faults("counts requests; one whose answer is lost counts twice")
def test_a_throttled_request_has_the_shape_of_its_service(monkeypatch) -> None:
    monkeypatch.setenv("PROJECT_BURST", "1")
    monkeypatch.setenv("PROJECT_RATE", "0.1")
    forget_aws()
    now = time.time_ns()
    monkeypatch.setattr("logkeep.identity.limiter_store.time.time_ns", lambda: now)
    for _ in range(FREE.burst + 1):
        assert send("list_projects").status == 200
    for name, code in {
        "list_service_events": "ModelArts.2799",
        "download_build_log": "CB.00060211",
        "download_check_logs": "APIGW.0308",
        "list_backup_records": "APIGW.0308",
        "read_log": "LOGKEEP.0429",
        "list_projects": "APIGW.0308",
    }.items():
        answer = send(name)
        assert (answer.status, answer.json["error_code"], answer.headers["Retry-After"]) == (429, code, "10")
    answer = send("query_task_log")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "10")
    assert answer.json["status"]["message"] == answer.json["log"]
