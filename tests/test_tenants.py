"""No function shows or changes what belongs to another project, and none answers without a proof."""

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.emulator import Emulator, values_of
from local.template import Template
from logkeep.backups.store import backup_store
from logkeep.identity.credential_store import credential_store
from logkeep.identity.credentials import NEEDED, Access, Kind, Scope, token_place, user_id, user_place
from logkeep.identity.limiter_store import Limiter
from logkeep.identity.token_key_store import token_keys
from logkeep.identity.tokens import claims_for, issue
from logkeep.logid import LogId
from logkeep.logs.registration import Registration
from logkeep.logs.store import log_store
from tests.calls import (
    BUILD,
    CLUSTER,
    EVENTS,
    EXECUTION,
    OTHER_PROJECT,
    OTHER_TOKEN,
    PROJECT,
    RECORD,
    SCOPES,
    SERVICE,
    SUB_JOBS,
    TASK,
    TOKENS,
    append,
    call,
    credential,
    event,
    list_events,
    put_events,
    read,
    send,
)  # fmt: skip
from tests.conftest import marked
from tests.examples import examples
from tests.rewinding import Rewinding
from tests.signing import signed

pytestmark = pytest.mark.usefixtures("aws")


TEMPLATE = Template.load()
ROUTED = sorted({route.function for route in TEMPLATE.routes if route.path})
NAMES = [name for name in (TEMPLATE.functions[each].folder for each in ROUTED) if NEEDED[name] is not Access.EVERYONE]
OTHER_KEY = ("OTHERPROJECTSKEY", "secret-of-the-other-projects-key")
SECRET = b"2026-01-01 00:00:00 INFO the secret of the first project\n"


def names_a_project(name: str) -> bool:
    return "project_id" in event(name).get("pathParameters", {})


def token_header(name: str) -> str:
    return "token" if name == "query_task_log" else "x-auth-token"


@pytest.fixture(scope="module")
def written(emulator: Rewinding, environment: dict[str, str]) -> None:
    """What belongs to the first project."""
    with marked("secrets", emulator, environment):
        append(f"build/{RECORD}/stage1", SECRET, registered=BUILD)
        append(f"build/{RECORD}/stage4", SECRET)
        for container in ("secretflow", "sidecar"):
            append(f"task/{TASK}/0/{container}/0", SECRET)
        for sub_job in SUB_JOBS:
            append(f"check/{sub_job}", SECRET, registered=EXECUTION)
        append(f"cluster/{CLUSTER}/node/instance", SECRET)
        event = {"occur_time": 1_795_348_800_000, "event_type": "normal", "event_info": SECRET.decode()}
        put_events([event], service_name="s")
        backup_store(PROJECT, CLUSTER).enable()


@pytest.fixture(autouse=True)
def secrets(written: None, aws: None, emulator: Rewinding) -> None:
    emulator.rewind("secrets")


@pytest.mark.parametrize("name", NAMES)
def test_a_token_of_another_project_gets_nothing(name: str) -> None:
    answer = call(name, event(name, headers={token_header(name): OTHER_TOKEN}))
    if names_a_project(name):
        assert answer.status == 403
        assert {"error_code", "error_msg"} == answer.json.keys()
    elif name == "query_task_log":
        assert b"not found" in answer.body
    elif name == "list_projects":
        assert PROJECT not in answer.body.decode()
    else:
        assert answer.status == 404
    assert SECRET not in answer.body


@pytest.mark.parametrize(
    "name", ["download_build_log-full", "page_build_log-stage", "page_build_log-v3", "show_check_log-console"]
)
def test_the_other_paths_of_a_function_give_a_token_of_another_project_nothing(name: str) -> None:
    function = name.partition("-")[0]
    assert SECRET.strip().decode() in json.dumps(call(function, event(name)).body.decode())
    answer = call(function, event(name, headers={"x-auth-token": OTHER_TOKEN, "x-project-id": PROJECT}))
    assert (answer.status, SECRET in answer.body) == (404, False)


