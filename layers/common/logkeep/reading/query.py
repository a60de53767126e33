"""What a reader asks of a log: which lines, and how much of them. Parsed here for all who ask (docs/read.md).

A query has a window (`since`, `until`, `lines`), a filter (`level`, `grep`), and a length (`limit`, `tail`,
`max_bytes`). `grep`, its options and `limit` mean what grep means by them; `tail`, `since` what kubectl does.
"""

import re
from functools import cached_property
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

import re2
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from logkeep.errors import Invalid
from logkeep.limits import LOG_MAX
from logkeep.logs.levels import LEVELS
from logkeep.params import Boolean, Decimal, Time

PATTERN_MAX: Final = 1000  # characters
_PROGRAM_MAX: Final = 20_000  # instructions of RE2
CONTEXT_MAX: Final = 1000  # lines
_LINES: Final = re.compile(r"([0-9]{1,15})(?:-([0-9]{1,15})?)?", re.ASCII)
# What sees the borders of the text, which for a line are others than for the text that it is searched in.
_OF_TEXT: Final = re.compile(rb"\\[Az]|\(\?[a-zA-Z]*-[a-zA-Z]*m")


class Lines(NamedTuple):
    """Lines by number, the first of a log being 1; `last` is included."""

    first: int
    last: int | None  # None: to the end


def _lines(value: Any) -> Lines:
    found = _LINES.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be numbers of lines, the first being 1, such as 7, 10-20 or 100-")
    first = int(found[1])
    last = int(found[2]) if found[2] else None if "-" in value else first
    if first < 1 or (last is not None and last < first):
        raise ValueError("must begin at 1 or more and not end before it begins")
    return Lines(first, last)


def _level(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


type Level = Annotated[
    Literal["DEBUG", "INFO", "WARN", "ERROR"],
    BeforeValidator(_level),
    WithJsonSchema({"type": "string", "enum": list(LEVELS)}),
]
type LineNumbers = Annotated[
    Lines,
    BeforeValidator(_lines),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,15}(-([0-9]{1,15})?)?$", "examples": ["10-20"]}),
]
type Context = Annotated[Decimal, Field(ge=0, le=CONTEXT_MAX)]
type Count = Annotated[Decimal, Field(ge=1, le=LOG_MAX)]


