"""What DynamoDB and S3 charge for: the assumed list prices, and capacity units as they follow from sizes.

Units and sizes: docs.aws.amazon.com/amazondynamodb, "DynamoDB Item sizes and formats" and "Read and write operations".
The units that an emulator reports are not used.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

# us-east-1, on demand, in dollars
WRITE_UNIT: Final = 0.625 / 1e6
READ_UNIT: Final = 0.125 / 1e6
S3_PUT: Final = 5 / 1e6
S3_GET: Final = 0.4 / 1e6
KMS_CALL: Final = 3 / 1e6
LOG_GB: Final = 0.5  # ingested by CloudWatch Logs
GB: Final = 1e9

TRANSACTIONAL: Final = 2  # units of a transactional write for one of a plain write
QUERY_PAGE: Final = 1 << 20  # bytes of items after which a query answers
BATCH_WRITE: Final = 25  # items
ASSUMED: Final = (
    "List prices, us-east-1, on demand: DynamoDB $0.625 per million write units, $0.125 per million read units;\n"
    "S3 $5 per million PUT, $0.40 per million GET. Not in them: Lambda, API Gateway, storage."
)


def item_size(item: Mapping[str, Any]) -> int:
    """Bytes of an item in DynamoDB's typed form."""
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
    """Of one plain write of an item; an update counts the larger of the item before and after."""
    return max(1, -(-size // 1024))


def read_units(sizes: Iterable[int], *, consistent: bool = True) -> float:
    """Of one request: a GetItem of one item, or a Query, which sums its items before it rounds."""
    return max(1, -(-sum(sizes) // 4096)) * (1 if consistent else 0.5)
