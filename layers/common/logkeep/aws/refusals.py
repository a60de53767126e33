"""Which refusals of AWS pass: the same request may succeed a moment later."""

from __future__ import annotations

from typing import Final

from botocore.exceptions import (
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)

from logkeep.errors import Unavailable

RETRY_AFTER: Final = 5  # seconds; botocore has tried five times by then
# Codes of requests that were too many, or met another one. botocore retries most of them, not the conflicts.
TRANSIENT: Final = {
    "KMSThrottling",  # of SNS
    "LimitExceededException",
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "ThrottlingError",
    "ThrottlingException",
    "TooManyRequestsException",  # of Lambda
    "TransactionConflict",
    "TransactionConflictException",
    "TransactionInProgressException",
}
_SERVER_ERROR: Final = 500
# No answer, or one that broke off.
_LOST: Final = (ConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError)


def unavailable(error: BaseException) -> Unavailable | None:
    """What callers are answered if AWS refuses for now, or does not answer; None for any other failure."""
    if isinstance(error, ClientError):
        return Unavailable("storage is busy", RETRY_AFTER) if _passes(error) else None
    return Unavailable("storage does not answer", RETRY_AFTER) if isinstance(error, _LOST) else None


def _passes(error: ClientError) -> bool:
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return status >= _SERVER_ERROR or bool(codes_of(error) & TRANSIENT)


def codes_of(error: ClientError) -> set[str]:
    """The code of an error and, of a cancelled transaction, those of its items."""
    reasons = error.response.get("CancellationReasons", [])
    return {error.response["Error"]["Code"], *(each.get("Code", "None") for each in reasons)}
