"""Lines of the answers that are sequences of JSON objects. They are made as text, so that no model exists for them."""

from typing import Any, Final, Literal, NotRequired, TypedDict


class KusciaStatus(TypedDict):
    code: NotRequired[int]
    message: str


class KusciaMessage(TypedDict):
    """Up to 100 lines of a log, joined by newlines; or an error. An empty line has no `log`."""

    status: KusciaStatus
    log: NotRequired[str]


class FollowedLine(TypedDict):
    """A piece of a log that is followed: `data` is base64, of bytes that are not UTF-8. The last line has `end`."""

    cursor: str
    offset: int
    text: NotRequired[str]
    data: NotRequired[str]
    end: NotRequired[Literal[True]]
    more: NotRequired[bool]
    state: NotRequired[Literal["open", "sealed", "truncated"]]


LINES: Final[dict[str, Any]] = {
    "application/json; charset=utf-8": KusciaMessage,
    "application/x-ndjson": FollowedLine,
}
