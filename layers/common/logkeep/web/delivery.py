"""How a file reaches its client: in the answer, by a link, or not at all (docs/files.md)."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from pydantic import BaseModel

from logkeep.limits import ANSWER_MAX


@dataclass(frozen=True, slots=True)
class Client:
    """The client of a request: which answers it can take."""

    wants_json: bool
    takes_gzip: bool
    is_signed: bool  # by an SDK, which does not follow redirects and treats one as an empty success

    @classmethod
    def of(cls, accept: str, accept_encoding: str, authorization: str) -> "Client":
        """The client that sends these headers; the texts may be empty."""
        types = _accepted(accept)
        codings = _accepted(accept_encoding)
        return cls(
            wants_json=types.get("application/json", 0.0) > 0 and "*/*" not in types,
            takes_gzip=codings.get("gzip", codings.get("*", 0.0)) > 0,
            is_signed=authorization.startswith("SDK-HMAC-SHA256"),
        )


class Content[Media]:
    """The type of a body that is no model: Answer[Content[Literal["text/plain"]]]. Media names its content types."""


type ZipContent = Content[Literal["application/zip"]]


class Way(Enum):
    """The ways of a file to its client."""

    ANSWER = auto()
    LINK = auto()  # JSON with a URL
    REDIRECT = auto()
    REFUSE = auto()


class Link(BaseModel):
    """The answer with a file's URL. raw_size and crc32 describe the file after content_encoding is undone."""

    url: str
    expires_at: int  # epoch milliseconds
    size: int  # bytes
    raw_size: int  # bytes
    crc32: str  # hex
    filename: str
    content_type: str
    content_encoding: str | None


class Pending(BaseModel):
    """The answer while a file is being built."""

    state: str = "building"
    retry_after: int  # seconds


def way(client: Client, size: int) -> Way:
    """The way of a file of `size` bytes, as sent, to a client."""
    if client.wants_json:
        return Way.LINK
    if size <= ANSWER_MAX:
        return Way.ANSWER
    return Way.REFUSE if client.is_signed else Way.REDIRECT


def _accepted(header: str) -> dict[str, float]:
    """The values of an Accept or Accept-Encoding header in lower case, with their weights (RFC 9110 12.4.2)."""
    values = {}
    for part in header.lower().split(","):
        value, *parameters = (piece.strip() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, number = parameter.partition("=")
            if name.strip() == "q":
                try:
                    quality = float(number)
                except ValueError:
                    quality = 0.0
        if value:
            values[value] = quality
    return values
