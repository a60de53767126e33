"""Tokens in DynamoDB: table Credentials, pk=token/{hash}, kept in memory for at most a minute."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Final

from logkeep.aws import clients
from logkeep.aws.dynamo import decode, encode
from logkeep.identity import Credential, TokenKind, token_hash
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CACHED_FOR: Final = 60.0  # seconds in which a disabled credential still works
_CACHED_MAX: Final = 1000


class CredentialStore:
    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._cached: dict[str, tuple[float, Credential]] = {}

    def find(self, kind: TokenKind, token: str) -> Credential | None:
        """The credential of a token, at most CACHED_FOR old; an unknown token is looked up every time."""
        name = token_hash(kind, token)
        found = self._cached.get(name)
        if found and time.monotonic() - found[0] < CACHED_FOR:
            return found[1]
        item = self._dynamodb.get_item(TableName=self._table, Key=encode({"pk": f"token/{name}"})).get("Item")
        if item is None:
            self._cached.pop(name, None)
            return None
        row = decode(item)
        credential = Credential(
            project=row["project"],
            scopes=frozenset(row["scopes"]),
            expires_at=row.get("expires_at"),
            disabled=row.get("disabled", False),
        )
        if len(self._cached) >= _CACHED_MAX:
            self._cached.clear()
        self._cached[name] = (time.monotonic(), credential)
        return credential

    def put(self, kind: TokenKind, token: str, credential: Credential) -> None:
        row = {
            "pk": f"token/{token_hash(kind, token)}",
            "project": credential.project,
            "scopes": sorted(credential.scopes),
            "expires_at": credential.expires_at,
            "disabled": credential.disabled,
        }
        self._dynamodb.put_item(TableName=self._table, Item=encode(row))


@cache
def credential_store() -> CredentialStore:
    return CredentialStore(clients.dynamodb(), settings().credentials_table)
