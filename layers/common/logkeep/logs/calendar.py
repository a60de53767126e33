"""What is to be done with logs on a day: items of table Logs by day and shard (docs/formats.md#calendar)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from logkeep.logid import LogId
from logkeep.logs.activity import day_of, shard_of

_CLEAN: Final = "clean"


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
    def of(cls, item: Mapping[str, Any]) -> Self | None:
        """None if the item is of another kind."""
        if item["sk"].split("/")[1] != _CLEAN:
            return None
        return cls(
            log_id=LogId.parse(item["log"]),
            birth=item["birth"],
            begin=item["begin"],
            end=item["end"],
            at=item["at"],
        )
