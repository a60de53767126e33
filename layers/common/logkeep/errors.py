"""All failures that a client can see, named in the language of the domain.

web/error_bodies.py gives each its HTTP status; the codes.py of each API gives it a code and a text.

LogkeepError
├── Invalid                 a field of the request is missing or wrong; names the field
│   └── RangeNotSatisfiable no byte is in the range that the request wants
├── ForeignBucket
├── Unauthenticated
│   ├── TokenMissing
│   ├── TokenInvalid
│   ├── TokenDisabled
│   ├── TokenExpired
│   ├── AuthorizationRefused
│   ├── SignatureRefused
│   └── LoginRefused
├── Forbidden
│   ├── OtherProject
│   └── ScopeMissing
├── NotFound
│   ├── LogNotFound
│   ├── ServiceNotFound
│   ├── ClusterNotFound
│   └── RecordNotFound
├── RouteNotFound
├── LogDeleted              has the certificate of the deletion
├── Conflict
│   └── BackupInProgress
├── NotEnabled
│   └── AlreadyClosed
├── TooLarge
├── UnsupportedBody
│   └── UnsupportedCoding
├── OffsetBeyondEnd
├── Busy                    the same request succeeds later; says after how many seconds
│   ├── LogChanged          the log was packed while it was read
│   ├── Throttled           the project or the user is over its limit
│   └── Unavailable         AWS is busy, or does not answer
├── WrongFormat             the table was written by another version
└── Corrupt                 stored bytes are missing or do not match their checksum
"""

from collections.abc import Mapping
from typing import Any


class LogkeepError(Exception):
    """Base of all failures that a client can see; str() is the detail, for people."""


class Invalid(LogkeepError):
    """A field of the request is missing or wrong. Nothing was written."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class RangeNotSatisfiable(Invalid):
    """The bytes that a request wants begin where the answer, of `size` bytes, ends, or later."""

    def __init__(self, size: int) -> None:
        super().__init__("Range", f"there are {size} bytes")
        self.size = size


class ForeignBucket(LogkeepError):
    """The request names a bucket other than the stack's, the only one that backups are kept in."""


class Unauthenticated(LogkeepError):
    pass


class TokenMissing(Unauthenticated):
    pass


class TokenInvalid(Unauthenticated):
    pass


class TokenDisabled(Unauthenticated):
    """The token is good, but somebody disabled its credential. Only who holds the token can learn that."""


class TokenExpired(Unauthenticated):
    pass


class AuthorizationRefused(Unauthenticated):
    """The header Authorization holds no token, several, or another one than the header beside it."""


class SignatureRefused(Unauthenticated):
    pass


class LoginRefused(Unauthenticated):
    pass


class Forbidden(LogkeepError):
    pass


class OtherProject(Forbidden):
    pass


class ScopeMissing(Forbidden):
    pass


class NotFound(LogkeepError):
    pass


class LogNotFound(NotFound):
    pass


class ServiceNotFound(NotFound):
    pass


class ClusterNotFound(NotFound):
    pass


class RecordNotFound(NotFound):
    pass


class RouteNotFound(LogkeepError):
    pass


class LogDeleted(LogkeepError):
    """An append continues a log that was deleted. `certificate` says when and by whom."""

    def __init__(self, log_id: str, certificate: Mapping[str, Any]) -> None:
        super().__init__(f"{log_id} was deleted; with offset=0, or without an offset, a new log begins")
        self.certificate = certificate


class Conflict(LogkeepError):
    """The request contradicts what is stored. Nothing was written."""


class BackupInProgress(Conflict):
    pass


class NotEnabled(LogkeepError):
    pass


class AlreadyClosed(NotEnabled):
    pass


class TooLarge(LogkeepError):
    pass


class UnsupportedBody(LogkeepError):
    pass


class UnsupportedCoding(UnsupportedBody):
    """The Content-Encoding of the request is not gzip. Nothing was written."""


class OffsetBeyondEnd(LogkeepError):
    """An append would leave a gap between the log's end (in bytes) and its offset."""

    def __init__(self, end: int) -> None:
        super().__init__(f"the log ends at byte {end}; send from there")
        self.end = end


class Busy(LogkeepError):
    """The work is not finished, or other writers were faster. The same request succeeds after `retry_after` seconds."""

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class LogChanged(Busy):
    """The rows of a log were exchanged while they were read."""


class Throttled(Busy):
    """More requests than the limit allows."""


class Unavailable(Busy):
    """AWS refused for now, or did not answer. What the request was to write may be written: it is safe to repeat."""


class WrongFormat(LogkeepError):
    """A table holds what this version does not read. Nothing was written."""


class Corrupt(LogkeepError):
    pass
