"""Proof of a request: who sent it, by a signature or a token, in whatever header (docs/apis.md#identity)."""

import base64
import binascii
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from logkeep.errors import AuthorizationRefused, Invalid, SignatureRefused, TokenInvalid, TokenMissing
from logkeep.identity.authorization import BASIC, carried_in
from logkeep.identity.credential_store import credential_store
from logkeep.identity.credentials import Caller, Kind, access_key_place, prove, token_place
from logkeep.identity.signature import ALGORITHM, Authorization, SignedRequest, is_signature, verify
from logkeep.identity.token_key_store import token_keys
from logkeep.identity.tokens import looks_issued, read

TOKEN_MAX: Final = 100_000  # characters: the published maximum of X-Auth-Token (docs/apis.md#codearts-check)
_HEADERS: Final = {Kind.TOKEN: "x-auth-token", Kind.KUSCIA_TOKEN: "token"}
_CHALLENGE: Final = 'Bearer realm="logkeep", Basic realm="logkeep", charset="UTF-8"'
# What WWW-Authenticate says to a caller without a proof, by the kind of token that a function takes.
CHALLENGES: Final = {
    Kind.TOKEN: f'{_CHALLENGE}, {ALGORITHM} realm="logkeep"',
    Kind.KUSCIA_TOKEN: _CHALLENGE,
    Kind.USER: 'Keystone realm="logkeep"',  # a login, by its body
}
_READS: Final = {"GET", "HEAD"}
_OTHER_SITES: Final = {"cross-site", "same-site"}  # values of Sec-Fetch-Site, which only browsers send


def caller_of(event: Mapping[str, Any], headers: Mapping[str, str], kind: Kind, *, unsigned_body: bool) -> Caller:
    """The sender of a request, given as an event of payload 2.0 and its headers by lower-case name.

    `kind` is TOKEN, which also allows a signature, or KUSCIA_TOKEN. `unsigned_body` allows a signature that leaves out
    the body. If a signature and a token are sent, the signature counts: SDKs sign requests whatever else they send. If
    two headers carry tokens, they must be equal. Raises a subclass of Unauthenticated if nothing proves
    the sender.
    """
    authorization = headers.get("authorization", "")
    if kind is Kind.TOKEN and is_signature(authorization):
        return _by_signature(event, headers, authorization, unsigned_body=unsigned_body)
    token, kinds = headers.get(_HEADERS[kind], ""), [kind]
    if carried := carried_in(authorization):
        if token and token != carried.token:
            raise AuthorizationRefused(f"{_HEADERS[kind]} and authorization carry different tokens")
        if carried.scheme == BASIC:
            _check_site(event, headers)
        token, kinds = carried.token, [kind, Kind.TOKEN]
    if not token or len(token) > TOKEN_MAX:
        raise TokenMissing("")
    if kind is Kind.TOKEN and looks_issued(token):
        return _by_issued_token(token)
    return _by_stored_token(dict.fromkeys(kinds), token)


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


def _by_stored_token(kinds: Iterable[Kind], token: str) -> Caller:
    """The holder of a token of one of these kinds that logkeep-admin made."""
    found = (credential_store().at(token_place(kind, token)) for kind in kinds)
    return prove(next(filter(None, found), None), time.time())


def _check_site(event: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Raises AuthorizationRefused if a page of another site lets a browser write.

    A browser adds a password that it was given once to whatever a page sends, a form included, without being asked.
    """
    is_read = event["requestContext"]["http"]["method"] in _READS
    if not is_read and headers.get("sec-fetch-site", "").strip().lower() in _OTHER_SITES:
        raise AuthorizationRefused("Basic does not prove what a page of another site sends")
