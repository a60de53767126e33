"""Types of request parameters that several APIs share."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from logkeep.clock import DAY, HOUR, MINUTE, now_ms
from logkeep.logid import SEGMENT_PATTERN, SEGMENT_RULE, is_segment

_DECIMAL: Final = re.compile(r"-?[0-9]{1,18}")
_AGO: Final = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS: Final = {"s": 1000, "m": MINUTE, "h": HOUR, "d": DAY}
_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[ +-]\d\d:\d\d)", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT: Final = 2**53  # up to here, a float is exactly its integer
_SECONDS: Final = 10**8  # from here up to its thousandfold, a time is of 1973 or later in seconds, before it in ms


def _integer(value: Any) -> int:
    """pydantic alone would also accept true, "7" and "7_0"."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")
    return value


def _decimal(value: Any) -> int:
    if not isinstance(value, str):
        return _integer(value)
    if not _DECIMAL.fullmatch(value):
        raise ValueError("must be a decimal number")
    return int(value)


def _boolean(value: Any) -> bool:
    """pydantic alone would also accept 1, "1", "on" and "yes"."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in {"true", "false"}:
        raise ValueError("must be true or false")
    return value.lower() == "true"


def _not_seconds(time: int) -> int:
    if _SECONDS <= time < _SECONDS * 1000:
        read = datetime.fromtimestamp(time / 1000, UTC)
        raise ValueError(f"milliseconds? read as such, {time} is a time of {read:%Y-%m-%d}")
    return time


def _time(value: Any) -> Any:
    """Epoch ms of a time as clients write it: epoch ms, RFC 3339, or how long ago."""
    if not isinstance(value, str) or _DECIMAL.fullmatch(value):
        return _not_seconds(_decimal(value))
    if ago := _AGO.fullmatch(value):
        return max(0, now_ms() - int(ago[1]) * _UNITS[ago[2]])
    if not _RFC_3339.fullmatch(value):
        raise ValueError(
            "must be epoch milliseconds, a time of RFC 3339 such as 2026-01-31T08:00:00Z, or 90s, 15m, 2h, 7d"
        )
    # A plus that was not encoded in a query is a blank.
    return (datetime.fromisoformat(value.replace(" ", "+")) - _EPOCH) // timedelta(milliseconds=1)


def _segment(text: str) -> str:
    if not is_segment(text):
        raise ValueError(SEGMENT_RULE)
    return text


_TIME_MAX: Final = 253_402_300_799_999  # the last millisecond of the year 9999

type Integer = Annotated[int, BeforeValidator(_integer)]  # a JSON number; 7.0 is 7
type Decimal = Annotated[  # the same, or its digits as a text
    int, BeforeValidator(_decimal), Field(json_schema_extra={"minimum": 1 - 10**18, "maximum": 10**18 - 1})
]
type Boolean = Annotated[bool, BeforeValidator(_boolean)]
NotSeconds: Final = AfterValidator(_not_seconds)  # of an epoch time in milliseconds
type Time = Annotated[  # a time in epoch milliseconds, from any form of _time()
    int,
    BeforeValidator(_time),
    Field(ge=0, le=_TIME_MAX),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": _SECONDS * 1000, "maximum": _TIME_MAX, "title": "Epoch milliseconds"},
                {"type": "string", "format": "date-time", "title": "RFC 3339"},
                {"type": "string", "pattern": "^[0-9]{1,9}[smhd]$", "title": "How long ago", "examples": ["15m"]},
            ]
        }
    ),
]
type Segment = Annotated[  # a path segment of a log id
    str,
    AfterValidator(_segment),
    Field(json_schema_extra={"pattern": f"^{SEGMENT_PATTERN}$"}),
]
