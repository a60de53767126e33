"""Credentials in DynamoDB, table Credentials: a row per secret, kept in memory for less than a minute.

A row lies at token kinds' {kind}/{hash of the token}, access-key/{access key id} or user/{user id}/{slot}. A guard is
a row without a credential: a number, which everyone raises who makes credentials of its name work. Functions need
none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from logkeep.aws import clients
from logkeep.aws.dynamo import decode, encode, transact
from logkeep.identity.credentials import USER_SLOTS, Credential, Kind, access_key_place, user_place
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef
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
        self._opened: dict[tuple[str, bytes], str] = {}

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
        opening = (credential.id, sealed)
        if opening not in self._opened:
            context = _encryption_context(credential.id)
            opened = self._kms.decrypt(CiphertextBlob=sealed, EncryptionContext=context)["Plaintext"].decode()
            if len(self._opened) >= _CACHED_MAX:
                self._opened.clear()
            self._opened[opening] = opened
        return self._opened[opening]

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
        sealed = self.seal(credential.id, secret, kms_key)
        self.put(access_key_place(credential.id), replace(credential, secret=sealed))

    def seal(self, access_key: str, secret: str, kms_key: str) -> bytes:
        """The secret of an access key as it is kept."""
        context = _encryption_context(access_key)
        sealed = self._kms.encrypt(KeyId=kms_key, Plaintext=secret.encode(), EncryptionContext=context)
        return sealed["CiphertextBlob"]

    # For who manages them.

    def all(self) -> Iterator[tuple[str, Credential]]:
        """The places and rows of all credentials, as they are now; a scan, since the table is small."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
        rows = (decode(item) for page in pages for item in page["Items"])
        return ((row["pk"], _credential_of(row)) for row in rows if "kind" in row)

    def guard(self, name: str) -> int:
        """What a guard stands at, for add() and enable() to compare."""
        key = encode({"pk": _guard_place(name)})
        item = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return int(item["version"]["N"]) if item else 0

    def add(self, place: str, credential: Credential, replaced: Credential | None, guard: tuple[str, int]) -> bool:
        """Keep a credential where there is none, or only this one; False where the guard has moved or someone came."""
        put: TransactWriteItemTypeDef = {
            "Put": {
                "TableName": self._table,
                "Item": encode(_row_of(place, credential)),
                "ConditionExpression": "attribute_not_exists(pk) OR #id = :replaced",
                "ExpressionAttributeNames": {"#id": "id"},
                "ExpressionAttributeValues": encode({":replaced": replaced.id if replaced else ""}),
            }
        }
        return not transact(self._dynamodb, [self._raised(*guard), put]).refused

    def enable(self, place: str, id: str, guard: tuple[str, int]) -> bool:
        """Let a credential work again; False where the guard has moved or it is not there any more."""
        return not transact(
            self._dynamodb, [self._raised(*guard), self._set_disabled(place, id, disabled=False)]
        ).refused

    def disable(self, place: str, id: str) -> bool:
        """Stop a credential; False where it is not there any more."""
        return not transact(self._dynamodb, [self._set_disabled(place, id, disabled=True)]).refused

    def delete(self, place: str, id: str) -> bool:
        """Remove a credential; False where it is not there any more."""
        delete: TransactWriteItemTypeDef = {
            "Delete": {
                "TableName": self._table,
                "Key": encode({"pk": place}),
                "ConditionExpression": "#id = :id",
                "ExpressionAttributeNames": {"#id": "id"},
                "ExpressionAttributeValues": encode({":id": id}),
            }
        }
        return not transact(self._dynamodb, [delete]).refused

    def _set_disabled(self, place: str, id: str, *, disabled: bool) -> TransactWriteItemTypeDef:
        return {
            "Update": {
                "TableName": self._table,
                "Key": encode({"pk": place}),
                "UpdateExpression": "SET disabled = :disabled",
                "ConditionExpression": "#id = :id",
                "ExpressionAttributeNames": {"#id": "id"},
                "ExpressionAttributeValues": encode({":id": id, ":disabled": disabled}),
            }
        }

    def _raised(self, name: str, seen: int) -> TransactWriteItemTypeDef:
        return {
            "Put": {
                "TableName": self._table,
                "Item": encode({"pk": _guard_place(name), "version": seen + 1}),
                "ConditionExpression": "attribute_not_exists(pk) OR version = :seen",
                "ExpressionAttributeValues": encode({":seen": seen}),
            }
        }


@cache
def credential_store() -> CredentialStore:
    return CredentialStore(clients.dynamodb(), clients.kms(), settings().credentials_table)


def _encryption_context(access_key: str) -> dict[str, str]:
    """Ties a ciphertext to its row: copied into another, it does not open."""
    return {"access_key": access_key}


def _guard_place(name: str) -> str:
    return f"guard/{name}"


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
