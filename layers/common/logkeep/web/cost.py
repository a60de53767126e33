"""What a request costs, in units of the project's limit: list prices of AWS in us-east-1, as in admin/prices.py."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# Millionths of a dollar. An append of 64 KB costs 12 of them, a page of a hundred logs 16: one unit each.
UNIT: Final = 20.0
# A link costs as much as twice the largest answer, if its file is larger than that. It is no bound: whoever has the
# link may open it again. But one who fetches large files is not kept waiting for minutes either.
LINK_MAX: Final = 40 * UNIT

REQUEST: Final = 1.2  # millionths of a dollar, as all of these: of API Gateway and Lambda
STEP: Final = 1.0  # each further 512 KB of the body or the answer, at API Gateway
STEP_BYTES: Final = 512 * 1024
GB_SECOND: Final = 13.3334
WRITE_UNIT: Final = 0.625
READ_UNIT: Final = 0.125
BYTE_OUT: Final = 0.09 / 1000
# Keys are not counted: they are read for the first requests of a process, whoever sends them.
CALLS: Final[Mapping[str, float]] = {
    "CompleteMultipartUpload": 5.0,
    "CreateMultipartUpload": 5.0,
    "ListMultipartUploads": 5.0,
    "ListObjectsV2": 5.0,
    "ListParts": 5.0,
    "PutObject": 5.0,
    "PutObjectLegalHold": 5.0,
    "UploadPart": 5.0,
    "UploadPartCopy": 5.0,
    "GetObject": 0.4,
    "HeadObject": 0.4,
    "Invoke": 0.2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a request used, or will use at least."""

    gb_seconds: float = 0
    write_units: float = 0
    read_units: float = 0
    calls: Mapping[str, int] = field(default_factory=dict)  # by operation
    bytes_in: int = 0
    bytes_out: int = 0
    bytes_linked: int = 0

    @property
    def price(self) -> float:
        """Millionths of a dollar."""
        return (
            REQUEST
            + STEP * (max(self.bytes_in, self.bytes_out) // STEP_BYTES)
            + GB_SECOND * self.gb_seconds
            + WRITE_UNIT * self.write_units
            + READ_UNIT * self.read_units
            + sum(CALLS.get(operation, 0) * count for operation, count in self.calls.items())
            + BYTE_OUT * self.bytes_out
            + min(BYTE_OUT * self.bytes_linked, LINK_MAX)
        )

    @property
    def units(self) -> int:
        """At least one."""
        return math.ceil(self.price / UNIT)
