"""What requests use of AWS: counts that bench/ measures and compares with these, and what is assumed beside them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Append:
    """One append to a log that exists, of so many lines of bench/texts.py."""

    raw: int  # bytes
    packed: int
    write_units: float
    read_units: float
    puts: float


# bench/appending.py, by number of lines
APPENDS: Final = {
    5: Append(642, 320, 4, 1, 0),
    50: Append(6_387, 1_521, 6, 1, 0),
    500: Append(63_997, 12_373, 4, 1, 1),
    5000: Append(640_150, 119_817, 4, 1, 1),
}
# bench/compaction.py: write units for an append of 6 kB until it is packed, and for its row to be removed
PACKED: Final = 0.007
CLEANED: Final = 2.0
# bench/eventing.py: write units of a request by its number of events, which are of one minute
EVENTS: Final = {50: 11.9}
EVENTS_STORED: Final = 20  # bytes of an event in a segment
# bench/following.py: a minute of following a log with a line a second, with the follower's notes at their price
FOLLOWED_READ_UNITS: Final = 192
# bench/backing_up.py, four logs of 500 MB
BACKUP_REQUESTS_GB: Final = 146  # of S3, most of them copies
BACKUP_CPU_SECONDS_GB: Final = 0.8

# Not measured on AWS: milliseconds at 512 MB, which has 0.29 of a processor.
REQUEST_MS: Final = 10.0
CALL_MS: Final = {"GetItem": 6.0, "TransactWriteItems": 15.0, "UpdateItem": 8.0, "PutObject": 30.0, "GetObject": 20.0}
MS_PER_MB: Final = 150.0  # of text that is taken in
# Bytes of the line of a request and of its line in the access log, which tests/admin/test_estimate.py compares.
LINE: Final = 770
ACCESS_LINE: Final = 330
