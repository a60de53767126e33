"""The use of AWS by a request: boto3's calls, and the capacity units that DynamoDB reports for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

_REPORTING: Final = {  # operations that report consumed capacity
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
    """Count the calls of a client from now on."""
    client.meta.events.register("before-parameter-build.dynamodb", _ask_for_units)
    client.meta.events.register("after-call", _add)


def so_far() -> dict[str, Any]:
    """The counts since the last drain(): `{"calls": {operation: n}, "read_units", "write_units"}`."""
    return {"calls": dict(_calls), "read_units": _units["read"] / 2, "write_units": _units["write"] / 2}


def drain() -> dict[str, Any]:
    """The same, and begin to count anew."""
    found = so_far()
    _calls.clear()
    _units.clear()
    return found


def _ask_for_units(params: dict[str, Any], model: Any, **_: Any) -> None:
    if model.name in _REPORTING:
        params.setdefault("ReturnConsumedCapacity", "TOTAL")


def _add(parsed: Mapping[str, Any], model: Any, **_: Any) -> None:
    _calls[model.name] += 1
    consumed = parsed.get("ConsumedCapacity") or []
    for each in consumed if isinstance(consumed, list) else [consumed]:
        # Counted in half units, since an eventually consistent read of up to 4 KB takes half a unit.
        _units["write" if model.name in _WRITES else "read"] += round(2 * each.get("CapacityUnits", 0))
