"""Credentials as an administrator handles them, in the emulator."""

import json
import re
import string
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

from admin import Refused
from admin.credentials import ACTIVE_MAX, Credentials, document, state
from logkeep.identity import passwords
from logkeep.identity.credential_store import credential_store
from logkeep.identity.credentials import Credential, Kind, Scope, access_key_place, token_place, user_id
from logkeep.identity.passwords import matches
from logkeep.identity.signature import Authorization
from logkeep.identity.tokens import looks_issued
from logkeep.settings import settings
from tests.calls import OTHER_PROJECT, PROJECT, forget_aws, send

KMS_KEY = "alias/logkeep-CredentialsKey"
DAY = 86400


@pytest.fixture
def credentials(aws: None, monkeypatch: pytest.MonkeyPatch) -> Credentials:
    monkeypatch.setattr(passwords, "_COST", (16, 1, 1))  # what a guess costs is tried elsewhere
    return Credentials(credential_store(), KMS_KEY)


def wanted(kind: Kind, **changes: Any) -> Credential:
    fields = {"id": "", "kind": kind, "name": "ci", "project": PROJECT, "scopes": frozenset({Scope.LOGS_READ.value})}
    return Credential(**fields | {"created_at": int(time.time())} | changes)


def rows() -> str:
    return json.dumps(boto3.client("dynamodb").scan(TableName=settings().credentials_table)["Items"], default=repr)


def states(credentials: Credentials, kind: Kind) -> dict[str, str]:
    return {each.id: state(each) for each in credentials.all() if each.kind is kind and each.name == "ci"}


# create


def test_an_access_key_has_the_form_that_signatures_take(credentials):
    made = credentials.create(wanted(Kind.ACCESS_KEY))
    key, secret = made.secrets["access_key"], made.secrets["secret_key"]
    assert re.fullmatch(r"LK[A-Z0-9]{18}", key)
    assert key == made.credential.id
    assert re.fullmatch(r"[A-Za-z0-9_-]{40}", secret)
    assert Authorization.parse(f"SDK-HMAC-SHA256 Access={key}, SignedHeaders=host;x-sdk-date, Signature={'0' * 64}")
    kept = credential_store().at(access_key_place(key))
    assert kept
    assert credential_store().secret_of(kept) == secret


@pytest.mark.parametrize("kind", [Kind.TOKEN, Kind.KUSCIA_TOKEN])
def test_a_token_is_kept_as_a_hash_and_is_none_that_a_login_gives(credentials, kind):
    token = credentials.create(wanted(kind)).secrets["token"]
    assert len(token) == 43
    assert not looks_issued(token)
    kept = credential_store().at(token_place(kind, token))
    assert kept
    assert (kept.kind, kept.project, kept.secret) == (kind, PROJECT, None)


def test_a_user_has_a_password(credentials):
    password = credentials.create(wanted(Kind.USER)).secrets["password"]
    assert len(password) >= 24
    assert set(password) <= set(string.ascii_letters + string.digits + "-_")
    ((_, kept),) = credential_store().user(user_id("ci"))
    assert kept.secret
    assert matches(password, kept.secret.decode())


def test_a_secret_is_shown_once(credentials):
    made = [credentials.create(wanted(kind)) for kind in Kind]
    made += [credentials.rotate(each.credential.id) for each in made]
    shown = json.dumps([document(each) for each in credentials.all()])
    secrets = [secret for each in made for name, secret in each.secrets.items() if name != "access_key"]
    assert len(set(secrets)) == 2 * len(Kind)
    for secret in secrets:
        assert secret not in shown + rows()
    for each in credentials.all():
        assert each.secret is None or repr(each.secret) not in shown
    assert "scrypt" not in shown
    assert not re.search("[0-9a-f]{64}", shown)  # the hash of a token


def test_without_a_name_a_credential_is_called_by_its_id(credentials):
    made = [credentials.create(wanted(Kind.TOKEN, name="")).credential for _ in range(3)]
    assert [each.name for each in made] == [each.id for each in made]


@pytest.mark.parametrize("kind", Kind)
def test_a_name_that_is_taken_is_refused(credentials, kind):
    first = credentials.create(wanted(kind)).credential
    credentials.disable(first.id)
    with pytest.raises(Refused, match=first.id):
        credentials.create(wanted(kind))


def test_a_users_name_is_its_own_over_all_projects_and_another_name_is_not(credentials):
    credentials.create(wanted(Kind.USER))
    credentials.create(wanted(Kind.TOKEN))
    with pytest.raises(Refused, match="'ci' of project"):
        credentials.create(wanted(Kind.USER, project=OTHER_PROJECT))
    credentials.create(wanted(Kind.TOKEN, project=OTHER_PROJECT))


def test_a_users_name_stays_taken_while_only_the_second_password_is_left(credentials):
    first = credentials.create(wanted(Kind.USER)).credential
    second = credentials.rotate(first.id).credential
    credentials.delete(first.id)
    with pytest.raises(Refused, match=second.id):
        credentials.create(wanted(Kind.USER, project=OTHER_PROJECT))


