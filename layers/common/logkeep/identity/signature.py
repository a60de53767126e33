"""Verifies SDK-HMAC-SHA256, the signature of the vendors' SDKs.

A request is signed with the secret access key itself; no key is derived per day or service. The canonical form is the
one of huaweicloudsdkcore (signer.py) and of the published API Request Signing Guide (docs/apis.md#identity).
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from logkeep.errors import SignatureRefused

ALGORITHM: Final = "SDK-HMAC-SHA256"
SKEW_MAX: Final = 15 * 60  # seconds, from the signing guide
_FAIL: Final = "verify aksk signature fail"
_HEADER_NAME: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # RFC 9110
_AUTHORIZATION: Final = re.compile(
    rf"{ALGORITHM} +Access=(?P<access_key>[A-Za-z0-9_-]{{1,128}}), *"
    rf"SignedHeaders=(?P<signed_headers>{_HEADER_NAME}(?:;{_HEADER_NAME})*), *Signature=(?P<signature>[0-9a-f]{{64}})"
)
_OTHER_ALGORITHMS: Final = re.compile(r"(?:SDK|V11)-[A-Z0-9-]+")
_DATE: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_SIGNED_MAX: Final = 64  # headers: SDKs sign five, and verify() hashes them for each candidate
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_EMPTY_HASH: Final = hashlib.sha256(b"").hexdigest()
_DEFAULT_PORTS: Final = (":443", ":80")


def is_signature(authorization: str) -> bool:
    """Whether an Authorization header names an algorithm of the vendors, this one or another."""
    return _OTHER_ALGORITHMS.match(authorization) is not None


@dataclass(frozen=True, slots=True)
class Authorization:
    """The parts of an Authorization header."""

    access_key: str
    signed_headers: str
    signature: str

    @classmethod
    def parse(cls, text: str) -> "Authorization":
        """Raises SignatureRefused unless text is a signature of this algorithm over at least the date."""
        found = _AUTHORIZATION.fullmatch(text)
        if not found:
            other = _OTHER_ALGORITHMS.match(text)
            if other and other[0] != ALGORITHM:
                raise SignatureRefused(f"{_FAIL}, {other[0][:40]} is not supported, use {ALGORITHM}")
            raise SignatureRefused(f"{_FAIL}, the Authorization header is malformed")
        parsed = cls(**found.groupdict())
        names = parsed.names
        if len(names) > _SIGNED_MAX:
            raise SignatureRefused(f"{_FAIL}, SignedHeaders names more than {_SIGNED_MAX} headers")
        # Not host: the vendor's Go client does not sign it (golangsdk, signer.SignedHeaders).
        if "x-sdk-date" not in names:
            raise SignatureRefused(f"{_FAIL}, x-sdk-date must be signed")
        return parsed

    @property
    def names(self) -> list[str]:
        """The names of the signed headers, in lower case."""
        return self.signed_headers.lower().split(";")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A request as it arrived. Names of headers are in lower case."""

    method: str
    path: str  # raw
    query: str  # raw
    headers: Mapping[str, str]
    domain: str  # the gateway's own
    body: bytes


def verify(
    given: Authorization, request: SignedRequest, secret: str, now: float, *, unsigned_body: bool = False
) -> None:
    """Raises SignatureRefused unless the request is signed with this secret, at most 15 minutes before or after `now`.

    `now` is in epoch seconds. An unsigned body is accepted only with `unsigned_body`, and never if it is JSON.
    """
    date = request.headers.get("x-sdk-date", "")
    _check_date(date, now)
    payload = _payload_hash(given, request, unsigned_body=unsigned_body)
    query = canonical_query(request.query)
    for path, host, headers in product(_paths(request.path), _hosts(request), _readings(request.headers)):
        signed = _canonical_headers(given, {**headers, "host": host})
        canonical = "\n".join((request.method, path, query, signed, given.signed_headers, payload))
        if hmac.compare_digest(signature_of(canonical, date, secret), given.signature):
            return
    raise SignatureRefused(_FAIL)


