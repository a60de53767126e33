"""One line per request: who asked what, with which outcome, and what it used; it carries the metrics too (EMF)."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from logkeep.aws import usage
from logkeep.errors import LogkeepError
from logkeep.identity.credentials import Caller
from logkeep.settings import settings

NAMESPACE: Final = "Logkeep"
NOBODY: Final = "-"
_TEXT_MAX: Final = 512  # characters of what a client chooses


class Ending(StrEnum):
    """How the body of a streamed answer ended."""

    COMPLETE = "complete"
    LEFT = "left"  # by its client
    FAILED = "failed"


@dataclass(slots=True)
class Outcome:
    """What is learnt of a request while it is answered."""

    started: float
    caller: Caller | None = None
    error: LogkeepError | None = None
    linked: int = 0  # bytes of a file that a link was given for
    sent: int = 0  # bytes of a streamed body
    ending: Ending | None = None  # where the answer is streamed

    @classmethod
    def start(cls) -> "Outcome":
        usage.drain()
        return cls(time.monotonic())


def line_of(function: str, event: Mapping[str, Any], answer: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    """The fields of the line. No header, query string or answer is among them: they hold tokens and signed URLs."""
    context, caller = event["requestContext"], outcome.caller
    status = int(answer["statusCode"])
    project = caller.project if caller else NOBODY
    size = _size(answer.get("body"), answer.get("isBase64Encoded")) if outcome.ending is None else outcome.sent
    sent = {
        "Requests": 1,
        "Errors": int(status >= 500 or outcome.ending is Ending.FAILED),
        "BytesIn": _size(event.get("body"), event.get("isBase64Encoded")),
        "BytesOut": size,
    }
    fields = {
        "function": function,
        "project": project,
        "credential": caller.credential if caller else NOBODY,
        "source_ip": context["http"]["sourceIp"],
        "user_agent": _text(context["http"].get("userAgent", "")),
        "method": context["http"]["method"],
        "route": event["routeKey"],
        "path": _text(event["rawPath"]),
        "status": status,
        "error": type(outcome.error).__name__ if outcome.error else None,
        "detail": _text(outcome.error) if outcome.error else None,
        "bytes_linked": outcome.linked,
        "ended": outcome.ending,
        "duration_ms": round((time.monotonic() - outcome.started) * 1000, 1),
        "used": usage.drain(),
        "request_id": context["requestId"],
    }
    by_project = {"project": project} if settings().project_metrics else {}
    return fields | _metrics(sent, {"function": function, **by_project})


def _metrics(values: Mapping[str, float], dimensions: Mapping[str, str]) -> dict[str, Any]:
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    metrics.service = ""  # else it would be a dimension, too
    for dimension, text in dimensions.items():
        metrics.add_dimension(dimension, text)
    for metric, value in values.items():
        metrics.add_metric(metric, MetricUnit.Bytes if metric.startswith("Bytes") else MetricUnit.Count, value)
    return dict(metrics.serialize_metric_set())


def _text(told: object) -> str:
    """What a client chose, in one line that any reader shows as it is: no control, no half of a surrogate pair."""
    text = str(told)[:_TEXT_MAX]
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _size(body: str | None, is_base64: bool | None) -> int:
    """Bytes of a body as it is sent, without decoding it."""
    if not body:
        return 0
    return len(body) // 4 * 3 - body[-2:].count("=") if is_base64 else len(body.encode(errors="surrogatepass"))
