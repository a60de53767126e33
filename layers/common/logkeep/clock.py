"""The time of the machine, in the unit of everything that is stored."""

import time


def now_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000
