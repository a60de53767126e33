"""Registrations: the second name of a log, a build of a job or an execution of a check task."""

from typing import Annotated, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from logkeep.errors import Invalid
from logkeep.logid import LogId
from logkeep.params import Decimal, Segment

type JobId = Annotated[str, Field(pattern=r"^[0-9A-Za-z]{32}$")]
type BuildNo = Annotated[Decimal, Field(ge=1)]

# By kind of log: the parameters that name the group and the member of it.
PAIRS: Final = {"build": ("job_id", "build_no"), "check": ("task_id", "execute_id")}


class Registration(NamedTuple):
    """The job_id and build_no of a build log, or the task_id and execute_id of a check log."""

    group: str
    member: str


class RegistrationQuery(BaseModel):
    """The parameters that register a log: both of the pair for its kind, or none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_id: JobId | None = None
    build_no: BuildNo | None = None
    task_id: Segment | None = None
    execute_id: Segment | None = None

    def registration(self, log_id: LogId) -> Registration | None:
        """The registration, None without parameters. Raises Invalid for half a pair, or the pair of another kind."""
        given = {name: str(value) for name in sum(PAIRS.values(), ()) if (value := getattr(self, name)) is not None}
        pair = PAIRS.get(log_id.kind, ())
        for name in given:
            if name not in pair:
                raise Invalid(name, f"is not a parameter of logs of kind {log_id.kind}")
        for name in pair:
            if given and name not in given:
                raise Invalid(name, f"is required with {' and '.join(given)}")
        return Registration(*(given[name] for name in pair)) if given else None
