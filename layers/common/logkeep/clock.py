"""The time of the machine: in the unit of everything that is stored, and as something that can be waited for."""

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
    """Seconds that only go forward, and how to let them pass."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