@pytest.mark.parametrize("kind", [Kind.TOKEN, Kind.USER])
def test_of_many_who_create_one_name_at_once_one_succeeds(credentials, kind):
    assert at_once(8, lambda: credentials.create(wanted(kind))) == 1
    assert len(states(credentials, kind)) == 1


# rotate


@pytest.mark.parametrize("kind", Kind)
def test_a_rotation_gives_a_second_one_that_is_the_same_otherwise(credentials, kind):
    scopes = frozenset({Scope.LOGS_WRITE.value, Scope.EVENTS_WRITE.value})
    created = int(time.time()) - 30 * DAY
    first = credentials.create(
        wanted(kind, scopes=scopes, created_at=created, expires_at=created + 90 * DAY)
    ).credential
    second = credentials.rotate(first.id).credential
    assert (second.kind, second.name, second.project, second.scopes) == (kind, "ci", PROJECT, scopes)
    assert second.expires_at
    assert second.expires_at - second.created_at == 90 * DAY
    assert abs(second.created_at - time.time()) < 60
    assert states(credentials, kind) == {first.id: "active", second.id: "active"}


@pytest.mark.parametrize("kind", Kind)
def test_a_third_is_refused_until_one_is_disabled(credentials, kind):
    first = credentials.create(wanted(kind)).credential
    second = credentials.rotate(first.id).credential
    for each in (first, second):
        with pytest.raises(Refused, match=f"(?=.*{first.id})(?=.*{second.id}).*disable or delete one"):
            credentials.rotate(each.id)
    credentials.disable(first.id)
    third = credentials.rotate(second.id).credential
    found = states(credentials, kind)
    assert {id for id, state in found.items() if state == "active"} == {second.id, third.id}


def test_a_disabled_password_gives_its_place_to_the_next(credentials):
    first = credentials.create(wanted(Kind.USER)).credential
    second = credentials.rotate(first.id).credential
    credentials.disable(first.id)
    third = credentials.rotate(second.id).credential
    assert states(credentials, Kind.USER) == {second.id: "active", third.id: "active"}


def test_one_that_expired_can_be_renewed(credentials):
    past = int(time.time()) - 10
    first = credentials.create(wanted(Kind.TOKEN, created_at=past - DAY, expires_at=past)).credential
    second = credentials.rotate(first.id).credential
    assert states(credentials, Kind.TOKEN) == {first.id: "expired", second.id: "active"}


@pytest.mark.parametrize("kind", [Kind.TOKEN, Kind.USER])
def test_of_many_who_rotate_at_once_one_succeeds(credentials, kind):
    first = credentials.create(wanted(kind)).credential
    assert at_once(8, lambda: credentials.rotate(first.id)) == 1
    assert len(states(credentials, kind)) == ACTIVE_MAX


def test_enabling_and_rotating_at_once_do_not_make_three(credentials):
    first = credentials.create(wanted(Kind.TOKEN)).credential
    second = credentials.rotate(first.id).credential
    credentials.disable(first.id)
    assert at_once(8, lambda: credentials.rotate(second.id), lambda: credentials.enable(first.id)) >= 1
    assert list(states(credentials, Kind.TOKEN).values()).count("active") == ACTIVE_MAX


def at_once(times: int, *actions: Any) -> int:
    """How many of the actions succeeded, done so many times by threads; the others were refused."""

    def attempt(action: Any) -> bool:
        try:
            action()
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        return sum(threads.map(attempt, actions * times))


# disable, enable, delete


def test_a_disabled_token_stops_and_an_enabled_one_works(credentials):
    made = credentials.create(wanted(Kind.TOKEN))
    headers = {"x-auth-token": made.secrets["token"]}

    def status() -> int:
        forget_aws()  # what it knows of the credential
        return send("list_logs", headers=headers).status

    assert status() == 200
    for _ in range(2):  # the second time changes nothing
        credentials.disable(made.credential.id)
        assert status() == 401
    for _ in range(2):
        credentials.enable(made.credential.id)
        assert status() == 200
    credentials.delete(made.credential.id)
    assert status() == 401


def test_one_is_not_enabled_beside_two_that_work(credentials):
    first = credentials.create(wanted(Kind.TOKEN)).credential
    second = credentials.rotate(first.id).credential
    credentials.disable(first.id)
    third = credentials.rotate(second.id).credential
    with pytest.raises(Refused, match="both work already"):
        credentials.enable(first.id)
    credentials.delete(third.id)
    credentials.enable(first.id)


@pytest.mark.parametrize("what", ["rotate", "disable", "enable", "delete"])
def test_an_unknown_id_is_told(credentials, what):
    with pytest.raises(Refused, match="there is no credential LKNOBODY"):
        getattr(credentials, what)("LKNOBODY")


def test_an_id_that_two_rows_have_is_not_guessed(credentials):
    with pytest.raises(Refused, match="2 credentials have the id token-id"):
        credentials.disable("token-id")  # the tests' own, of two projects
