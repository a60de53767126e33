"""Keystone's bodies: which logins are understood, and what clients find in the answers."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from logkeep.errors import LoginRefused
from logkeep.identity.credentials import Caller, user_id, user_place
from logkeep.identity.keystone import Login, ProjectQuery, project_list, token_document, version_document, version_list
from logkeep.identity.tokens import Claims

pytestmark = pytest.mark.unit

BASE = "https://logs.example.com"
CLAIMS = Claims("user/x/1", "user-1", "p1", frozenset({"logs:write", "logs:read"}), 1_769_860_800, 1_769_947_200)


def body(scope: Any = None, **user: Any) -> dict[str, Any]:
    auth = {"identity": {"methods": ["password"], "password": {"user": {"password": "x", **user}}}}
    return {"auth": auth if scope is None else {**auth, "scope": scope}}


def login(scope: Any = None, **user: Any) -> Login:
    return Login.model_validate_json(json.dumps(body(scope, **user or {"name": "demo"})))


@pytest.mark.parametrize(
    ("user", "id"),
    [
        ({"name": "demo"}, user_id("demo")),
        ({"name": "demo", "domain": {"name": "Default"}}, user_id("demo")),
        ({"name": "demo", "domain": {"id": "default"}}, user_id("demo")),
        ({"id": user_id("demo")}, user_id("demo")),
        ({"id": "any", "name": "demo"}, "any"),
        ({"name": "ü\0", "options": {"more": 1}}, user_id("ü\0")),
    ],
)
def test_a_user_is_named_by_name_or_by_id(user: dict[str, Any], id: str) -> None:
    assert (login(**user).user_id, login(**user).password) == (id, "x")


@pytest.mark.parametrize(
    "scope",
    [None, "unscoped", {"project": {"id": "p1"}}, {"project": {"name": "eu-de", "domain": {"name": "Default"}}}],
)
def test_a_login_is_for_the_users_project_whatever_that_is_called(scope: Any) -> None:
    login(scope).check_project("p1")


@pytest.mark.parametrize("id", ["p2", "P1", "p1 ", "eu-de"])
def test_a_project_id_must_be_the_users(id: str) -> None:
    with pytest.raises(LoginRefused):
        login({"project": {"id": id, "name": "p1"}}).check_project("p1")


@pytest.mark.parametrize(
    ("hostile", "field"),
    [
        (b"", "request"),
        (b"[]", "request"),
        (b"null", "request"),
        (b"\xff", "request"),
        (b"[" * 9000, "request"),
        (b'{"auth":' * 3000, "request"),
        (b'{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "\\ud800"', "request"),
        (b"{}", "auth"),
        ({"auth": {"identity": {"methods": ["token"]}}}, "auth.identity.methods.0"),
        ({"auth": {"identity": {"methods": ["password"]}}}, "auth.identity.password"),
        ({"auth": {"identity": {"methods": ["password", "totp"]}}}, "auth.identity.methods"),
        (body(), "auth.identity.password.user"),
        (body(name=""), "auth.identity.password.user.name"),
        (body(name="x" * 256), "auth.identity.password.user.name"),
        (body(id="x" * 256), "auth.identity.password.user.id"),
        (body(id=7), "auth.identity.password.user.id"),
        (body(name=["demo"]), "auth.identity.password.user.name"),
        (body(name="demo", domain="Default"), "auth.identity.password.user.domain"),
        (body(name="demo", password=5), "auth.identity.password.user.password"),
        (body(name="demo", password=None), "auth.identity.password.user.password"),
        (body(name="demo", password="x" * 1025), "auth.identity.password.user.password"),
        (body({"domain": {"id": "default"}}, name="demo"), "auth.scope.project"),
        (body({"project": {"id": "p"}, "OS-TRUST:trust": {"id": "t"}}, name="demo"), "auth.scope.OS-TRUST:trust"),
        (body({"unscoped": {}}, name="demo"), "auth.scope.project"),
        (body("everything", name="demo"), "auth.scope"),
    ],
)
def test_another_body_is_refused_by_the_field_that_is_wrong(hostile: Any, field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Login.model_validate_json(hostile if isinstance(hostile, bytes) else json.dumps(hostile))
    assert ".".join(map(str, refused.value.errors()[0]["loc"])) in {field, "" if field == "request" else field}


@given(st.text(min_size=1, max_size=255))
def test_the_key_that_a_user_is_looked_up_by_fits_into_the_table(id: str) -> None:
    text = json.dumps(body(id=id))
    try:
        found = Login.model_validate_json(text)
    except ValidationError:
        assert any(0xD800 <= ord(character) < 0xE000 for character in id)
    else:
        assert len(user_place(found.user_id, 2).encode()) <= 2048
        assert user_place(found.user_id, 2).startswith("user/")


def test_a_token_document_says_what_a_client_reads() -> None:
    told = token_document(login({"project": {"name": "eu-de_team"}}), CLAIMS, "demo", BASE, "us-east-1")["token"]
    assert told["user"] == {"id": user_id("demo"), "name": "demo", "domain": {"id": "default", "name": "Default"}}
    assert (told["project"]["id"], told["project"]["name"]) == ("p1", "eu-de_team")
    assert [role["name"] for role in told["roles"]] == ["logs:read", "logs:write"]
    assert told["methods"] == ["password"]
    issued, expires = (datetime.fromisoformat(told[name]).timestamp() for name in ("issued_at", "expires_at"))
    assert (issued, expires) == (CLAIMS.issued_at, CLAIMS.expires_at)
    assert "x" not in {told["user"].get("password"), *told}


def test_a_catalog_leads_every_service_back_to_where_the_client_is() -> None:
    told = token_document(login({"project": {"name": "eu-de_team"}}), CLAIMS, "demo", BASE, "us-east-1")["token"]
    catalog = {service["type"]: service["endpoints"] for service in told["catalog"]}
    assert {"identity", "css", "modelarts", "modelartsv1"} <= catalog.keys()
    for endpoints in catalog.values():
        assert {each["region"] for each in endpoints} == {"eu-de", "us-east-1"}
        assert all(each["url"].startswith(BASE + "/v") and each["interface"] == "public" for each in endpoints)
    assert {each["url"] for each in catalog["modelartsv1"]} == {f"{BASE}/v1/p1"}


def test_a_project_answers_to_the_name_it_is_asked_for() -> None:
    caller = Caller("p1", frozenset(), "c")
    for query, name in ((ProjectQuery(name="cn-north-4"), "cn-north-4"), (ProjectQuery(), "p1")):
        (project,) = project_list(caller, query, BASE)["projects"]
        assert (project["id"], project["name"], project["enabled"]) == ("p1", name, True)


def test_versions_are_told_as_keystone_tells_them() -> None:
    version = version_document(BASE)["version"]
    assert (version["id"], version["status"]) == ("v3.14", "stable")
    assert version["links"] == [{"rel": "self", "href": f"{BASE}/v3/"}]
    assert version_list(BASE)["versions"]["values"] == [version]
