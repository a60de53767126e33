"""What a log is registered under besides its id: a build of a job, or an execution of a check task."""

from typing import Annotated, Final, NamedTuple

from pydantic import BaseModel, Field

from logkeep.errors import Invalid
from logkeep.logid import LogId
from logkeep.params import Decimal, Segment

# By kind of log: what names the group, and what names the member of it.
_PAIRS: Final = {"build": ("job_id", "build_no"), "check": ("task_id", "execute_id")}


class Registration(NamedTuple):
    """Of a build log its job_id and build_no, of a check log its task_id and execute_id."""

    group: str
    member: str


type JobId = Annotated[str, Field(pattern=r"^[0-9A-Za-z]{32}$")]
type BuildNo = Annotated[Decimal, Field(ge=1)]


class RegistrationQuery(BaseModel):
    """The parameters that register a log; both of a pair, or none."""

    job_id: JobId | None = None
    build_no: BuildNo | None = None
    task_id: Segment | None = None
    execute_id: Segment | None = None

    def registration(self, log_id: LogId) -> Registration | None:
        """Raise Invalid for half a pair, and for a pair that is not of this kind of log."""
        given = {name: str(value) for name in sum(_PAIRS.values(), ()) if (value := getattr(self, name)) is not None}
        pair = _PAIRS.get(log_id.kind, ())
        for name in given:
            if name not in pair:
                raise Invalid(name, f"does not go with a {log_id.kind} log")
        for name in pair:
            if given and name not in given:
                raise Invalid(name, f"is required with {' and '.join(given)}")
        return Registration(*(given[name] for name in pair)) if given else None
