"""Token buckets in the form that needs one number, the time at which the bucket is full again (GCRA)."""

import math
from dataclasses import dataclass
from typing import Final

from logkeep.errors import Throttled

SECOND: Final = 1_000_000  # all times here are in microseconds, points in time since the epoch


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `burst` requests at once and `rate` requests a second in the long run."""

    rate: float
    burst: int

    def cost(self, count: int) -> int:
        """The time by which `count` requests delay the moment at which the bucket is full."""
        return count * max(1, round(SECOND / self.rate))  # rounded per request, so that `burst` of them fit exactly

    def latest(self, now: int) -> int:
        """The time at which a bucket that is empty at `now` will be full."""
        return now + self.cost(self.burst)

    def wait(self, full_at: int, now: int, count: int = 1) -> int:
        """The time until the bucket holds `count` requests; 0 if it does already."""
        return max(0, max(full_at, now) + self.cost(count) - self.latest(now))

    def take(self, full_at: int, now: int, count: int = 1) -> int:
        """The new `full_at` after `count` requests. Raises Throttled if the bucket does not hold as many."""
        if wait := self.wait(full_at, now, count):
            raise self.refusal(wait)
        return max(full_at, now) + self.cost(count)

    def refusal(self, wait: int) -> Throttled:
        """The error for a request that could be sent after `wait`."""
        return Throttled(f"limit:{self.burst}, rate:{self.rate:g} per second", max(1, math.ceil(wait / SECOND)))
