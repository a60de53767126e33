"""Time: epoch milliseconds, in which everything is stored, and a clock that tests can replace."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60_000  # ms
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


def now_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    """A monotonic clock in seconds, and a way to wait."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
