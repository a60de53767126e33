"""Kuscia's error codes, and the errors that it answers with an empty body (docs/apis.md#errors)."""

import re
from http import HTTPStatus
from typing import Final

from logkeep import ndjson
from logkeep.errors import (
    Forbidden,
    Invalid,
    LogkeepError,
    RouteNotFound,
    Unauthenticated,
    UnsupportedBody,
)

VALIDATE: Final = 11100
UNEXPECTED: Final = 11101
QUERY: Final = 13200
# Errors that are answered with a status and an empty body.
EMPTY: Final[dict[type[LogkeepError], HTTPStatus]] = {
    Invalid: HTTPStatus.BAD_REQUEST,
    UnsupportedBody: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    RouteNotFound: HTTPStatus.NOT_FOUND,
}
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


class QueryRefused(LogkeepError):
    """A query that cannot be answered, with Kuscia's code; its str() is Kuscia's text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for every lone surrogate, as Go's encoding/json reads it."""
    return _SURROGATE.sub("\ufffd", text)


def refusal(error: QueryRefused) -> bytes:
    """The one message of a refused query.

    The text is in `status.message`, as Kuscia sends it, and in `log`, as its API page shows it.
    """
    text = without_surrogates(str(error))
    return ndjson.line(status={"code": error.code, "message": text}, log=text)
