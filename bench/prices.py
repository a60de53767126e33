"""List prices of DynamoDB and S3, and the capacity units that follow from sizes.

Units and sizes: docs.aws.amazon.com/amazondynamodb, "DynamoDB Item sizes and formats" and "Read and write operations".
The units that the emulator reports are not used.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from admin.prices import CALLS
from admin.prices import GB as GB
from admin.prices import KMS_CALL as KMS_CALL
from admin.prices import LOG_GB as LOG_GB
from admin.prices import READ_UNIT as READ_UNIT
from admin.prices import S3_GB_MONTH as S3_GB_MONTH
from admin.prices import S3_GET as S3_GET
from admin.prices import S3_PUT as S3_PUT
from admin.prices import WRITE_UNIT as WRITE_UNIT

S3_CALLS: Final = CALLS["s3"]
TRANSACTIONAL: Final = 2  # units of a transactional write per unit of a plain write
QUERY_PAGE: Final = 1 << 20  # bytes of items at which a page of a query ends
BATCH_WRITE: Final = 25  # items of a BatchWriteItem
ASSUMED: Final = (
    f"List prices, us-east-1, on demand: DynamoDB ${WRITE_UNIT * 1e6:g} per million write units, "
    f"${READ_UNIT * 1e6:g} per million read units;\nS3 ${S3_PUT * 1e6:g} per million PUT, "
    f"${S3_GET * 1e6:g} per million GET. Not included: Lambda, API Gateway, storage."
)


def item_size(item: Mapping[str, Any]) -> int:
    """The size in bytes of an item in DynamoDB's typed form."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "B":
            return len(bytes(content))
        case "N":
            digits = content.lstrip("-").replace(".", "").strip("0")
            return (len(digits) + 1) // 2 + 1 + int(content.startswith("-"))
        case "BOOL" | "NULL":
            return 1
        case "M":
            return 3 + len(content) + item_size(content)
        case "L":
            return 3 + len(content) + sum(map(_value_size, content))
        case _:
            raise ValueError(kind)


def write_units(size: int) -> int:
    """The units of one plain write of an item of this size. An update counts the larger size, before or after."""
    return max(1, -(-size // 1024))


def read_units(sizes: Iterable[int], *, consistent: bool = True) -> float:
    """The units of one GetItem, or of one Query, which sums the sizes of its items before it rounds."""
    return max(1, -(-sum(sizes) // 4096)) * (1 if consistent else 0.5)
