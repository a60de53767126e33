"""Which logs a listing wants: by the beginning of their ids, kind, labels and state, and by the time of their text."""

from collections.abc import Sequence
from dataclasses import dataclass

from logkeep.logid import LogId
from logkeep.logs.activity import Sighting
from logkeep.logs.head import Head, State
from logkeep.logs.labels import Labels, derived_from


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, in epoch milliseconds. `until` is exclusive."""

    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Page:
    """Logs in the order of their ids, and the id up to which was looked; None if it was to the end."""

    heads: list[Head]
    marker: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What all logs of a listing have."""

    prefix: str = ""
    kind: str | None = None
    labels: Sequence[tuple[str, str]] = ()
    state: State | None = None
    window: Window | None = None

    @property
    def is_of_ids_alone(self) -> bool:
        """Whether every id in its range is wanted."""
        return not (self.labels or self.state or self.window)

    def ids(self, after: str) -> tuple[str, str] | None:
        """The range of the ids that sort after `after`, with both ends; None if there can be none."""
        start = f"{self.kind}/" if self.kind else ""
        if not (self.prefix.startswith(start) or start.startswith(self.prefix)):
            return None
        prefix = max(self.prefix, start, key=len)
        # Ids are printable ASCII without blanks. So `after` and a blank sorts right after `after`, and the prefix and
        # DEL sorts after every id with the prefix.
        low = max(prefix, f"{after} ") if after else prefix or " "
        high = f"{prefix}\x7f"
        return (low, high) if low <= high else None

    def may_have(self, log_id: LogId, sightings: Sequence[Sighting]) -> bool:
        """Whether a log may be wanted of which only its id and rows of activity are known."""
        if not self.labels or self.window is None:
            derived = derived_from(log_id)
            return all(derived.get(key, value) == value for key, value in self.labels)
        return any(self._labels_fit(log_id, each.labels) for each in sightings)

    def has(self, head: Head, sightings: Sequence[Sighting]) -> bool:
        """Whether a log is wanted. In a window, a row of activity has to say so, of the log with that birth."""
        if self.state not in {None, head.state} or not self._labels_fit(head.log_id, head.labels):
            return False
        window = self.window
        return window is None or any(each.may_be_of(head, window.since, window.until) for each in sightings)

    def _labels_fit(self, log_id: LogId, own: Labels) -> bool:
        labels = {**own, **derived_from(log_id)}
        return all(labels.get(key) == value for key, value in self.labels)
