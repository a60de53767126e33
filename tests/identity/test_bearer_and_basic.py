"""Bearer and Basic at a route of each API: what they prove, beside what else, and what a 401 says of them."""

import base64
from typing import Any

import pytest

from local.sample import PASSWORD, USER
from logkeep.identity import passwords
from logkeep.identity.credential_store import credential_store
from logkeep.identity.credentials import Kind, Scope, token_place, user_id, user_place
from logkeep.identity.passwords import hash_password
from tests.calls import (
    OTHER_PROJECT,
    OTHER_TOKEN,
    PROJECT,
    RECORD,
    TOKENS,
    Answer,
    append,
    call,
    credential,
    event,
    put_events,
    send,
    streamed,
)  # fmt: skip
from tests.faults import counted
from tests.signing import send_signed

pytestmark = pytest.mark.usefixtures("aws")
TEXT = b"a line\n"
TOKEN, KUSCIA = TOKENS[Kind.TOKEN], TOKENS[Kind.KUSCIA_TOKEN]
TAKEN = 'Bearer realm="logkeep", Basic realm="logkeep", charset="UTF-8"'
ROUTES = [
    "list_projects",
    "list_logs",
    "read_log",
    "list_service_events",
    "show_check_log",
    "page_build_log",
    "list_backup_records",
    "put_service_events",
    "query_task_log",
]


def basic(token: str, user: str = "grafana") -> str:
    return f"Basic {base64.b64encode(f'{user}:{token}'.encode()).decode()}"


def asked(name: str, authorization: str | None, **headers: Any) -> dict[str, Any]:
    """An event whose only proof is that header, and those that are given."""
    return event(name, headers={"x-auth-token": None, "token": None, "authorization": authorization, **headers})


def reason(answer: Answer) -> str:
    assert answer.status == 401
    return str(answer.json["error_msg"])


@pytest.mark.parametrize("name", ROUTES)
def test_a_token_proves_the_same_by_any_scheme(name: str) -> None:
    named = send(name)
    assert named.status != 401
    for authorization in (
        f"Bearer {TOKEN}",
        f"bearer {TOKEN}",
        basic(TOKEN),
        basic(TOKEN, "").replace("Basic", "BASIC"),
    ):
        answer = call(name, asked(name, authorization))
        assert (answer.status, answer.headers["Cache-Control"]) == (named.status, named.headers["Cache-Control"])
        assert "WWW-Authenticate" not in answer.headers
    assert call(name, asked(name, f"Bearer {TOKEN[:-1]}")).status == 401
    assert call(name, asked(name, basic("user", TOKEN))).status == 401


@pytest.mark.parametrize("name", ROUTES)
def test_a_401_names_what_the_route_takes(name: str) -> None:
    signs = "" if name == "query_task_log" else ', SDK-HMAC-SHA256 realm="logkeep"'
    for authorization in (None, "Bearer", "Bearer nobody's", "Basic !", basic(""), "Bearer a, Basic b", "\ud800"):
        answer = call(name, asked(name, authorization))
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, TAKEN + signs)
        assert answer.headers["Cache-Control"] == "private, no-store"
        if name == "query_task_log":
            assert answer.body == b""
        else:
            assert set(answer.json) >= {"error_code", "error_msg"}


@pytest.mark.parametrize(
    ("name", "code"),
    [("list_logs", "APIGW.0301"), ("list_service_events", "ModelArts.0203"), ("show_check_log", "CC.00000003")],
)
def test_a_refused_header_has_the_code_of_its_service_and_says_why(name: str, code: str) -> None:
    answer = call(name, asked(name, "Basic eA=="))
    assert reason(answer).endswith("the Basic Authorization header has no colon between user name and token")
    assert answer.json["error_code"] == code


def test_two_headers_prove_only_what_both_say() -> None:
    for authorization in (f"Bearer {TOKEN}", basic(TOKEN)):
        assert call("list_logs", asked("list_logs", authorization, **{"x-auth-token": TOKEN})).status == 200
        for other in (OTHER_TOKEN, TOKEN[:-1], KUSCIA):
            answer = call("list_logs", asked("list_logs", authorization, **{"x-auth-token": other}))
            assert reason(answer).endswith("x-auth-token and authorization carry different tokens")
        assert call("list_logs", asked("list_logs", authorization, **{"x-auth-token": ""})).status == 200
        assert call("list_logs", asked("list_logs", authorization, token=KUSCIA)).status == 200
    assert call("list_logs", asked("list_logs", "Basic eA==", **{"x-auth-token": TOKEN})).status == 401
    assert call("query_task_log", asked("query_task_log", f"Bearer {KUSCIA}", token=KUSCIA)).status == 200
    assert call("query_task_log", asked("query_task_log", f"Bearer {TOKEN}", token=KUSCIA)).status == 401
    assert send("query_task_log", headers={"authorization": "Negotiate YQ=="}).status == 200


