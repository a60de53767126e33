"""The HTTP client for one log of a Logkeep service."""

import gzip
import http.client
import json
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from types import MappingProxyType
from typing import IO, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit

from logkeep_agent import Refused

_TIMEOUT: Final = 60.0  # seconds in which no byte of an answer arrives
_ANSWER_MAX: Final = 1 << 20
_LATER: Final = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
_PACKING: Final = 5  # gzip's level


class Later(Exception):
    """The request failed, but may succeed later. The service asks for a pause of `wait` seconds, if that is not 0."""

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


class Gap(Exception):
    """The log ends before the offset."""


@dataclass(frozen=True)
class Certificate:
    """The bytes that the service keeps of the log, their CRC-32, and the seconds after which to append again."""

    bytes: int
    crc32: int
    interval: float | None = None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Do not redirect: the token is sent only to the endpoint that the user named."""


def opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirect)


def check_endpoint(endpoint: str) -> None:
    """Raises Refused if it is no address."""
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Refused(f"the endpoint {endpoint!r} is not an http:// or https:// address")


class Service:
    """One log. Every call can be repeated safely. It raises Later, or Refused if repeating it does not help."""

    def __init__(
        self,
        endpoint: str,
        project: str,
        log_id: str,
        token: Callable[[], str],
        time_zone: str | None = None,
        labels: Mapping[str, str] = MappingProxyType({}),
        waits_for_token: bool = False,
    ) -> None:
        """`time_zone` (an IANA name) is that of times without one, and `labels` are the log's, if it is new.

        `waits_for_token`: a token that is refused may be replaced by another one.
        """
        check_endpoint(endpoint)
        self.log_id, self.project = log_id, project
        self._endpoint = endpoint
        self._token = token
        self._first = {"Logkeep-Timezone": time_zone} if time_zone else {}
        if labels:
            members = (f"{key}={quote(value, safe='')}" for key, value in labels.items())
            self._first["Logkeep-Labels"] = ",".join(members)
        self._waits_for_token = waits_for_token
        self._opener = opener()

    def at(self, log_id: str) -> "Service":
        """Another log of the same project."""
        other = copy(self)
        other.log_id = log_id
        return other

    def certificate(self, held: int = 0) -> Certificate:
        """What the log holds. It is created if it does not exist.

        This is an append of nothing: unlike a listing it needs only the scope logs:write, and is never out of date.
        If the log has held `held` bytes, it is not created again where it was deleted: that is Refused.
        """
        if held:
            with suppress(Gap):
                return self._call("PATCH", f"?offset={held}", b"", self._first)
        return self._call("PATCH", "?offset=0", b"", self._first)

    def append(self, offset: int, piece: bytes) -> Certificate:
        """Append at an offset. Raises Gap if the log ends before it."""
        return self._call("PATCH", f"?offset={offset}", gzip.compress(piece, _PACKING), {"Content-Encoding": "gzip"})

    def seal(self, size: int, crc32: int) -> Certificate:
        """Seal the log with its total size in bytes and its CRC-32."""
        totals = json.dumps({"bytes": size, "crc32": f"{crc32:08x}"}).encode()
        return self._call("PUT", "", totals, {"Content-Type": "application/json"})

    def _call(self, method: str, query: str, body: bytes, headers: Mapping[str, str]) -> Certificate:
        sent = {"Content-Type": "application/octet-stream", "X-Auth-Token": self._token(), **headers}
        url = f"{self._endpoint.rstrip('/')}/v1/{quote(self.project, safe='')}/logs/{quote(self.log_id)}{query}"
        request = urllib.request.Request(url, body, sent, method=method)  # noqa: S310 - http(s), see above
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as answer:
                return _certificate(answer.read(_ANSWER_MAX), answer.headers)
        except HTTPError as error:
            with error:
                refusal = refusal_of(error)
            if error.code == HTTPStatus.UNAUTHORIZED and self._waits_for_token:
                refusal = Later(f"{refusal}; another token is waited for")
            raise refusal from error
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise Later(f"{self._endpoint} does not answer: {reason}") from error


def _certificate(content: bytes, headers: Message) -> Certificate:
    try:
        document = json.loads(content)
        return Certificate(int(document["bytes"]), int(document["crc32"], 16), _seconds(headers, "Logkeep-Interval"))
    except (ValueError, KeyError, TypeError) as error:
        raise Later("the endpoint answers, but is not Logkeep") from error


def refusal_of(error: HTTPError) -> Exception:
    """What a refusal means: Later, Gap or Refused."""
    status, headers = error.code, error.headers
    if status == HTTPStatus.GONE:
        return Refused(f"the log was deleted: {_reason(error)}. To ship the file as a new log, remove its state file")
    text = f"the service answers {status}: {_reason(error)}"
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return Gap(text)
    if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Later(text, _seconds(headers, "Retry-After") or 0)
    return Refused(text)


def _reason(answer: IO[bytes]) -> str:
    try:
        content = answer.read(_ANSWER_MAX)
    except (OSError, http.client.HTTPException):
        return ""
    try:
        document = json.loads(content)
        return str(document.get("error_msg") or document.get("message"))
    except (ValueError, AttributeError):
        return content[:200].decode(errors="replace")


def _seconds(headers: Message, name: str) -> float | None:
    value = headers.get(name, "")
    return float(value) if value.isdecimal() else None
