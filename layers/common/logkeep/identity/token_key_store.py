"""The keys that tokens are signed with: the current and the previous version of a secret in Secrets Manager.

A new version of the secret rotates the keys. Tokens signed with the previous version stay valid, older ones do not.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Final

from logkeep.aws import clients
from logkeep.identity.tokens import SigningKey
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

CACHED_FOR: Final = 300.0  # seconds for which a key that was rotated out is still accepted
# Seconds between reads for unknown key ids: anyone can send such ids, since they come from tokens not yet verified.
_REREAD_AFTER: Final = 5.0


class TokenKeys:
    def __init__(self, secrets: SecretsManagerClient, secret_id: str) -> None:
        self._secrets = secrets
        self._secret_id = secret_id
        self._keys: list[SigningKey] = []
        self._read_at = float("-inf")
        self._reread = False

    def current(self) -> SigningKey:
        """The key that new tokens are signed with."""
        if time.monotonic() - self._read_at > CACHED_FOR:
            self._read()
        return self._keys[0]

    def find(self, id: str) -> SigningKey | None:
        """A valid key by its id. An unknown id may name a new key, so the secret is read again."""
        age = time.monotonic() - self._read_at
        if age > CACHED_FOR:
            self._read()
            self._reread = False
        if id not in self._known and (not self._reread or age > _REREAD_AFTER):
            self._read()
            self._reread = True
        return self._known.get(id)

    @property
    def _known(self) -> dict[str, SigningKey]:
        return {key.id: key for key in self._keys}

    def _read(self) -> None:
        keys = []
        for stage in ("AWSCURRENT", "AWSPREVIOUS"):
            try:
                found = self._secrets.get_secret_value(SecretId=self._secret_id, VersionStage=stage)
            except self._secrets.exceptions.ResourceNotFoundException:
                if stage == "AWSCURRENT":
                    raise
                continue  # never rotated
            keys.append(SigningKey(found["VersionId"], found["SecretString"]))
        self._keys, self._read_at = keys, time.monotonic()


@cache
def token_keys() -> TokenKeys:
    return TokenKeys(clients.secretsmanager(), settings().token_keys)
