"""How a file reaches its client: in the answer, by a link, or not at all (DESIGN section 4)."""

from dataclasses import dataclass
from enum import Enum, auto

from pydantic import BaseModel

from logkeep.limits import ANSWER_MAX


@dataclass(frozen=True, slots=True)
class Ask:
    """What a client can take."""

    wants_json: bool
    takes_gzip: bool
    is_signed: bool  # by an SDK that follows no redirect and takes one for an empty success

    @classmethod
    def of(cls, accept: str, accept_encoding: str, authorization: str) -> "Ask":
        types = _accepted(accept)
        codings = _accepted(accept_encoding)
        return cls(
            wants_json=types.get("application/json", 0.0) > 0 and "*/*" not in types,
            takes_gzip=codings.get("gzip", codings.get("*", 0.0)) > 0,
            is_signed=authorization.startswith("SDK-HMAC-SHA256"),
        )


class Way(Enum):
    ANSWER = auto()
    LINK = auto()  # JSON with a URL
    REDIRECT = auto()
    REFUSE = auto()


def way(ask: Ask, size: int) -> Way:
    if ask.wants_json:
        return Way.LINK
    if size <= ANSWER_MAX:
        return Way.ANSWER
    return Way.REFUSE if ask.is_signed else Way.REDIRECT


class Link(BaseModel):
    """Where a file can be fetched; raw_size (bytes) and crc32 are of what is left when content_encoding is undone."""

    url: str
    expires_at: int  # epoch milliseconds
    size: int
    raw_size: int
    crc32: str
    filename: str
    content_type: str
    content_encoding: str | None


class Pending(BaseModel):
    """A file that is being built; ask again."""

    state: str = "building"
    retry_after: int  # seconds


def _accepted(header: str) -> dict[str, float]:
    """The values of an Accept-like header with their q, in lower case."""
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