def test_two_projects_may_have_the_same_build_and_the_same_task() -> None:
    theirs = b"of the other project\n"
    logs = log_store(OTHER_PROJECT)
    for log_id, pair in ((f"build/{RECORD}/stage1", BUILD), (f"check/{SUB_JOBS[0]}", EXECUTION)):
        logs.append(LogId.parse(log_id), lambda: iter((theirs,)), 0, Registration(*pair.values()))
    for name in ("page_build_log", "show_check_log-console"):
        function, headers = name.partition("-")[0], {"x-auth-token": OTHER_TOKEN}
        answer = call(function, event(name, headers=headers))
        assert theirs.decode() in answer.json["result"].values()
        shown = call(function, event(name)).json["result"].values()
        assert any(SECRET.decode() in str(each) for each in shown)


@pytest.mark.parametrize("name", [name for name in NAMES if names_a_project(name)])
def test_the_other_projects_own_path_shows_nothing_of_the_first(name: str) -> None:
    asked = event(name, headers={token_header(name): OTHER_TOKEN})
    asked["rawPath"] = asked["rawPath"].replace(PROJECT, OTHER_PROJECT)
    asked["pathParameters"] = {**asked["pathParameters"], "project_id": OTHER_PROJECT}
    answer = call(name, asked)
    assert SECRET not in answer.body
    assert read(f"build/{RECORD}/stage4").body == SECRET
    assert list_events().json["total_count"] == 1


PROOFS = ("signature", "signature behind a function URL", "token", "issued token", "kuscia token", "every kind at once")


def prove_other(asked: dict[str, Any], proof: str) -> dict[str, Any]:
    """An event with a credential of another project, and none of the first."""
    kept = {name: value for name, value in asked["headers"].items() if name not in {"x-auth-token", "token"}}
    asked = {**asked, "headers": kept}
    if proof.startswith("signature"):
        return signed(asked, keys=OTHER_KEY, gateway="Function URL" if "URL" in proof else "HTTP API")
    user = next(credential_store().user(user_id("other")))
    issued = issue(claims_for(user[1], user[0], time.time()), token_keys().current())
    sent = {
        "token": {"x-auth-token": OTHER_TOKEN},
        "issued token": {"x-auth-token": issued},
        "kuscia token": {"token": OTHER_TOKEN},
        "every kind at once": {"x-auth-token": issued, "token": OTHER_TOKEN},
    }[proof]
    return {**asked, "headers": kept | sent}


@pytest.fixture
def other_credentials(aws, emulator: Emulator) -> None:
    """Of every kind, in the other project."""
    store, key = credential_store(), values_of(TEMPLATE, emulator.endpoint)["CredentialsKey"]
    store.put_access_key(credential(Kind.ACCESS_KEY, id=OTHER_KEY[0], project=OTHER_PROJECT), OTHER_KEY[1], key)
    store.put(user_place(user_id("other"), 1), credential(Kind.USER, id="other", project=OTHER_PROJECT))


QUERIES = st.lists(
    st.sampled_from(
        [
            *("task_name=stage1", "log_level=INFO", "compress=true", f"sub_job_id={SUB_JOBS[0]}", "limit=1000"),
            *("offset=0", "prefix=build/", "prefix=", "marker=", f"project_id={PROJECT}", f"X-Project-Id={PROJECT}"),
            *("status=FAIL", "order=asc", "start_time=0", "name=cn-north-4"),
        ]
    ),
    max_size=4,
    unique=True,
).map("&".join)
HEADERS = st.dictionaries(
    st.sampled_from(["x-project-id", "x-forwarded-for", "x-domain-id", "x-original-url", "cookie", "x-security-token"]),
    st.sampled_from([PROJECT, "127.0.0.1", f"/v1/{PROJECT}/logs", TOKENS[Kind.TOKEN]]),
    max_size=2,
)


