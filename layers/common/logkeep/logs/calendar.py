"""What is to be done with logs on a day: items of table Logs by day and shard (docs/formats.md#calendar)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from logkeep.logid import LogId
from logkeep.logs.activity import day_of, shard_of

_CLEAN: Final = "clean"
_REFILE: Final = "refile"


def due_key(project: str, shard: int) -> str:
    """The pk of what is due."""
    return f"{project}/due/{shard}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanUp:
    """To remove what a pack has replaced: the fragments of [begin, end). `at`: not before, epoch milliseconds."""

    log_id: LogId
    birth: str
    begin: int
    end: int
    at: int

    def item(self, project: str) -> dict[str, Any]:
        return {
            "pk": due_key(project, shard_of(self.log_id)),
            "sk": f"{day_of(self.at)}/{_CLEAN}/{self.log_id}@{self.birth}/{self.begin:016d}",
            "log": str(self.log_id),
            "birth": self.birth,
            "begin": self.begin,
            "end": self.end,
            "at": self.at,
        }

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Self:
        return cls(
            log_id=LogId.parse(item["log"]),
            birth=item["birth"],
            begin=item["begin"],
            end=item["end"],
            at=item["at"],
        )


class Step(StrEnum):
    """What is to be done with a log as a whole."""

    EXPIRE = "expire"  # look whether it has expired
    GO = "going"  # delete it, if it still has
    REMOVE = "remove"  # remove the text of one that was deleted
    FORGET = "forget"  # its deletion


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDue:
    """A step of a log's end. `at`: not before, epoch milliseconds.

    The item of a step, log and day is there once, however often it is filed.
    """

    step: Step
    log_id: LogId
    birth: str
    at: int

    def item(self, project: str) -> dict[str, Any]:
        return {
            "pk": due_key(project, shard_of(self.log_id)),
            "sk": f"{day_of(self.at)}/{self.step}/{self.log_id}@{self.birth}",
            "log": str(self.log_id),
            "birth": self.birth,
            "at": self.at,
        }

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Self:
        step = Step(item["sk"].split("/")[1])
        return cls(step=step, log_id=LogId.parse(item["log"]), birth=item["birth"], at=item["at"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Refiling:
    """To file all logs of a project anew, because its settings have changed. There is one at a time.

    `round` is another one for each change, `marker` the last id that was filed.
    """

    round: str
    marker: str
    at: int

    def item(self, project: str) -> dict[str, Any]:
        # Before all days.
        return {
            "pk": due_key(project, 0),
            "sk": f"0/{_REFILE}",
            "round": self.round,
            "marker": self.marker,
            "at": self.at,
        }

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Self:
        return cls(round=item["round"], marker=item["marker"], at=item["at"])


type Due = CleanUp | LogDue | Refiling


def due_of(item: Mapping[str, Any]) -> Due:
    """What an item of the calendar says."""
    match item["sk"].split("/")[1]:
        case "clean":
            return CleanUp.of(item)
        case "refile":
            return Refiling.of(item)
        case _:
            return LogDue.of(item)
