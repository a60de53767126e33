"""Tokens in the header Authorization: Bearer (RFC 6750) and Basic (RFC 7617), whose password is the token."""

import base64
import re
from dataclasses import dataclass
from typing import Final

from logkeep.errors import AuthorizationRefused

BEARER: Final = "bearer"
BASIC: Final = "basic"
# One of the schemes at the start of a list or after a comma, as gateways join headers that are sent twice.
_OURS: Final = re.compile(rf"(?:^|,)\s*(?:{BEARER}|{BASIC})(?![\w-])", re.IGNORECASE | re.ASCII)
_ONE: Final = re.compile(
    rf"[ \t]*(?P<scheme>{BEARER}|{BASIC}) +(?P<value>[A-Za-z0-9._~+/-]+=*)[ \t]*", re.IGNORECASE | re.ASCII
)


@dataclass(frozen=True, slots=True)
class Carried:
    """A token and the scheme that carries it, BEARER or BASIC."""

    scheme: str
    token: str


def carried_in(authorization: str) -> Carried | None:
    """The token in an Authorization header, None if it has neither scheme.

    Raises AuthorizationRefused if it has one, but no token or more than one. No text of it is in the error.
    """
    if not _OURS.search(authorization):
        return None
    found = _ONE.fullmatch(authorization)
    if not found:
        raise AuthorizationRefused("the Authorization header must be one Bearer TOKEN, or one Basic BASE64(USER:TOKEN)")
    scheme = found["scheme"].lower()
    return Carried(scheme, _password(found["value"]) if scheme == BASIC else found["value"])


def _password(value: str) -> str:
    """The password of a Basic header. The user name may be any bytes: old clients send it in Latin-1."""
    try:
        _, colon, password = base64.b64decode(value, validate=True).partition(b":")
        token = password.decode()
    except ValueError:
        raise AuthorizationRefused("the Basic Authorization header must be base64 of USER:TOKEN in UTF-8") from None
    if not colon:
        raise AuthorizationRefused("the Basic Authorization header has no colon between user name and token")
    if not token:
        raise AuthorizationRefused("the Basic Authorization header has no password: it must be the token")
    return token