@settings(examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    name=st.sampled_from(NAMES),
    proof=st.sampled_from(PROOFS),
    path=st.sampled_from(["as it is", "the other project's"]),
    parameters=st.sampled_from(["as they are", "none", "the other project's"]),
    query=st.none() | QUERIES,
    headers=HEADERS,
)
def test_nothing_is_found_with_any_credential_of_another_project(
    other_credentials, monkeypatch, name, proof, path, parameters, query, headers
) -> None:
    """Every function with every kind of credential, and whatever else a client chooses."""
    monkeypatch.setattr(Limiter, "take", lambda *_: None)
    asked = event(name, headers=headers)
    if query is not None:
        asked["rawQueryString"] = query
    if path != "as it is":
        asked["rawPath"] = asked["rawPath"].replace(PROJECT, OTHER_PROJECT)
    if parameters == "none":
        asked.pop("pathParameters", None)
    elif parameters != "as they are" and "project_id" in asked.get("pathParameters", {}):
        asked["pathParameters"] = {**asked["pathParameters"], "project_id": OTHER_PROJECT}
    answer = call(name, prove_other(asked, proof))
    assert SECRET.strip() not in answer.body
    assert answer.status != 500
    assert not any(PROJECT in text or "renders/" in text for text in answer.headers.values())
    if answer.status == 200 and name != "query_task_log":
        assert PROJECT not in answer.body.decode(errors="replace")
    if NEEDED[name] is not Scope.LOGS_READ:
        assert read(f"build/{RECORD}/stage4").body == SECRET
        assert list_events().json["total_count"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_credential_is_good_in_its_own_project(name, other_credentials) -> None:
    """Without this, the test above would pass where nothing is ever proved."""
    asked = event(name)
    asked["rawPath"] = asked["rawPath"].replace(PROJECT, OTHER_PROJECT)
    if names_a_project(name):
        asked["pathParameters"] = {**asked["pathParameters"], "project_id": OTHER_PROJECT}
    good = {proof for proof in PROOFS if call(name, prove_other(asked, proof)).status not in {401, 403}}
    of_kuscia = {"kuscia token", "every kind at once"}
    assert good == (of_kuscia if name == "query_task_log" else set(PROOFS) - {"kuscia token"})


@pytest.mark.parametrize("name", NAMES)
def test_a_path_parameter_cannot_differ_from_the_path(name: str) -> None:
    """Whatever the gateway makes of a hostile path, the data are the credential's own."""
    asked = event(name, headers={token_header(name): OTHER_TOKEN})
    asked["pathParameters"] = {"project_id": OTHER_PROJECT}
    assert SECRET not in call(name, asked).body


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("token", [None, "", "unknown", "x" * 100_001, "\udc80\N{SNOWMAN}"])
def test_without_a_known_token_there_is_a_401(name: str, token: str | None) -> None:
    assert call(name, event(name, headers={token_header(name): token})).status == 401


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("changes", [{"expires_at": 1}, {"disabled": True}])
def test_an_expired_or_disabled_token_is_a_401(name: str, changes) -> None:
    for kind in TOKENS:
        credential_store().put(token_place(kind, "old"), credential(kind, **changes))
    assert call(name, event(name, headers={token_header(name): "old"})).status == 401


@pytest.mark.parametrize("name", [name for name in NAMES if isinstance(NEEDED[name], Scope)])
def test_a_token_without_the_scope_is_a_403(name: str) -> None:
    others = SCOPES - {NEEDED[name]}
    for kind in TOKENS:
        credential_store().put(token_place(kind, "narrow"), credential(kind, scopes=others))
    assert call(name, event(name, headers={token_header(name): "narrow"})).status == 403


def test_the_second_address_of_service_events_is_guarded_as_the_first() -> None:
    file = "list_service_events-v2"
    assert [each["event_info"] for each in send(file).json["data"]] == [SECRET.decode()]
    assert send(file, headers={"x-auth-token": OTHER_TOKEN}).json["error_code"] == "ModelArts.0210"
    own = {"project_id": OTHER_PROJECT, "service_id": SERVICE}
    path = f"/v2/{OTHER_PROJECT}/services/{SERVICE}/events"
    assert send(file, headers={"x-auth-token": OTHER_TOKEN}, rawPath=path, pathParameters=own).status == 404
    assert [send(file, headers={"x-auth-token": token}).status for token in (None, "unknown")] == [401, 401]
    credential_store().put(token_place(Kind.TOKEN, "narrow"), credential(scopes=frozenset({Scope.LOGS_WRITE})))
    assert send(file, headers={"x-auth-token": "narrow"}).status == 403


@pytest.mark.parametrize("name", [name for name in NAMES if name != "query_task_log"])
def test_a_kuscia_token_is_no_auth_token(name: str) -> None:
    assert call(name, event(name, headers={"x-auth-token": "logkeep-demo-kuscia-token-000001"})).status == 401


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("list_service_events", ("ModelArts.0201", "ModelArts.0203", "ModelArts.0202")),
        ("show_check_log", ("CC.00000003", "CC.00000003", "CC.00000003")),
        ("page_build_log", ("APIGW.0301", "APIGW.0301", "APIGW.0301")),
        ("download_check_logs", ("CC.00000003", "CC.00000003", "CC.00000003")),
        ("download_build_log", ("APIGW.0301", "APIGW.0301", "APIGW.0301")),
        ("list_backup_records", ("APIGW.0301", "APIGW.0301", "APIGW.0301")),
        ("read_log", ("APIGW.0301", "APIGW.0301", "APIGW.0301")),
    ],
)
def test_a_401_has_the_code_of_its_service(name: str, codes) -> None:
    credential_store().put(token_place(Kind.TOKEN, "old"), credential(expires_at=1))
    found = tuple(call(name, event(name, headers={"x-auth-token": t})).json["error_code"] for t in (None, "no", "old"))
    assert found == codes


