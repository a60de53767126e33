"""Token buckets, in the form that needs one number: the time at which the bucket is full again (GCRA)."""

import math
from dataclasses import dataclass

from logkeep.errors import Throttled

SECOND = 1_000_000  # times are in epoch microseconds


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `burst` requests at once, and `rate` a second in the long run."""

    rate: float
    burst: int

    def cost(self, count: int) -> int:
        """How much later the bucket is full again for so many requests."""
        return count * max(1, round(SECOND / self.rate))  # whole for each, so that a burst of them adds up

    def latest(self, now: int) -> int:
        """The latest time at which a bucket that is empty now is full again."""
        return now + self.cost(self.burst)

    def wait(self, full_at: int, now: int, count: int = 1) -> int:
        """In how many microseconds the bucket holds so many requests; 0 if it does."""
        return max(0, max(full_at, now) + self.cost(count) - self.latest(now))

    def take(self, full_at: int, now: int, count: int = 1) -> int:
        """When the bucket is full again after so many requests; raise Throttled if it does not hold as many."""
        if wait := self.wait(full_at, now, count):
            raise self.refusal(wait)
        return max(full_at, now) + self.cost(count)

    def refusal(self, wait: int) -> Throttled:
        return Throttled(f"limit:{self.burst}, rate:{self.rate:g} per second", max(1, math.ceil(wait / SECOND)))
