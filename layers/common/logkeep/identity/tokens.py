"""Tokens that a login issues: JSON Web Tokens, HS256, valid for a day. They are not stored."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import jwt

from logkeep.errors import TokenInvalid
from logkeep.identity.credentials import Credential, check_expiry

LIFETIME: Final = 24 * 3600  # seconds
_ALGORITHM: Final = "HS256"
_ISSUER: Final = "logkeep"


@dataclass(frozen=True, slots=True)
class SigningKey:
    id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Claims:
    """The content of a token: a credential by place and id, and its project and scopes at the login."""

    place: str
    credential_id: str
    project: str
    scopes: frozenset[str]
    issued_at: int  # epoch seconds
    expires_at: int


def looks_issued(token: str) -> bool:
    """Whether a token has the form of an issued one. Tokens that are stored as hashes have no dots."""
    return token.count(".") == 2


def claims_for(credential: Credential, place: str, now: float) -> Claims:
    """The claims of a token issued at `now` (epoch seconds). It expires no later than its credential."""
    expires_at = min(int(now) + LIFETIME, credential.expires_at or int(now) + LIFETIME)
    return Claims(place, credential.id, credential.project, credential.scopes, int(now), expires_at)


def issue(claims: Claims, key: SigningKey) -> str:
    payload = {
        "iss": _ISSUER,
        "sub": claims.place,
        "cid": claims.credential_id,
        "prj": claims.project,
        "scp": sorted(claims.scopes),
        "iat": claims.issued_at,
        "exp": claims.expires_at,
    }
    return jwt.encode(payload, key.secret, _ALGORITHM, headers={"kid": key.id})


def read(token: str, key_of: Callable[[str], SigningKey | None], now: float) -> Claims:
    """The claims of a token, whose key `key_of` finds by its id; now in epoch seconds.

    Raises TokenInvalid if the signature or its key is wrong, TokenExpired if the token is too old.
    """
    try:
        key = key_of(str(jwt.get_unverified_header(token).get("kid", "")))
        if key is None:
            raise TokenInvalid("the token is signed with a key that is no longer valid")
        # The expiry is checked below, against `now`.
        found: dict[str, Any] = jwt.decode(
            token,
            key.secret,
            [_ALGORITHM],
            issuer=_ISSUER,
            options={"verify_exp": False, "verify_iat": False, "require": ["exp", "iat", "sub", "cid", "prj", "scp"]},
        )
    except (jwt.PyJWTError, ValueError) as error:
        raise TokenInvalid("this service did not issue the token") from error
    check_expiry(found["exp"], now)
    return Claims(found["sub"], found["cid"], found["prj"], frozenset(found["scp"]), found["iat"], found["exp"])
