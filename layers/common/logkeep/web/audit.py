"""The audit: one log line per request with caller, route, outcome and use of AWS, and the metrics in EMF.

Anyone can send requests without a proof, and as many as they like. Of those a process writes ten lines at once, then
one in ten seconds, which also counts the ones left out; and their metrics are those of no function or project.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from logkeep.aws import usage
from logkeep.errors import LogkeepError
from logkeep.identity.credentials import Caller
from logkeep.identity.throttle import Limit
from logkeep.settings import settings
from logkeep.web.cost import Use

NO_CALLER: Final = "-"  # in place of a project or credential
UNPROVED: Final = Limit(rate=0.1, burst=10)  # lines of requests without a caller, in a process
_TEXT_MAX: Final = 512  # characters of text from a client


class Ending(StrEnum):
    """How the body of a streamed answer ended."""

    COMPLETE = "complete"
    LEFT = "left"  # the client closed the connection
    FAILED = "failed"


@dataclass(slots=True)
class Outcome:
    """Facts of a request for the audit, collected while it is answered."""

    started: float
    caller: Caller | None = None
    error: LogkeepError | None = None
    linked: int = 0  # bytes of a file that the answer links to
    sent: int = 0  # bytes of a streamed body
    ending: Ending | None = None  # None if the answer is not streamed
    charged: int = 0  # units of the project's limit

    @classmethod
    def start(cls) -> "Outcome":
        """Start to measure a request."""
        usage.drain()
        return cls(time.monotonic())


def use_of(event: Mapping[str, Any], answer: Mapping[str, Any], outcome: Outcome, memory: int) -> Use:
    """What a request has used; `memory` is the function's, in MiB."""
    return Use(
        gb_seconds=(time.monotonic() - outcome.started) * memory / 1024,
        bytes_in=_size(event.get("body"), event.get("isBase64Encoded")),
        bytes_out=_sent(answer, outcome),
        bytes_linked=outcome.linked,
        **usage.so_far(),
    )


@dataclass(slots=True)
class _Unproved:
    """What requests without a caller add up to since the last line of one."""

    full_at: int = 0  # when UNPROVED is full
    requests: int = 0
    sums: Counter[str] = field(default_factory=Counter)

    def add(self, values: Mapping[str, int]) -> None:
        self.requests += 1
        self.sums.update(values)

    def due(self, now: int) -> bool:
        """Whether a line may be written at `now`, in microseconds of some clock."""
        if UNPROVED.wait(self.full_at, now):
            return False
        self.full_at = UNPROVED.take(self.full_at, now)
        return True

    def taken(self) -> tuple[int, dict[str, int]]:
        """The requests and their metrics, which begin anew."""
        found = self.requests, dict(self.sums)
        self.requests = 0
        self.sums.clear()
        return found


_unproved: Final = _Unproved()


def forget_unproved() -> None:
    """Begin as a new process does."""
    _unproved.full_at = 0
    _unproved.taken()


def line_of(
    function: str, event: Mapping[str, Any], answer: Mapping[str, Any], outcome: Outcome
) -> dict[str, Any] | None:
    """The fields of a request's line, None if it is left out.

    They have no header, query string or answer: those contain tokens and links.
    """
    context, caller = event["requestContext"], outcome.caller
    status = int(answer["statusCode"])
    project = caller.project if caller else NO_CALLER
    sent = {
        "requests": 1,
        "errors": int(status >= 500 or outcome.ending is Ending.FAILED),
        "bytes_in": _size(event.get("body"), event.get("isBase64Encoded")),
        "bytes_out": _sent(answer, outcome),
    }
    left_out = None
    if caller is None:
        _unproved.add(sent)
        if status < HTTPStatus.INTERNAL_SERVER_ERROR and not _unproved.due(time.monotonic_ns() // 1000):
            usage.drain()
            return None
        requests, sent = _unproved.taken()
        left_out = requests - 1
    fields = {
        "function": function,
        "project": project,
        "credential": caller.credential if caller else NO_CALLER,
        "source_ip": context["http"]["sourceIp"],
        "user_agent": _text(context["http"].get("userAgent", "")),
        "method": context["http"]["method"],
        "route": event["routeKey"],
        "path": _text(event["rawPath"]),
        "status": status,
        "error": type(outcome.error).__name__ if outcome.error else None,
        "detail": _text(outcome.error) if outcome.error else None,
        **sent,
        "bytes_linked": outcome.linked,
        "units": outcome.charged,
        "ended": outcome.ending,
        "duration_ms": round((time.monotonic() - outcome.started) * 1000, 1),
        "used": usage.drain(),
        "left_out": left_out,
    }
    if settings().project_metrics:
        by_function = {"function": function} if caller else {}
        fields |= _metrics(sent, {**by_function, "project": project})
    return fields


def _metrics(values: Mapping[str, float], dimensions: Mapping[str, str]) -> dict[str, Any]:
    """The fields that make a line one of CloudWatch's embedded metric format."""
    metrics = EphemeralMetrics(namespace=settings().metrics_namespace)
    metrics.service = ""  # otherwise it becomes a dimension
    for dimension, text in dimensions.items():
        metrics.add_dimension(dimension, text)
    for name, value in values.items():
        unit = MetricUnit.Bytes if name.startswith("bytes") else MetricUnit.Count
        metrics.add_metric(name.title().replace("_", ""), unit, value)
    return dict(metrics.serialize_metric_set())


def _sent(answer: Mapping[str, Any], outcome: Outcome) -> int:
    """The bytes of the answer's body."""
    if outcome.ending is not None:
        return outcome.sent
    return _size(answer.get("body"), answer.get("isBase64Encoded"))


def _text(value: object) -> str:
    """Text from a client, cut, in one line: control characters and halves of surrogate pairs are replaced."""
    text = str(value)[:_TEXT_MAX]
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _size(body: str | None, is_base64: bool | None) -> int:
    """The bytes of a body as it is sent; base64 is not decoded for it."""
    if not body:
        return 0
    return len(body) // 4 * 3 - body[-2:].count("=") if is_base64 else len(body.encode(errors="surrogatepass"))
