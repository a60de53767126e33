"""What projects cost, calculated from what their requests used and from what is stored for them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from admin import prices

METRICS: Final = 4  # in a request's line, for every function and project
PARTS: Final = ("api", "lambda", "dynamodb", "s3", "keys", "orders", "transfer", "logs", "metrics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one project used of one function with one memory size: sums over the lines of its requests."""

    project: str
    function: str
    memory: int  # MiB
    requests: int
    steps: int  # of API_STEP, at least one a request
    milliseconds: float
    read_units: float
    write_units: float
    calls: Mapping[str, int] = field(default_factory=dict)  # by operation
    bytes_out: int = 0
    bytes_linked: int = 0
    bytes_logged: int = 0  # size of the lines themselves
    hours: int = 1  # with at least one request


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a project costs: dollars for its requests, by part, and what it stores."""

    project: str
    requests: int
    parts: Mapping[str, float]
    stored: int  # bytes of objects

    @property
    def total(self) -> float:
        """Dollars for the requests."""
        return sum(self.parts.values())

    @property
    def storage(self) -> float:
        """Dollars for a month of what is stored now."""
        return self.stored / prices.GB * prices.S3_GB_MONTH

    def document(self) -> dict[str, Any]:
        return {
            "project": self.project,
            "requests": self.requests,
            "dollars": {part: round(dollars, 12) for part, dollars in self.parts.items()},
            "total": round(self.total, 12),
            "stored_bytes": self.stored,
            "storage_per_month": round(self.storage, 12),
        }


def steps(bytes_in: float, bytes_out: float) -> int:
    """The number of requests that API Gateway charges for one request of this size, in bytes."""
    return max(1, -(-int(max(bytes_in, bytes_out)) // prices.API_STEP))


def costs_of(used: Iterable[Usage], stored: Mapping[str, int], *, project_metrics: bool) -> list[Cost]:
    """The costs of every project that used or stores something, the highest first. `stored` is in bytes."""
    requests: dict[str, int] = defaultdict(int)
    parts: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(PARTS, 0.0))
    for each in used:
        requests[each.project] += each.requests
        for part, dollars in _parts(each, project_metrics=project_metrics).items():
            parts[each.project][part] += dollars
    costs = [
        Cost(project=project, requests=requests[project], parts=parts[project], stored=stored.get(project, 0))
        for project in {*requests, *stored}
    ]
    return sorted(costs, key=lambda cost: (-cost.total, -cost.stored, cost.project))


def _parts(used: Usage, *, project_metrics: bool) -> dict[str, float]:
    gb_seconds = used.memory / 1024 * used.milliseconds / 1000
    return {
        "api": used.steps * prices.API_REQUEST,
        "lambda": used.requests * prices.LAMBDA_REQUEST + gb_seconds * prices.LAMBDA_GB_SECOND,
        "dynamodb": used.read_units * prices.READ_UNIT + used.write_units * prices.WRITE_UNIT,
        **{
            part: sum(used.calls.get(operation, 0) * price for operation, price in operations.items())
            for part, operations in prices.CALLS.items()
        },
        "transfer": (used.bytes_out + used.bytes_linked) / prices.GB * prices.GB_OUT,
        "logs": used.bytes_logged / prices.GB * prices.LOG_GB,
        "metrics": used.hours * METRICS * prices.METRIC_HOUR if project_metrics else 0.0,
    }