@pytest.mark.parametrize("project", ["{project_id}", "..", "a b", "x" * 129])
def test_a_project_id_that_can_be_none_is_a_400(project: str) -> None:
    asked = event("list_service_events", pathParameters={"project_id": project, "service_id": "s"})
    answer = call("list_service_events", asked)
    assert (answer.status, "project_id: " in answer.json["error_msg"]) == (400, True)


def test_a_signature_alone_is_no_proof() -> None:
    signed = {"authorization": "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-sdk-date, Signature=00"}
    answer = call("read_log", event("read_log", headers={**signed, "x-auth-token": None}))
    assert (answer.status, answer.json["error_code"]) == (401, "APIGW.0301")


def test_a_disabled_token_stops_within_a_minute(monkeypatch) -> None:
    asked = event("read_log", rawPath=f"/v1/{PROJECT}/logs/build/{RECORD}/stage1", headers={"x-auth-token": "mine"})
    credential_store().put(token_place(Kind.TOKEN, "mine"), credential())
    assert call("read_log", asked).status == 200
    credential_store().put(token_place(Kind.TOKEN, "mine"), credential(disabled=True))
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    answer = call("read_log", asked)
    assert (answer.status, answer.json) == (
        401,
        {
            "error_code": "APIGW.0301",
            "error_msg": "Incorrect IAM authentication information: the credential is disabled",
        },
    )
    for name, code in (("list_service_events", "ModelArts.0203"), ("download_check_logs", "CC.00000003")):
        answer = send(name, headers={"x-auth-token": "mine"})
        assert (answer.status, answer.json["error_code"]) == (401, code)
        assert answer.json["error_msg"].endswith("the credential is disabled")


def test_a_route_that_a_function_does_not_know_is_the_gateways_404() -> None:
    answer = call("download_build_log", event("download_build_log", rawPath="/v1/log/x/y/z"))
    assert (answer.status, answer.json["error_code"]) == (404, "APIGW.0101")
    assert call("reject_unknown", event("reject_unknown")).json["error_code"] == "APIGW.0101"


@pytest.mark.parametrize("path", sorted(path.stem for path in EVENTS.glob("*.json") if path.stem != "env"))
def test_every_http_answer_carries_the_request_id(path: str) -> None:
    asked = event(path)
    if "requestContext" in asked:
        answer = call(path.partition("-")[0], asked)
        assert answer.headers["X-Request-Id"] == asked["requestContext"]["requestId"]
        assert answer.status < 500
