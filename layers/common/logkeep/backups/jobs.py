"""What is done to a backup in as many invocations as it takes, and noted on its record."""

from typing import Final, Self

from pydantic import BaseModel

STALLED_AFTER: Final = 1_200_000  # ms without a step; a message of a dead worker comes again after 960 s
NOBODY: Final = "no worker goes on with it; ask for it again"


class Job(BaseModel):
    """How far it is; times in epoch milliseconds."""

    state: str  # running until it has ended
    run: str  # which one it is: another one takes its place on the record
    started_at: int
    updated_at: int
    finished_at: int | None = None

    def is_running(self, now: int) -> bool:
        """Whether it runs, and somebody went on with it lately."""
        return self.state == "running" and now - self.updated_at <= STALLED_AFTER

    @property
    def is_untouched(self) -> bool:
        """Whether no worker has noted anything yet: who made it may have died before it was ordered."""
        return self.updated_at == self.started_at

    def ended(self, now: int, why: str | None = None) -> Self:
        """The job when it is through, or (why) cannot go on."""
        return self.model_copy(update={"state": "failed" if why else "done", "finished_at": now})

    def seen_at(self, now: int) -> Self:
        """The job as a reader sees it: what nobody goes on with is not running for ever."""
        if self.state != "running" or self.is_running(now):
            return self
        return self.ended(self.updated_at, NOBODY)
