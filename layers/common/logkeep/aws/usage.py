"""What a request uses of AWS, counted where boto3 sends it: calls, and DynamoDB's own account of capacity units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

_TOLD: Final = {
    "BatchGetItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "TransactWriteItems",
    "UpdateItem",
}
_WRITES: Final = {"DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem"}

_calls: Final[Counter[str]] = Counter()
_units: Final[Counter[str]] = Counter()


def count(client: Any) -> None:
    """Count what is sent through a client from now on."""
    client.meta.events.register("before-parameter-build.dynamodb", _ask_for_units)
    client.meta.events.register("after-call", _add)


def taken() -> dict[str, Any]:
    """What was counted since this was last asked: `{"calls": {operation: n}, "read_units", "write_units"}`."""
    found = {"calls": dict(_calls), "read_units": _units["read"] / 2, "write_units": _units["write"] / 2}
    _calls.clear()
    _units.clear()
    return found


def _ask_for_units(params: dict[str, Any], model: Any, **_: Any) -> None:
    if model.name in _TOLD:
        params.setdefault("ReturnConsumedCapacity", "TOTAL")


def _add(parsed: Mapping[str, Any], model: Any, **_: Any) -> None:
    _calls[model.name] += 1
    told = parsed.get("ConsumedCapacity") or []
    for each in told if isinstance(told, list) else [told]:
        # Half units: an eventually consistent read of up to 4 KB is one.
        _units["write" if model.name in _WRITES else "read"] += round(2 * each.get("CapacityUnits", 0))
