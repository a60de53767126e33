"""What can go wrong, named in the language of the domain; web/services.py gives each its status and code.

LogkeepError
├── Invalid                 a field of the request does not fit; names it
├── ForeignBucket
├── Unauthenticated
│   ├── TokenMissing
│   ├── TokenInvalid
│   ├── TokenExpired
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
├── Conflict
│   └── BackupRunning
├── NotEnabled
├── TooLarge
├── UnsupportedBody
├── OffsetBeyondEnd
├── Busy                    try again after so many seconds
│   └── Throttled           more requests than the project, or the user, may send
└── Corrupt                 stored bytes do not match their checksum
"""


class LogkeepError(Exception):
    """Base of every failure a caller can be told about; str() is the detail for people."""


class Invalid(LogkeepError):
    """A field of the request is missing or does not fit; nothing was read or written."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class ForeignBucket(LogkeepError):
    """Backups are kept in the bucket of the stack, and in no other."""


class Unauthenticated(LogkeepError):
    pass


class TokenMissing(Unauthenticated):
    pass


class TokenInvalid(Unauthenticated):
    pass


class TokenExpired(Unauthenticated):
    pass


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


class Conflict(LogkeepError):
    """What is stored contradicts the request; nothing was written."""


class BackupRunning(Conflict):
    pass


class NotEnabled(LogkeepError):
    pass


class TooLarge(LogkeepError):
    pass


class UnsupportedBody(LogkeepError):
    pass


class OffsetBeyondEnd(LogkeepError):
    """The bytes between the log's end and the request's offset are missing."""

    def __init__(self, end: int) -> None:
        super().__init__(f"the log ends at byte {end}; send from there")
        self.end = end


class Busy(LogkeepError):
    """The work is not finished or was contended; the same request succeeds later."""

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Throttled(Busy):
    """More requests than may be sent; those that come later are answered."""


class Corrupt(LogkeepError):
    pass