def signature_of(canonical_request: str, date: str, secret: str) -> str:
    """The signature, in hex, of a canonical request with this `date` (YYYYMMDDTHHMMSSZ)."""
    digest = hashlib.sha256(_bytes(canonical_request)).hexdigest()
    return hmac.new(_bytes(secret), _bytes(f"{ALGORITHM}\n{date}\n{digest}"), hashlib.sha256).hexdigest()


def canonical_path(path: bytes) -> str:
    """The canonical form of a decoded path: each segment percent-encoded, always with a slash at the end."""
    encoded = "/".join(quote(segment, safe="~") for segment in path.split(b"/"))
    return encoded if encoded.endswith("/") else f"{encoded}/"


def canonical_query(raw: str) -> str:
    """The canonical form of a raw query string: decoded (a plus stays a plus), sorted by name and value, encoded."""
    pairs = []
    for pair in raw.split("&"):
        name, _, value = pair.partition("=")
        if pair:
            pairs.append((_decoded(name), _decoded(value)))
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(pairs))


def _paths(path: str) -> Iterator[str]:
    """The paths that the client may have signed: an HTTP API passes the path on decoded, a function URL as it was sent.

    Nothing that a client signs tells the two apart, so both are tried. They differ only in paths with a percent sign,
    which no id contains.
    """
    yield from dict.fromkeys((canonical_path(_bytes(path)), canonical_path(_decoded(path))))


def _hosts(request: SignedRequest) -> Iterator[str]:
    """The hosts that the client may have signed: it signs its endpoint's port, and a proxy may drop a default port."""
    sent = request.headers.get("host", "")
    bare = next((sent.removesuffix(port) for port in _DEFAULT_PORTS if sent.endswith(port)), sent)
    yield from dict.fromkeys((sent, bare, *(bare + port for port in _DEFAULT_PORTS), request.domain))


def _readings(headers: Mapping[str, str]) -> list[Mapping[str, str]]:
    """The headers as they were passed on and, if a gateway read them as Latin-1, as the UTF-8 that SDKs send."""
    as_utf_8 = {name: _as_utf_8(value) for name, value in headers.items()}
    return [headers] if as_utf_8 == headers else [headers, as_utf_8]


def _as_utf_8(latin_1: str) -> str:
    try:
        return latin_1.encode("latin-1").decode()
    except UnicodeError:
        return latin_1


def _canonical_headers(given: Authorization, headers: Mapping[str, str]) -> str:
    lines = []
    for name in given.names:
        if name not in headers:
            raise SignatureRefused(f"{_FAIL}, the signed header {name[:60]} is missing")
        lines.append(f"{name}:{headers[name].strip()}\n")
    return "".join(lines)


def _payload_hash(given: Authorization, request: SignedRequest, *, unsigned_body: bool) -> str:
    if not request.body:
        return _EMPTY_HASH
    claimed = request.headers.get("x-sdk-content-sha256")
    actual = hashlib.sha256(request.body).hexdigest()
    if claimed is None or claimed.lower() == actual:
        return claimed or actual
    if claimed != _UNSIGNED:
        raise SignatureRefused(f"{_FAIL}, x-sdk-content-sha256 is not the hash of the body")
    is_json = "json" in request.headers.get("content-type", "").lower()
    if is_json or not unsigned_body or "x-sdk-content-sha256" not in given.names:
        raise SignatureRefused(f"{_FAIL}, the body must be signed")
    return claimed


def _check_date(date: str, now: float) -> None:
    try:
        if not _DATE.fullmatch(date):
            raise ValueError
        signed_at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise SignatureRefused(f"{_FAIL}, x-sdk-date must be YYYYMMDDTHHMMSSZ in UTC") from None
    if abs(now - signed_at) > SKEW_MAX:
        server = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        raise SignatureRefused(f"{_FAIL}, signature expired: x-sdk-date {date}, the server's time is {server}")


def _bytes(text: str) -> bytes:
    # Half of a surrogate pair must not fail here: it only makes the signature wrong.
    return text.encode(errors="surrogatepass")


def _decoded(text: str) -> bytes:
    return unquote_to_bytes(_bytes(text))
