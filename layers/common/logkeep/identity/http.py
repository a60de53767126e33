"""Who sent a request: proved by a signature, by X-Auth-Token, or by Kuscia's Token."""

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

TOKEN_MAX: Final = 100_000  # characters, seed 004
_HEADER: Final = {Kind.TOKEN: "x-auth-token", Kind.KUSCIA_TOKEN: "token"}


def caller_of(event: Mapping[str, Any], headers: Mapping[str, str], kind: Kind, *, unsigned_body: bool) -> Caller:
    """The caller of a payload-2.0 event; raise Unauthenticated where nothing proves one.

    A signature counts before a token that comes with it, as SDKs sign whatever else they send.
    """
    authorization = headers.get("authorization", "")
    if kind is Kind.TOKEN and is_signature(authorization):
        return _by_signature(event, headers, authorization, unsigned_body=unsigned_body)
    token = headers.get(_HEADER[kind], "")
    if not token or len(token) > TOKEN_MAX:
        raise TokenMissing("")
    if kind is Kind.TOKEN and looks_issued(token):
        return _by_issued_token(token)
    return prove(credential_store().at(token_place(kind, token)), time.time())


def body_of(event: Mapping[str, Any]) -> bytes:
    """The bytes of the body, as far as the gateway handed them over; raise Invalid where they are no base64."""
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
    now = time.time()
    claims = read(token, token_keys().find, now)
    credential = credential_store().at(claims.place)
    # A password that was deleted, or replaced at its place, ends the tokens that it gave.
    if credential is None or (credential.id, credential.project) != (claims.credential_id, claims.project):
        raise TokenInvalid("the credential is not known")
    return prove(credential, now, claims.scopes)