class Query(BaseModel):
    """Without any parameter, all lines of a log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Time | None = Field(default=None, description="Records of this time and later.")
    until: Time | None = Field(default=None, description="Records before this time.")
    lines: LineNumbers | None = None
    level: Level | None = Field(default=None, description="Records of this level and worse.")
    grep: Annotated[str, Field(max_length=PATTERN_MAX)] | None = Field(
        default=None, description="An expression of RE2, found in a line."
    )
    fixed: Boolean = Field(default=False, description="`grep` is a text.")
    ignore_case: Boolean = False
    invert: Boolean = Field(default=False, description="Lines in which `grep` is not found.")
    before: Context | None = Field(default=None, description="Lines before each that matches.")
    after: Context | None = Field(default=None, description="Lines after each that matches.")
    context: Context | None = Field(default=None, description="Lines before and after.")
    tail: Annotated[Decimal, Field(ge=0, le=LOG_MAX)] | None = Field(
        default=None, description="The last so many of what matches."
    )
    limit: Count | None = Field(default=None, description="The first so many of what matches.")
    max_bytes: Count | None = Field(default=None, description="Of text.")
    count: Boolean = Field(default=False, description="Only how many match.")
    order: Literal["asc", "desc"] = Field(default="asc", description="desc: the last line first.")
    cursor: Annotated[str, Field(max_length=64)] | None = None

    @field_validator("grep")
    @classmethod
    def _has_no_newline(cls, value: str | None) -> str | None:
        if value is not None and "\n" in value:
            raise ValueError("is looked for in a line, so it must have no newline")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        needing = [name for name in ("fixed", "ignore_case", "invert") if getattr(self, name)]
        if self.grep is None and needing:
            raise Invalid(needing[0], "needs grep")
        if self.order == "desc":
            for name in ("before", "after", "context", "tail"):
                if getattr(self, name) is not None:
                    raise Invalid(name, "is not possible with order=desc")
        if self.tail is not None and self.limit is not None:
            raise Invalid("limit", "send either limit or tail, not both")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise Invalid("since", "must be before until")
        if self.grep is not None:
            self.pattern  # noqa: B018 - raises Invalid
        return self

    @cached_property
    def pattern(self) -> "Pattern | None":
        """What lines are searched for. Raises Invalid if RE2 does not take it."""
        if self.grep is None:
            return None
        return Pattern(self.grep, fixed=self.fixed, ignore_case=self.ignore_case, invert=self.invert)

    @cached_property
    def levels(self) -> frozenset[str] | None:
        """The levels that are wanted; None: all records, also those without a level."""
        return None if self.level is None else frozenset(LEVELS[LEVELS.index(self.level) :])

    @property
    def before_lines(self) -> int:
        return (self.context or 0) if self.before is None else self.before

    @property
    def after_lines(self) -> int:
        return (self.context or 0) if self.after is None else self.after

    @property
    def has_context(self) -> bool:
        return bool(self.before_lines or self.after_lines)

    @property
    def counts_records(self) -> bool:
        """Whether what matches is a log record, and not a line."""
        return self.level is not None and self.grep is None

    @property
    def has_window(self) -> bool:
        """Whether times decide which lines are looked at."""
        return self.since is not None or self.until is not None


class Pattern:
    """An expression of RE2, which takes linear time, or a text."""

    def __init__(self, source: str, *, fixed: bool = False, ignore_case: bool = False, invert: bool = False) -> None:
        """Raises Invalid if RE2 does not take the expression."""
        options = re2.Options()
        options.never_nl = options.never_capture = True
        options.log_errors = False
        options.literal = fixed
        options.case_sensitive = not ignore_case
        encoded = source.encode("utf-8", "surrogatepass")
        try:
            self._found = re2.compile(encoded if fixed else b"(?m)" + encoded, options)
            size = self._found.programsize
        except re2.error as error:
            reason = error.args[0] if error.args else ""
            text = (reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)).replace(
                "(?m)", "", 1
            )
            raise Invalid("grep", f"is no expression of RE2: {text}") from error
        if size > _PROGRAM_MAX:
            raise Invalid("grep", "is too large an expression")
        self._line_by_line = not fixed and bool(_OF_TEXT.search(encoded))
        self._invert = invert

    def runs(self, text: bytes, begin: int, end: int) -> list[tuple[int, int]]:
        """Where the lines of text[begin:end] are that match, in order. Neighbours may be one run if inverted.

        `begin` is where a line begins, `end` is after a line.
        """
        found = self._each_line(text, begin, end) if self._line_by_line else self._lines(text, begin, end)
        return _between(found, begin, end) if self._invert else found

    def _lines(self, text: bytes, begin: int, end: int) -> list[tuple[int, int]]:
        """Search all lines at once."""
        runs: list[tuple[int, int]] = []
        search, stop = self._found.search, end - (text[end - 1 : end] == b"\n")
        while begin < end and (match := search(text, begin, stop)) is not None:
            at = match.start()
            line = text.rfind(b"\n", begin, at) + 1 or begin
            following = text.find(b"\n", at, end) + 1 or end
            runs.append((line, following))
            begin = following
        return runs

    def _each_line(self, text: bytes, begin: int, end: int) -> list[tuple[int, int]]:
        runs: list[tuple[int, int]] = []
        while begin < end:
            following = text.find(b"\n", begin, end) + 1 or end
            if self._found.search(text[begin:following].removesuffix(b"\n")) is not None:
                runs.append((begin, following))
            begin = following
        return runs


def _between(runs: list[tuple[int, int]], begin: int, end: int) -> list[tuple[int, int]]:
    """What lies between runs."""
    others = []
    for first, after in runs:
        if begin < first:
            others.append((begin, first))
        begin = after
    if begin < end:
        others.append((begin, end))
    return others
