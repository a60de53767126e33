"""Jobs: restores and verifications, which run over several invocations and note their progress on a backup record."""

from typing import Final, Literal, Self

from pydantic import BaseModel

type JobKind = Literal["restore", "verification"]

# ms since a worker noted something of the job. A dead worker keeps its lease for up to 15 minutes; then the schedule
# orders another one, which notes that it came. The rest is for hours in which Lambda has no worker free.
STALLED_AFTER: Final = 3_600_000
NOBODY: Final = "no worker continues it; ask for it again"


class Shown(BaseModel):
    """What clients see of a job. Times are in epoch milliseconds."""

    state: str  # "running" until it has ended
    started_at: int
    updated_at: int
    finished_at: int | None = None


class Job(Shown):
    """A restore or verification and its progress."""

    run: str  # its id: a later job takes its place on the backup record

    def is_running(self, now: int) -> bool:
        """Whether it waits for its first worker, or runs and a worker has noted something within STALLED_AFTER."""
        return self.state == "running" and (self.is_untouched or now - self.updated_at <= STALLED_AFTER)

    @property
    def is_untouched(self) -> bool:
        """Whether no worker has noted anything yet: the function that made it may have died before it ordered one."""
        return self.updated_at == self.started_at

    def ended(self, now: int, why: str | None = None) -> Self:
        """The job after its end; it has failed if `why` says so."""
        return self.model_copy(update={"state": "failed" if why else "done", "finished_at": now})

    def seen_at(self, now: int) -> Self:
        """The job as a reader sees it: a stalled one has failed."""
        if self.state != "running" or self.is_running(now):
            return self
        return self.ended(self.updated_at, NOBODY)
