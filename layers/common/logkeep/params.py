"""Types of request parameters that several APIs share."""

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field

from logkeep.logid import SEGMENT_PATTERN, SEGMENT_RULE, is_segment

_DECIMAL: Final = re.compile(r"-?[0-9]{1,18}")


def _decimal(value: Any) -> Any:
    """Only digits: pydantic alone would also accept 1_000 and 1.0."""
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise ValueError("must be a decimal number")
    return value


def _boolean(value: Any) -> Any:
    if isinstance(value, str):
        if value.lower() not in {"true", "false"}:
            raise ValueError("must be true or false")
        return value.lower() == "true"
    return value


def _segment(text: str) -> str:
    if not is_segment(text):
        raise ValueError(SEGMENT_RULE)
    return text


type Decimal = Annotated[
    int, BeforeValidator(_decimal), Field(json_schema_extra={"minimum": 1 - 10**18, "maximum": 10**18 - 1})
]
type Boolean = Annotated[bool, BeforeValidator(_boolean)]
type Segment = Annotated[  # a path segment of a log id
    str,
    AfterValidator(_segment),
    Field(json_schema_extra={"pattern": f"^{SEGMENT_PATTERN}$"}),
]
