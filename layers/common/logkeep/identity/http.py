"""Proof of a request: who sent it, by a signature, by X-Auth-Token, or by Kuscia's Token (docs/apis.md#identity)."""

import base64
import binascii
import time
from collections.abc import Mapping
from typing import Any, Final

from logkeep.errors import Invalid, SignatureRefused, TokenInvalid, TokenMissing
from logkeep.identity.credential_store import credential_store
from logkeep.identity.credentials import Caller, Kind, access_key_place, prove, token_place
from logkeep.identity.signature import Authorization, SignedRequest, is_signature, verify
from logkeep.identity.token_key_store import token_keys
from logkeep.identity.tokens import looks_issued, read

TOKEN_MAX: Final = 100_000  # characters: the published maximum of X-Auth-Token (docs/apis.md#codearts-check)
_HEADERS: Final = {Kind.TOKEN: "x-auth-token", Kind.KUSCIA_TOKEN: "token"}


def caller_of(event: Mapping[str, Any], headers: Mapping[str, str], kind: Kind, *, unsigned_body: bool) -> Caller:
    """The sender of a request, given as an event of payload 2.0 and its headers by lower-case name.

    `kind` is TOKEN, which also allows a signature, or KUSCIA_TOKEN. `unsigned_body` allows a signature that leaves out
    the body. If a signature and a token are sent, the signature counts: SDKs sign requests whatever else they send.
    Raises a subclass of Unauthenticated if nothing proves the sender.
    """
    authorization = headers.get("authorization", "")
    if kind is Kind.TOKEN and is_signature(authorization):
        return _by_signature(event, headers, authorization, unsigned_body=unsigned_body)
    token = headers.get(_HEADERS[kind], "")
    if not token or len(token) > TOKEN_MAX:
        raise TokenMissing("")
    if kind is Kind.TOKEN and looks_issued(token):
        return _by_issued_token(token)
    return _by_stored_token(kind, token)


def body_of(event: Mapping[str, Any]) -> bytes:
    """The body of a request, as the gateway passed it on. Raises Invalid if it is marked as base64 but is not."""
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode(errors="surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("body", "not base64") from error


def _by_signature(
    event: Mapping[str, Any], headers: Mapping[str, str], authorization: str, *, unsigned_body: bool
) -> Caller:
    given = Authorization.parse(authorization)
    if headers.get("x-security-token"):
        raise SignatureRefused("verify aksk signature fail, temporary keys (x-security-token) are not supported")
    now = time.time()
    store = credential_store()
    credential = store.at(access_key_place(given.access_key))
    if credential is None or credential.disabled:
        raise SignatureRefused(f"Get secretKey failed,ak:{given.access_key},err:ak not exist")
    context = event["requestContext"]
    request = SignedRequest(
        method=context["http"]["method"],
        path=event["rawPath"],
        query=event.get("rawQueryString") or "",
        headers=headers,
        domain=context.get("domainName") or "",
        body=body_of(event),
    )
    verify(given, request, store.secret_of(credential), now, unsigned_body=unsigned_body)
    return prove(credential, now)


def _by_issued_token(token: str) -> Caller:
    """The user that logged in for a token."""
    now = time.time()
    claims = read(token, token_keys().find, now)
    credential = credential_store().at(claims.place)
    # A token ends with the password that it was issued for: when that is deleted, or replaced at its place.
    if credential is None or (credential.id, credential.project) != (claims.credential_id, claims.project):
        raise TokenInvalid("the credential is not known")
    return prove(credential, now, claims.scopes)


def _by_stored_token(kind: Kind, token: str) -> Caller:
    """The holder of a token that logkeep-admin made."""
    return prove(credential_store().at(token_place(kind, token)), time.time())
