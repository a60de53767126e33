"""Credentials in DynamoDB, table Credentials: a row per secret, kept in memory for less than a minute.

A row lies at token kinds' {kind}/{hash of the token}, access-key/{access key id} or user/{user id}/{slot}.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from logkeep.aws import clients
from logkeep.aws.dynamo import decode, encode
from logkeep.identity import USER_SLOTS, Credential, Kind, access_key_place, user_place
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

# Seconds. Reads are eventually consistent: with the second that a replica may lag, a disabled credential still stops
# within a minute.
CACHED_FOR: Final = 50.0
_CACHED_MAX: Final = 1000


class CredentialStore:
    def __init__(self, dynamodb: DynamoDBClient, kms: KMSClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._kms = kms
        self._table = table
        self._cached: dict[str, tuple[float, Credential]] = {}
        self._opened: dict[bytes, str] = {}

    def at(self, place: str) -> Credential | None:
        """The credential at a place, at most CACHED_FOR old; one that is not there is looked up every time."""
        found = self._cached.get(place)
        if found and time.monotonic() - found[0] < CACHED_FOR:
            return found[1]
        item = self._dynamodb.get_item(TableName=self._table, Key=encode({"pk": place})).get("Item")
        if item is None:
            self._cached.pop(place, None)
            return None
        credential = _credential_of(decode(item))
        if len(self._cached) >= _CACHED_MAX:
            self._cached.clear()
        self._cached[place] = (time.monotonic(), credential)
        return credential

    def secret_of(self, credential: Credential) -> str:
        """The secret of an access key, decrypted once for as long as this process lives."""
        sealed = credential.secret or b""
        if sealed not in self._opened:
            context = _encryption_context(credential.id)
            opened = self._kms.decrypt(CiphertextBlob=sealed, EncryptionContext=context)["Plaintext"].decode()
            if len(self._opened) >= _CACHED_MAX:
                self._opened.clear()
            self._opened[sealed] = opened
        return self._opened[sealed]

    def user(self, id: str) -> Iterator[tuple[str, Credential]]:
        """The places and rows of a user's passwords, as they are now."""
        for place in (user_place(id, slot) for slot in USER_SLOTS):
            item = self._dynamodb.get_item(TableName=self._table, Key=encode({"pk": place}), ConsistentRead=True)
            if "Item" in item:
                yield place, _credential_of(decode(item["Item"]))

    def put(self, place: str, credential: Credential) -> None:
        self._dynamodb.put_item(TableName=self._table, Item=encode(_row_of(place, credential)))

    def put_access_key(self, credential: Credential, secret: str, kms_key: str) -> None:
        """Keep an access key, whose id is the credential's, with its secret encrypted; kms_key by id, ARN or alias."""
        context = _encryption_context(credential.id)
        sealed = self._kms.encrypt(KeyId=kms_key, Plaintext=secret.encode(), EncryptionContext=context)
        row = _row_of(access_key_place(credential.id), credential) | {"secret": sealed["CiphertextBlob"]}
        self._dynamodb.put_item(TableName=self._table, Item=encode(row))


@cache
def credential_store() -> CredentialStore:
    return CredentialStore(clients.dynamodb(), clients.kms(), settings().credentials_table)


def _encryption_context(access_key: str) -> dict[str, str]:
    """Ties a ciphertext to its row: copied into another, it does not open."""
    return {"access_key": access_key}


def _row_of(place: str, credential: Credential) -> dict[str, Any]:
    return {
        "pk": place,
        "id": credential.id,
        "kind": credential.kind.value,
        "name": credential.name,
        "project": credential.project,
        "scopes": sorted(credential.scopes),
        "created_at": credential.created_at,
        "expires_at": credential.expires_at,
        "disabled": credential.disabled,
        "secret": credential.secret,
    }


def _credential_of(row: dict[str, Any]) -> Credential:
    return Credential(
        id=row["id"],
        kind=Kind(row["kind"]),
        name=row["name"],
        project=row["project"],
        scopes=frozenset(row["scopes"]),
        created_at=row["created_at"],
        expires_at=row.get("expires_at"),
        disabled=row["disabled"],
        secret=row.get("secret"),
    )
