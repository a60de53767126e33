"""Lines of the answers that are sequences of JSON objects. They are made as text, so that no model exists for them."""

from typing import Any, Final, Literal, NotRequired, TypedDict


class KusciaStatus(TypedDict):
    code: NotRequired[int]
    message: str


class KusciaMessage(TypedDict):
    """Up to 100 lines of a log, joined by newlines; or an error. An empty line has no `log`."""

    status: KusciaStatus
    log: NotRequired[str]


class Gap(TypedDict):
    offset: int
    bytes: int


class LogLine(TypedDict):
    """A line that a query wants, or a piece of a log that is followed. The last one of an answer has `end`.

    `data` is base64, of bytes that are not UTF-8. `time` is in epoch milliseconds. `cut`: the line continues in the
    next one. `lost`: so many bytes of text.
    """

    cursor: str
    offset: int
    text: NotRequired[str]
    data: NotRequired[str]
    line: NotRequired[int]
    time: NotRequired[int | None]
    level: NotRequired[Literal["DEBUG", "INFO", "WARN", "ERROR"] | None]
    context: NotRequired[Literal[True]]
    cut: NotRequired[Literal[True]]
    lost: NotRequired[int]
    end: NotRequired[Literal[True]]
    more: NotRequired[bool]
    matched: NotRequired[int | None]
    complete: NotRequired[bool]
    scanned_bytes: NotRequired[int]
    gaps: NotRequired[list[Gap]]
    state: NotRequired[Literal["open", "sealed", "truncated", "deleted"]]


LINES: Final[dict[str, Any]] = {
    "application/json; charset=utf-8": KusciaMessage,
    "application/x-ndjson": LogLine,
}
