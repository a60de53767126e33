"""Retention: for how many days after its last append a log is kept, and which setting says so (docs/retention.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from logkeep.clock import DAY
from logkeep.logid import KINDS, LOG_ID_MAX, SEGMENT_RULE, LogId, is_segment
from logkeep.logs.head import Head

DAYS_MAX: Final = 36_500
GOING: Final = 3 * DAY  # ms for which what has expired can be taken back, once that was found

type Days = int | None  # None: it is kept


def why_no_prefix(prefix: str) -> str | None:
    """Why no log can be below a prefix; None if one can."""
    if len(prefix) > LOG_ID_MAX:
        return f"longer than {LOG_ID_MAX} characters"
    kind, *segments = prefix.removesuffix("/").split("/")
    if kind not in KINDS:
        return f"the first segment must be one of {', '.join(KINDS)}"
    return None if all(map(is_segment, segments)) else f"a segment {SEGMENT_RULE}"


def is_below(log_id: LogId, prefix: str) -> bool:
    """Whether a log is the one that a prefix names, or below it: never one whose name only begins alike."""
    name = str(log_id)
    if prefix.endswith("/"):
        return name.startswith(prefix)
    return name == prefix or name.startswith(f"{prefix}/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The settings of a project."""

    default: Days = None
    kinds: Mapping[str, Days] = field(default_factory=dict)
    prefixes: Mapping[str, Days] = field(default_factory=dict)
    paused: bool = False  # nothing expires
    set_at: int = 0  # when they were changed (epoch ms)

    def days_of(self, head: Head) -> Days:
        """The log's own number, else that of the longest prefix that fits, else that of its kind, else the default."""
        if head.retention is not None:
            return head.retention
        fitting = [prefix for prefix in self.prefixes if is_below(head.log_id, prefix)]
        if fitting:
            return self.prefixes[max(fitting, key=len)]
        return self.kinds.get(head.log_id.kind, self.default)

    def expires_at(self, head: Head) -> int | None:
        """When a log expires if nothing more is written to it (epoch milliseconds); None if it does not."""
        days = None if head.hold or self.paused else self.days_of(head)
        return None if days is None else head.last_write + days * DAY

    def has_expired(self, head: Head, now: int) -> bool:
        """Whether a log has expired by now (epoch milliseconds)."""
        at = self.expires_at(head)
        return at is not None and at <= now


def may_have_expired(head: Head, now: int) -> bool:
    """Whether some setting lets a log expire by now (epoch milliseconds): the least is a day."""
    return not head.hold and head.last_write + DAY <= now
