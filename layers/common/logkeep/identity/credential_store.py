"""Credentials in DynamoDB, table Credentials: one item per secret, cached in memory for less than a minute.

The key of an item (its place) is {kind}/{hash of the token} for tokens, access-key/{access key id} or
user/{user id}/{slot}. A guard is an item with only a version. Whoever adds or enables a credential raises the guard of
its name in the same transaction, so that of two who do it at once one fails. Only logkeep-admin uses guards.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from logkeep.aws import clients
from logkeep.aws.dynamo import decode, encode, put, transact
from logkeep.identity.credentials import USER_SLOTS, Credential, Kind, access_key_place, user_place
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef
    from mypy_boto3_kms import KMSClient

# Seconds. Reads are eventually consistent: even with a second of replica lag, a disabled credential stops within a
# minute.
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
        """The credential at a place, at most CACHED_FOR seconds old. Absence is not cached."""
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
        """The secret of an access key. It is decrypted once per process."""
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
        """The places and credentials of a user's passwords, read consistently."""
        for place in (user_place(id, slot) for slot in USER_SLOTS):
            item = self._dynamodb.get_item(TableName=self._table, Key=encode({"pk": place}), ConsistentRead=True)
            if "Item" in item:
                yield place, _credential_of(decode(item["Item"]))

    def put(self, place: str, credential: Credential) -> None:
        put(self._dynamodb, TableName=self._table, Item=encode(_item_of(place, credential)))

    def put_access_key(self, credential: Credential, secret: str, kms_key: str) -> None:
        """Store an access key, whose id is the credential's, with its secret encrypted. kms_key: id, ARN or alias."""
        sealed = self.seal(credential.id, secret, kms_key)
        self.put(access_key_place(credential.id), replace(credential, secret=sealed))

    def seal(self, access_key: str, secret: str, kms_key: str) -> bytes:
        """The secret of an access key, encrypted as it is stored."""
        context = _encryption_context(access_key)
        sealed = self._kms.encrypt(KeyId=kms_key, Plaintext=secret.encode(), EncryptionContext=context)
        return sealed["CiphertextBlob"]

    # For logkeep-admin only.

    def all(self) -> Iterator[tuple[str, Credential]]:
        """The places and credentials of the table, read consistently. It is a scan, since the table is small."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
        items = (decode(item) for page in pages for item in page["Items"])
        return ((item["pk"], _credential_of(item)) for item in items if "kind" in item)

    def guard(self, name: str) -> int:
        """The version of a guard, for add() and enable() to compare; 0 if there is none yet."""
        key = encode({"pk": _guard_place(name)})
        item = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return int(item["version"]["N"]) if item else 0

    def add(self, place: str, credential: Credential, replaced: Credential | None, guard: tuple[str, int]) -> bool:
        """Store a credential at a place that is empty or holds `replaced`.

        Returns False if the guard was raised since it was read, or the place holds another credential.
        """
        put: TransactWriteItemTypeDef = {
            "Put": {
                "TableName": self._table,
                "Item": encode(_item_of(place, credential)),
                "ConditionExpression": "attribute_not_exists(pk) OR #id = :replaced",
                "ExpressionAttributeNames": {"#id": "id"},
                "ExpressionAttributeValues": encode({":replaced": replaced.id if replaced else ""}),
            }
        }
        return not transact(self._dynamodb, [self._raise_guard(*guard), put]).refused

    def enable(self, place: str, id: str, guard: tuple[str, int]) -> bool:
        """Enable a disabled credential; False if the guard was raised since it was read or the credential is gone."""
        return not transact(
            self._dynamodb, [self._raise_guard(*guard), self._set_disabled(place, id, disabled=False)]
        ).refused

    def disable(self, place: str, id: str) -> bool:
        """Disable a credential; False if it is gone."""
        return not transact(self._dynamodb, [self._set_disabled(place, id, disabled=True)]).refused

    def delete(self, place: str, id: str) -> bool:
        """Remove a credential; False if it is gone already."""
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

    def _raise_guard(self, name: str, seen: int) -> TransactWriteItemTypeDef:
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
    """Binds a ciphertext to its access key: it cannot be decrypted from another item."""
    return {"access_key": access_key}


def _guard_place(name: str) -> str:
    return f"guard/{name}"


def _item_of(place: str, credential: Credential) -> dict[str, Any]:
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


def _credential_of(item: dict[str, Any]) -> Credential:
    return Credential(
        id=item["id"],
        kind=Kind(item["kind"]),
        name=item["name"],
        project=item["project"],
        scopes=frozenset(item["scopes"]),
        created_at=item["created_at"],
        expires_at=item.get("expires_at"),
        disabled=item["disabled"],
        secret=item.get("secret"),
    )
