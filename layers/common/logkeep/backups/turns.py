"""Whose turn it is: which work is begun when there is more of it than workers."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol


class Bounds(NamedTuple):
    """How much work of a kind is done at the same time."""

    in_all: int
    of_project: int

    def leave_room(self, busy: Mapping[str, int], project: str) -> bool:
        """Whether a project may begin more, if so many workers of each project are busy."""
        return sum(busy.values()) < self.in_all and busy.get(project, 0) < self.of_project


class Waiting(Protocol):
    @property
    def project(self) -> str: ...


def next_ones[W: Waiting](waiting: Iterable[W], busy: Mapping[str, int], bounds: Bounds) -> list[W]:
    """What is begun of what waits: each time, the first of the project for which the fewest workers are busy.

    Of projects with equally many, the one whose first has waited longest is next. `waiting` is in the order in which a
    project's work is begun.
    """
    lines: dict[str, list[W]] = {}
    for each in waiting:
        lines.setdefault(each.project, []).append(each)
    counts, begun = Counter(busy), list[W]()
    while able := [project for project, line in lines.items() if line and bounds.leave_room(counts, project)]:
        project = min(able, key=lambda each: counts[each])
        begun.append(lines[project].pop(0))
        counts[project] += 1
    return begun
