"""How the logs of a backup are put together again out of its archive and those that it continues."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from logkeep.cuts import Cut, Slice
from logkeep.errors import Corrupt
from logkeep.log import Head, State
from logkeep.logid import LogId, is_segment

SHOWN_MAX: Final = 100  # logs that a report names


def _prefix(text: str) -> str:
    if text and not is_segment(text):
        raise ValueError("must be of A-Z a-z 0-9 . _ -")
    return text


class RestoreRequest(BaseModel):
    """Where to restore to: `prefix` goes before the cluster's id; a dry run only tells what would be done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dry_run: bool = False
    prefix: Annotated[str, Field(max_length=64), AfterValidator(_prefix)] = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A slice of a log, and the archive that holds it: the index of its cut in the chain, and of the slice there."""

    cut: int
    index: int
    slice: Slice


@dataclass(frozen=True, slots=True)
class Target:
    """A log to be restored: its id, what it was at the cut, and its pieces from the first byte on."""

    log_id: LogId
    source: Slice
    pieces: tuple[Piece, ...]


def targets(chain: Sequence[Cut], prefix: str) -> list[Target]:
    """The logs of the newest of some cuts, each of which continues the one after it; the last one is full.

    Raises Corrupt where the chain does not hold every byte.
    """
    indexes = [{each.log_id: index for index, each in enumerate(cut.parts)} for cut in chain]
    slices = [{each.log_id: each for each in cut.logs} for cut in chain]
    found = []
    for source in chain[0].logs:
        pieces: list[Piece] = []
        end = source.mark.end
        for number, cut in enumerate(slices):
            if not end:
                break
            each = cut.get(source.log_id)
            if each is None or each.mark.end != end:
                break
            if each.raw:
                pieces.append(Piece(number, indexes[number][source.log_id], each))
                end = each.begin.end
        if end:
            raise Corrupt(f"no backup holds the first {end} bytes of {source.log_id}")
        found.append(Target(_renamed(source.log_id, prefix), source, tuple(reversed(pieces))))
    return found


type Plan = Literal["new", "grow", "held", "differs"]


def plan(target: Target, head: Head | None) -> Plan:
    """What restoring would do to a log as it is; a longer or shorter one is only compared when it is restored."""
    if head is None:
        return "new"
    if head.end < target.source.mark.end:
        return "differs" if head.state is State.SEALED else "grow"
    if head.end == target.source.mark.end:
        return "held" if head.crc32 == target.source.mark.crc32 else "differs"
    return "held"


class RestoreReport(BaseModel):
    """What a restore did, or would do; counts of logs, and the ids of those that hold other bytes and stay so."""

    state: Literal["planned", "running", "done", "failed"]
    dry_run: bool
    prefix: str
    logs: int
    done: int = 0
    bytes: int = 0  # written
    counts: dict[str, int] = Field(default_factory=dict)
    differs: list[str] = Field(default_factory=list)
    failed_msg: str | None = None
    started_at: int  # epoch ms
    finished_at: int | None = None

    def with_log(self, log_id: str, outcome: str, written: int) -> "RestoreReport":
        counts = self.counts | {outcome: self.counts.get(outcome, 0) + 1}
        differs = [*self.differs, log_id][:SHOWN_MAX] if outcome == "differs" else self.differs
        changes: dict[str, Any] = {"done": self.done + 1, "bytes": self.bytes + written}
        return self.model_copy(update=changes | {"counts": counts, "differs": differs})


def _renamed(log_id: str, prefix: str) -> LogId:
    kind, cluster, *rest = log_id.split("/")
    return LogId.parse("/".join((kind, prefix + cluster, *rest)))