def test_kuscias_own_token_proves_its_route_alone() -> None:
    for authorization in (f"Bearer {KUSCIA}", basic(KUSCIA)):
        assert call("query_task_log", asked("query_task_log", authorization)).status == 200
        assert call("list_logs", asked("list_logs", authorization)).status == 401
    assert call("query_task_log", asked("query_task_log", None, token=TOKEN)).status == 401


def test_scopes_and_projects_bind_whatever_the_header() -> None:
    credential_store().put(token_place(Kind.TOKEN, "writer"), credential(scopes=frozenset({str(Scope.LOGS_WRITE)})))
    credential_store().put(token_place(Kind.TOKEN, "other"), credential(project=OTHER_PROJECT))
    for token in ("writer", "other"):
        for authorization in (f"Bearer {token}", basic(token, PROJECT)):
            answer = call("list_logs", asked("list_logs", authorization))
            assert (answer.status, "WWW-Authenticate" in answer.headers) == (403, False)
    assert call("query_task_log", asked("query_task_log", "Bearer writer")).status == 403


def test_the_token_of_a_login_is_carried_too_but_not_to_kuscia(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kuscia's functions may not read the key that such tokens are verified with, and do not try."""
    monkeypatch.setattr(passwords, "_COST", (16, 1, 1))
    user = credential(Kind.USER, name=USER, secret=hash_password(PASSWORD).encode())
    credential_store().put(user_place(user_id(USER), 1), user)
    issued = send("issue_token").headers["X-Subject-Token"]
    for authorization in (f"Bearer {issued}", basic(issued, USER)):
        assert call("list_logs", asked("list_logs", authorization)).status == 200
        with counted() as counts:
            assert call("query_task_log", asked("query_task_log", authorization)).status == 401
        assert counts == {"GetItem": 2}
    # A password is no token: it is tried at the login alone, where tries are counted.
    assert call("list_logs", asked("list_logs", basic(PASSWORD, USER))).status == 401


def test_a_wrong_login_is_not_sent_to_schemes_that_it_does_not_take() -> None:
    answer = send("issue_token-wrong_password")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Keystone realm="logkeep"')


def test_a_stream_is_proved_and_refused_alike() -> None:
    append(f"build/{RECORD}/stage1", TEXT)
    for authorization in (f"Bearer {TOKEN}", basic(TOKEN)):
        answer = streamed("read_log", asked("read_log", authorization))
        assert (answer.status, answer.body, answer.headers["Cache-Control"]) == (200, TEXT, "private, no-cache")
    refused = streamed("read_log", asked("read_log", "Bearer"))
    assert (refused.status, refused.headers["WWW-Authenticate"].startswith(TAKEN)) == (401, True)
    assert streamed("query_task_log", asked("query_task_log", f"Bearer {KUSCIA}")).status == 200


def test_a_signature_counts_before_a_token_and_beside_none() -> None:
    signed = send_signed("list_logs")
    signed["headers"]["authorization"] += f", Bearer {TOKEN}"
    assert reason(call("list_logs", signed)).endswith("the Authorization header is malformed")


@pytest.mark.parametrize(
    ("site", "taken"), [("cross-site", False), ("same-site", False), ("same-origin", True), ("none", True)]
)
def test_a_page_of_another_site_writes_nothing_with_a_browsers_password(site: str, taken: bool) -> None:
    """A browser adds the password that it was given to any form. It adds no token that a page does not know."""
    write = asked("put_service_events", basic(TOKEN), **{"sec-fetch-site": site})
    answer = call("put_service_events", write)
    assert (answer.status == 200) is taken
    if not taken:
        assert reason(answer).endswith("Basic does not prove what a page of another site sends")
    for authorization in (f"Bearer {TOKEN}", basic(TOKEN)):
        assert call("list_logs", asked("list_logs", authorization, **{"sec-fetch-site": site})).status == 200
    known = asked("put_service_events", f"Bearer {TOKEN}", **{"sec-fetch-site": site})
    assert call("put_service_events", known).status == 200
    put_events([])
