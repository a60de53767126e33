import pytest

from logkeep.errors import OtherProject, ScopeMissing, TokenExpired, TokenInvalid
from logkeep.identity import Caller, Credential, Scope, TokenKind, prove, token_hash

NOW = 1_769_860_800.5
SCOPES = frozenset({"logs:read"})


@pytest.mark.parametrize("expires_at", [None, int(NOW) + 1, int(NOW) + 3600])
def test_a_credential_in_force_stands_for_a_caller_of_its_project(expires_at: int | None):
    credential = Credential(project="p", scopes=SCOPES, expires_at=expires_at)
    assert prove(credential, NOW) == Caller("p", SCOPES)


@pytest.mark.parametrize("expires_at", [0, int(NOW) - 1, int(NOW)])
def test_a_credential_ends_with_the_second_of_its_expiry(expires_at: int):
    with pytest.raises(TokenExpired):
        prove(Credential(project="p", scopes=SCOPES, expires_at=expires_at), NOW)
    with pytest.raises(TokenExpired):
        prove(Credential(project="p", scopes=SCOPES, expires_at=expires_at), float(expires_at))


@pytest.mark.parametrize(
    "credential",
    [
        None,
        Credential(project="p", scopes=SCOPES, disabled=True),
        Credential(project="p", scopes=SCOPES, disabled=True, expires_at=0),
    ],
)
def test_an_unknown_and_a_disabled_credential_are_told_apart_by_nobody(credential: Credential | None):
    with pytest.raises(TokenInvalid, match=r"^the token is not known$"):
        prove(credential, NOW)


@pytest.mark.parametrize("scope", Scope)
def test_a_caller_needs_each_scope_by_itself(scope: Scope):
    Caller("p", frozenset({scope})).need_scope(scope)
    for others in (frozenset(), frozenset(Scope) - {scope}, frozenset({scope.split(":")[0], "*"})):
        with pytest.raises(ScopeMissing, match=scope):
            Caller("p", frozenset(others)).need_scope(scope)


def test_a_scope_that_was_stored_as_text_counts():
    Caller("p", frozenset({"logs:write"})).need_scope(Scope.LOGS_WRITE)


@pytest.mark.parametrize("project", ["", "P", "p ", "pp", "p/x"])
def test_a_caller_acts_in_its_project_and_in_no_other(project: str):
    caller = Caller("p", SCOPES)
    caller.need_project("p")
    with pytest.raises(OtherProject):
        caller.need_project(project)


def test_a_token_of_one_kind_is_none_of_another():
    hashes = {token_hash(kind, token) for kind in TokenKind for token in ("", "a", "b", "ü", "\udcff")}
    assert len(hashes) == 10
    assert token_hash(TokenKind.AUTH, "a") == token_hash(TokenKind.AUTH, "a")
    assert all("a" * 3 not in each and len(each) == 64 for each in hashes)
