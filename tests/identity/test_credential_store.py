"""Credentials: how long one is remembered, how a secret is kept, and whose a user's passwords are."""

import os
import time
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.emulator import values_of
from local.sample import AK, SK, write_credentials
from logkeep.aws import clients
from logkeep.identity.credential_store import CACHED_FOR, CredentialStore, credential_store
from logkeep.identity.credentials import Kind, access_key_place, token_place, user_id, user_place
from tests.calls import PROJECT, TOKENS, credential
from tests.conftest import TEMPLATE
from tests.faults import counted

pytestmark = pytest.mark.usefixtures("aws")
PLACE = token_place(Kind.TOKEN, TOKENS[Kind.TOKEN])


@pytest.fixture
def kms_key() -> str:
    return values_of(TEMPLATE, os.environ["AWS_ENDPOINT_URL"])["CredentialsKey"]


@pytest.fixture
def store() -> CredentialStore:
    return credential_store()


def test_a_row_comes_back_as_it_was_put(store) -> None:
    full = credential(
        Kind.USER, created_at=1_769_860_800, expires_at=2**40, disabled=True, secret=b"\0\xff", scopes=frozenset()
    )
    for place, each in (("user/x/1", full), ("token/y", credential())):
        store.put(place, each)
        assert store.at(place) == each


def test_a_credential_is_read_once_in_a_while(store, monkeypatch) -> None:
    with counted() as counts:
        for _ in range(20):
            assert store.at(PLACE)
    assert counts == {"GetItem": 1}
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + CACHED_FOR)
    with counted() as counts:
        store.at(PLACE)
    assert counts == {"GetItem": 1}


@pytest.mark.parametrize("changes", [{"disabled": True}, {"project": "p2"}, {"scopes": frozenset()}])
def test_a_change_is_seen_within_a_minute(store, monkeypatch, changes) -> None:
    assert store.at(PLACE) == credential()
    changed = credential(**changes)
    CredentialStore(clients.dynamodb(), clients.kms(), os.environ["CREDENTIALS_TABLE"]).put(PLACE, changed)
    assert store.at(PLACE) == credential()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 59)
    assert store.at(PLACE) == changed


def test_a_deleted_credential_is_gone_within_a_minute(store, monkeypatch) -> None:
    store.at(PLACE)
    clients.dynamodb().delete_item(TableName=os.environ["CREDENTIALS_TABLE"], Key={"pk": {"S": PLACE}})
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 59)
    assert store.at(PLACE) is None


def test_one_that_is_not_there_is_looked_for_every_time(store) -> None:
    """So that a new one works at once."""
    assert store.at("token/new") is None
    store.put("token/new", credential())
    assert store.at("token/new") == credential()


def test_what_is_remembered_is_bounded(store, monkeypatch) -> None:
    monkeypatch.setattr("logkeep.identity.credential_store._CACHED_MAX", 5)
    for number in range(12):
        store.put(f"token/{number}", credential())
        assert store.at(f"token/{number}")
        assert len(store._cached) <= 5


def test_a_secret_is_encrypted_and_decrypted_once(store, kms_key) -> None:
    write_credentials(kms_key)
    row = clients.dynamodb().get_item(
        TableName=os.environ["CREDENTIALS_TABLE"], Key={"pk": {"S": access_key_place(AK)}}
    )["Item"]
    assert SK.encode() not in row["secret"]["B"]
    assert SK not in str({name: value for name, value in row.items() if name != "secret"})
    found = store.at(access_key_place(AK))
    assert found
    assert SK not in repr(found)
    with counted() as counts:
        assert [store.secret_of(found) for _ in range(5)] == [SK] * 5
    assert counts == {"Decrypt": 1}


def test_a_secret_is_tied_to_its_access_key(store, kms_key, monkeypatch) -> None:
    asked: dict[str, Any] = {}

    def encrypt(**call: Any) -> dict[str, bytes]:
        asked["encrypt"] = call["EncryptionContext"]
        return {"CiphertextBlob": b"sealed"}

    def decrypt(**call: Any) -> dict[str, bytes]:
        asked["decrypt"] = call["EncryptionContext"]
        return {"Plaintext": b"secret"}

    monkeypatch.setattr(store._kms, "encrypt", encrypt)
    monkeypatch.setattr(store._kms, "decrypt", decrypt)
    store.put_access_key(credential(Kind.ACCESS_KEY, id="AK1"), "secret", kms_key)
    kept = store.at(access_key_place("AK1"))
    assert kept
    assert (kept.secret, store.secret_of(kept)) == (b"sealed", "secret")
    assert asked["encrypt"] == asked["decrypt"] == {"access_key": "AK1"}


def test_a_secret_copied_into_another_row_does_not_open(store, kms_key) -> None:
    store.put_access_key(credential(Kind.ACCESS_KEY, id="AK1"), "secret", kms_key)
    kept = store.at(access_key_place("AK1"))
    assert kept
    assert store.secret_of(kept) == "secret", "and is remembered from here on"
    with pytest.raises(ClientError, match="InvalidCiphertext"):
        store.secret_of(replace(kept, id="AK2"))


def test_what_kms_refuses_is_an_error_and_no_empty_secret(store) -> None:
    with pytest.raises(ClientError):
        store.secret_of(credential(Kind.ACCESS_KEY, secret=b"nothing that was ever encrypted"))


def test_a_user_has_at_most_two_passwords_read_as_they_are_now(store) -> None:
    id = user_id("alice")
    assert list(store.user(id)) == []
    for slot in (1, 2, 3):
        store.put(user_place(id, slot), credential(Kind.USER, id=f"password-{slot}"))
    with counted() as counts:
        found = dict(store.user(id))
    assert [each.id for each in found.values()] == ["password-1", "password-2"]
    assert list(found) == [user_place(id, 1), user_place(id, 2)]
    assert counts == {"GetItem": 2}


@pytest.mark.parametrize("id", ["x/1", "../access-key", "x" * 255, "😀" * 255, "\0", " ", "a/b/c"])
def test_no_id_that_a_client_can_choose_finds_a_row_of_another_kind(store, id) -> None:
    for place in ("access-key/AK", "token/x", "user/x/1", "user/b/1"):
        store.put(place, credential(project=PROJECT))
    assert list(store.user(id)) == []
