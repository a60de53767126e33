import pytest

from logkeep.errors import OtherProject, ScopeMissing, TokenDisabled, TokenExpired, TokenInvalid
from logkeep.identity.credentials import (
    NEEDED,
    Access,
    Caller,
    Kind,
    Scope,
    prove,
    token_place,
    user_id,
    user_place,
)
from tests.calls import credential

pytestmark = pytest.mark.unit

NOW = 1_769_860_800.5
CALLER = Caller("p", frozenset({"logs:read"}), "c")


@pytest.mark.parametrize("expires_at", [None, int(NOW) + 1, int(NOW) + 3600])
def test_a_credential_in_force_stands_for_a_caller_of_its_project(expires_at: int | None):
    found = prove(credential(id="c", project="p", scopes=CALLER.scopes, expires_at=expires_at), NOW)
    assert found == CALLER


@pytest.mark.parametrize("expires_at", [0, int(NOW) - 1, int(NOW)])
def test_a_credential_ends_with_the_second_of_its_expiry(expires_at: int):
    for now in (NOW, float(expires_at)):
        with pytest.raises(TokenExpired, match=r"^expires_at: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"):
            prove(credential(expires_at=expires_at), now)


def test_a_credential_is_unknown_or_disabled():
    with pytest.raises(TokenInvalid, match=r"^the credential is not known$"):
        prove(None, NOW)
    for held in (credential(disabled=True), credential(disabled=True, expires_at=0)):
        with pytest.raises(TokenDisabled, match=r"^the credential is disabled$"):
            prove(held, NOW)


def test_a_caller_never_has_more_scopes_than_its_credential_has_now():
    held = credential(scopes=frozenset({"logs:read", "logs:write"}))
    assert prove(held, NOW, ["logs:write", "events:write"]).scopes == {"logs:write"}


@pytest.mark.parametrize("scope", Scope)
def test_a_caller_needs_each_scope_by_itself(scope: Scope):
    Caller("p", frozenset({scope}), "c").need(scope)
    for others in (frozenset(), frozenset(Scope) - {scope}, frozenset({scope.split(":")[0], "*"})):
        with pytest.raises(ScopeMissing, match=scope):
            Caller("p", frozenset(others), "c").need(scope)


@pytest.mark.parametrize("access", Access)
def test_where_no_scope_is_needed_a_caller_needs_none(access: Access):
    Caller("p", frozenset(), "c").need(access)


def test_a_scope_that_was_stored_as_text_counts():
    Caller("p", frozenset({"logs:write"}), "c").need(Scope.LOGS_WRITE)


@pytest.mark.parametrize("project", ["", "P", "p ", "pp", "p/x"])
def test_a_caller_acts_in_its_project_and_in_no_other(project: str):
    CALLER.need_project("p")
    with pytest.raises(OtherProject):
        CALLER.need_project(project)


def test_a_token_of_one_kind_is_none_of_another():
    tokens = ("", "a", "b", "ü", "\udcff", "\ud800")
    places = {token_place(kind, token) for kind in (Kind.TOKEN, Kind.KUSCIA_TOKEN) for token in tokens}
    assert len(places) == 12
    assert token_place(Kind.TOKEN, "a") == token_place(Kind.TOKEN, "a")
    assert all("a" * 3 not in each.partition("/")[2] and len(each.partition("/")[2]) == 64 for each in places)


def test_a_user_is_kept_by_an_id_that_fits_into_a_path():
    assert user_id("alice") != user_id("bob")
    assert len(user_id("ü/\udcff")) == 32
    assert user_place(user_id("alice"), 1) != user_place(user_id("alice"), 2)


def test_reading_never_needs_a_scope_that_writes():
    for function, needed in NEEDED.items():
        if function.startswith(("list_", "read_", "download_", "query_", "show_", "page_")):
            assert needed in {Scope.LOGS_READ, *Access}
