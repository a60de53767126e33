"""Log ids: `{kind}/{…}`, the name of a log within its project."""

import re
from dataclasses import dataclass
from typing import Final

from logkeep.errors import Invalid

LOG_ID_MAX: Final = 512
SEGMENT_RULE: Final = "must be 1 to 128 of A-Z a-z 0-9 . _ -"
# The same as is_segment(), without a lookahead, which some readers of the API's document do not know.
SEGMENT_PATTERN: Final = (
    r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}|\.[A-Za-z0-9_-][A-Za-z0-9._-]{0,126}|\.\.[A-Za-z0-9._-]{1,126})"
)
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
RECORD_ID: Final = re.compile(r"[0-9a-z-]{36}")  # of CodeArts Build
SUB_JOB_ID_LENGTH: Final = 32  # of CodeArts Check
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,8}")

# The path segments after the kind. "?" at the end: may be left out. "#" at the beginning: a decimal number.
_SHAPES: Final = {
    "task": ("task_id", "#replica_idx", "container", "#restart"),
    "build": ("record_id", "task_name"),
    "check": ("sub_job_id", "file?"),
    "cluster": ("cluster_id", "instance_name", "log_type"),
    "app": ("name", *["name?"] * 7),
}
KINDS: Final = tuple(_SHAPES)


def is_segment(text: str) -> bool:
    """Whether text can be one path segment of a log id."""
    return _SEGMENT.fullmatch(text) is not None and text not in {".", ".."}


def pattern() -> str:
    """A regular expression of all log ids, apart from LOG_ID_MAX; for the API's document."""
    shapes = []
    for kind, names in _SHAPES.items():
        needed = (name for name in names if not name.endswith("?"))
        parts = (f"/(?:{_NUMBER.pattern})" if name.startswith("#") else f"/{SEGMENT_PATTERN}" for name in needed)
        optional = sum(name.endswith("?") for name in names)
        shapes.append(kind + "".join(parts) + (f"(?:/{SEGMENT_PATTERN}){{0,{optional}}}" if optional else ""))
    return f"^(?:{'|'.join(shapes)})$"


@dataclass(frozen=True, slots=True, order=True)
class LogId:
    """A parsed id: str() is `kind/first/rest…`, at most 512 characters."""

    kind: str
    segments: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "LogId":
        """Raises Invalid("log_id") unless text is an id of one of the five kinds."""
        kind, *segments = text.split("/")
        shape = _SHAPES.get(kind)
        if shape is None:
            raise Invalid("log_id", f"the first segment must be one of {', '.join(_SHAPES)}")
        least = sum(not name.endswith("?") for name in shape)
        if not least <= len(segments) <= len(shape):
            names = dict.fromkeys(name.strip("#?") for name in shape)
            form, repeated = "/".join(f"{{{name}}}" for name in names), len(names) < len(shape)
            several = f", with 1 to {len(shape)} names" if repeated else ""
            raise Invalid("log_id", f"a log of kind {kind} is named {kind}/{form}{several}")
        for name, segment in zip(shape, segments, strict=False):
            if not is_segment(segment):
                raise Invalid("log_id", f"{name.strip('#?')} {SEGMENT_RULE}")
            if name.startswith("#") and not _NUMBER.fullmatch(segment):
                raise Invalid("log_id", f"{name.strip('#?')} must be a decimal number without leading zeros")
        if len(text) > LOG_ID_MAX:
            raise Invalid("log_id", f"longer than {LOG_ID_MAX} characters")
        return cls(kind, tuple(segments))

    @property
    def why_unreadable(self) -> str | None:
        """Why no published API can ask for the log by its id; None if one can.

        Every id of task and cluster can be asked for: Kuscia takes any names, and a backup of CSS holds all logs of its
        cluster. Kind app is our own API's.
        """
        if self.kind == "build" and not RECORD_ID.fullmatch(self.segments[0]):
            return "CodeArts Build finds only logs whose record_id is 36 characters of 0-9 a-z -"
        if self.kind == "check" and len(self.segments[0]) != SUB_JOB_ID_LENGTH:
            return f"CodeArts Check finds only logs whose sub_job_id is {SUB_JOB_ID_LENGTH} characters"
        return None

    def __str__(self) -> str:
        return "/".join((self.kind, *self.segments))

    @property
    def parts(self) -> dict[str, str]:
        """The segments by their names, such as `{"record_id": …, "task_name": …}`. Those of kind app have no names."""
        if self.kind == "app":
            return {}
        return {name.strip("#?"): segment for name, segment in zip(_SHAPES[self.kind], self.segments, strict=False)}

    @property
    def owner(self) -> str:
        """`{kind}/{first segment}`. The heads of one owner share a partition of the table.

        A log of kind app is its own owner: thousands of logs may begin with the same segment, and be written at once.
        """
        return str(self) if self.kind == "app" else f"{self.kind}/{self.segments[0]}"

    @property
    def rest(self) -> str:
        """The segments after the owner, joined; empty for a check log without a file, and for kind app."""
        return "" if self.kind == "app" else "/".join(self.segments[1:])
