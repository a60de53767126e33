"""Token buckets, against one that counts its tokens."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.errors import Throttled
from logkeep.identity.throttle import SECOND, Limit

pytestmark = pytest.mark.unit

START = 1_769_860_800 * SECOND


class Bucket:
    """As one would write it down: so many tokens, and more of them by the time."""

    def __init__(self, rate: Fraction, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self.tokens = Fraction(burst)
        self.at = START

    def take(self, now: int, count: int) -> bool:
        self.tokens = min(Fraction(self.burst), self.tokens + (now - self.at) * self.rate / SECOND)
        self.at = now
        if self.tokens < count:
            return False
        self.tokens -= count
        return True


# Rates whose period is a whole number of microseconds: the model does not round.
PERIODS = st.sampled_from([1, 10, 999, 10_000, 333_333, SECOND, 2 * SECOND, 10 * SECOND])
STEPS = st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(1, 5)), min_size=1, max_size=30)


@given(PERIODS, st.integers(1, 20), STEPS)
def test_it_admits_what_a_bucket_that_counts_its_tokens_admits(period: int, burst: int, steps) -> None:
    limit, bucket = Limit(SECOND / period, burst), Bucket(Fraction(SECOND, period), burst)
    full_at, now = 0, START
    for passed, count in steps:
        now += passed
        try:
            full_at = limit.take(full_at, now, count)
            admitted = True
        except Throttled:
            admitted = False
        assert admitted is bucket.take(now, count)


@given(st.floats(0.1, 10_000), st.integers(1, 1000), st.integers(1, 10))
def test_who_waits_as_long_as_told_is_admitted(rate: float, burst: int, count: int) -> None:
    limit, full_at = Limit(rate, burst), 0
    count = min(count, burst)
    for _ in range(burst // count):
        full_at = limit.take(full_at, START, count)
    with pytest.raises(Throttled) as refused:
        limit.take(full_at, START, count)
    wait = refused.value.retry_after
    assert wait >= 1, "Retry-After is in whole seconds"
    limit.take(full_at, START + wait * SECOND, count)
    assert wait <= count / rate + 1


@given(st.floats(0.1, 1000), st.integers(1, 50), st.integers(1, 20))
def test_a_bucket_of_an_idle_client_holds_no_more_than_the_burst(rate: float, burst: int, hours: int) -> None:
    limit, full_at, now = Limit(rate, burst), START, START + hours * 3600 * SECOND
    for _ in range(burst):
        full_at = limit.take(full_at, now)
    with pytest.raises(Throttled):
        limit.take(full_at, now)


def test_more_than_the_bucket_holds_is_never_admitted() -> None:
    with pytest.raises(Throttled):
        Limit(rate=1, burst=5).take(0, START, 6)


def test_a_refusal_says_the_limit_and_takes_nothing() -> None:
    limit = Limit(rate=0.5, burst=1)
    full_at = limit.take(0, START)
    for _ in range(3):
        with pytest.raises(Throttled, match=r"^limit:1, rate:0\.5 per second$") as refused:
            limit.take(full_at, START)
        assert refused.value.retry_after == 2
    limit.take(full_at, START + 2 * SECOND)
