"""Kuscia's errors: its codes, and what it answers with an empty body."""

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

UNEXPECTED: Final = 11101


VALIDATE: Final = 11100


QUERY: Final = 13200


class QueryRefused(LogkeepError):
    """The query cannot be answered: Kuscia's code, and its text as str()."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


EMPTY: Final[dict[type[LogkeepError], HTTPStatus]] = {
    Invalid: HTTPStatus.BAD_REQUEST,
    UnsupportedBody: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    RouteNotFound: HTTPStatus.NOT_FOUND,
}


_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


def without_surrogates(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)


def refusal(error: QueryRefused) -> bytes:
    """The one message of a refused query: the text in status.message, as the server has it, and in log, as the seed."""
    text = without_surrogates(str(error))
    message = {"status": {"code": error.code, "message": text}, "log": text}
    return ndjson.line(**message)
