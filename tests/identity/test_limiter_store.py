"""Token buckets that processes share: how much passes, at which price, and what happens without the table."""

import multiprocessing
import os
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.emulator import free_port
from logkeep.aws import clients
from logkeep.errors import Busy, Throttled
from logkeep.identity.limiter_store import DEBT_MAX, FREE, Limiter, address_limiter, guess_limiter, project_limiter
from logkeep.identity.throttle import SECOND, Limit
from tests.calls import forget_aws
from tests.faults import at_once, counted

pytestmark = [
    pytest.mark.usefixtures("aws"),
    pytest.mark.no_faults("counts requests; one whose answer is lost counts twice"),
]


def limiter(limit: Limit, free: Limit | None = None) -> Limiter:
    return Limiter(clients.dynamodb(), os.environ["LIMITS_TABLE"], "test", limit, free)


def admitted(take: Callable[[], None], count: int) -> int:
    passed = 0
    for _ in range(count):
        try:
            take()
        except Throttled:
            continue
        passed += 1
    return passed


@pytest.fixture
def clock(monkeypatch) -> Callable[[float], None]:
    """Time stands still; call it with seconds to move it on."""
    now = [time.time_ns()]
    monkeypatch.setattr("logkeep.identity.limiter_store.time.time_ns", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += round(seconds * 10**9)

    return move


def test_every_request_counts_where_none_is_free(clock) -> None:
    for _ in range(3):
        tried = [limiter(Limit(rate=0.5, burst=20)) for _ in range(4)]
        assert sum(admitted(partial(each.take, "u"), 10) for each in tried) in {20, 0}
    clock(20)
    assert admitted(lambda: limiter(Limit(rate=0.5, burst=20)).take("u"), 30) == 10


def test_many_at_once_pass_no_more_than_the_burst(clock) -> None:
    """None is let through because it lost too many races."""
    each_own = [limiter(Limit(rate=0.5, burst=20)) for _ in range(48)]
    passed = at_once(*(partial(admitted, partial(each.take, "u"), 2) for each in each_own))
    assert sum(passed) == 20


def test_one_key_leaves_another_alone(clock) -> None:
    shared = limiter(Limit(rate=1, burst=5))
    assert admitted(lambda: shared.take("noisy"), 50) == 5
    assert admitted(lambda: shared.take("quiet"), 5) == 5


def test_who_sends_little_costs_no_write(clock) -> None:
    shared = limiter(Limit(rate=100, burst=400), FREE)
    with counted() as counts:
        for _ in range(30):
            shared.take("p")
            clock(1)
    assert not counts


def test_who_sends_much_costs_a_fraction_of_a_write(clock) -> None:
    shared = limiter(Limit(rate=100, burst=400), FREE)
    with counted() as counts:
        assert admitted(lambda: shared.take("p"), 1000) == 400 + FREE.burst
    assert counts.total() <= 400 // 16 + 6
    with counted() as counts:
        assert admitted(lambda: shared.take("p"), 100) == 0
    assert not counts, "a refusal is remembered"


def test_a_request_that_costs_more_takes_as_many(clock) -> None:
    shared = limiter(Limit(rate=1, burst=20))
    shared.take("p")
    shared.charge("p", 9)
    shared.owe("p", 5)
    assert admitted(lambda: shared.take("p"), 30) == 5


@pytest.mark.parametrize(("free", "owed"), [(FREE, 7), (None, 8)])
def test_a_cheap_request_beside_costly_ones_waits_until_they_are_paid(clock, free, owed) -> None:
    """The bucket may go below empty. Then even a free unit is refused, by whoever knows of it."""
    shared, other = limiter(Limit(rate=1, burst=10), free), limiter(Limit(rate=1, burst=10))
    shared.take("p")
    shared.charge("p", 9)
    shared.charge("p", 8)
    with pytest.raises(Throttled) as refused:
        shared.take("p")
    assert refused.value.retry_after == owed
    with pytest.raises(Throttled):
        other.charge("p", 1)
    clock(owed + 1)
    shared.take("p")


def test_a_debt_is_bounded_whatever_a_request_costs(clock) -> None:
    """Nobody waits longer than a minute and a full bucket for what others of the project did."""
    limit = Limit(rate=2, burst=10)
    for _ in range(40):
        limiter(limit).owe("p", 10**6)
    with pytest.raises(Throttled) as refused:
        limiter(limit).take("p")
    assert refused.value.retry_after <= DEBT_MAX // SECOND + 10 / 2 + 1
    clock(DEBT_MAX // SECOND + 10 / 2 + 1)
    limiter(limit).take("p")


def test_costly_requests_at_once_go_below_empty_by_one_of_them_only(clock) -> None:
    passed = at_once(*(partial(charged, limiter(Limit(rate=0.01, burst=20)), 15) for _ in range(16)))
    assert sum(passed) == 2, "the first leaves five, which the second goes below"


def test_what_costs_more_than_the_bucket_ever_holds_still_passes_beside_small_requests(clock) -> None:
    """If it had to fit, it never would: small requests keep the bucket from being full."""
    small, large = limiter(Limit(rate=1, burst=5)), limiter(Limit(rate=1, burst=5))
    for _ in range(3):
        assert admitted(lambda: small.take("p"), 9) >= 1
        assert charged(large, 100)
        clock(6)


def charged(shared: Limiter, units: int) -> bool:
    try:
        shared.charge("p", units)
    except Throttled:
        return False
    return True


def test_what_costs_little_more_costs_no_write(clock) -> None:
    shared = limiter(Limit(rate=100, burst=400), FREE)
    with counted() as counts:
        for _ in range(10):
            shared.take("p")
            shared.charge("p", 4)
            clock(5)
    assert not counts
    with counted() as counts:
        for _ in range(10):
            shared.take("p")
            shared.owe("p", 7)
            clock(5)
    assert counts == {"UpdateItem": 10}, "else one write"


def test_a_refusal_says_when_to_come_back_and_then_lets_pass(clock) -> None:
    shared = limiter(Limit(rate=0.25, burst=1))
    shared.take("p")
    with pytest.raises(Throttled, match=r"limit:1, rate:0\.25 per second") as refused:
        shared.take("p")
    assert refused.value.retry_after == 4
    clock(3.9)
    with pytest.raises(Throttled) as refused:
        shared.take("p")
    assert refused.value.retry_after == 1
    clock(0.1)
    shared.take("p")


def test_what_is_taken_and_not_used_is_lost_in_the_end(clock) -> None:
    shared = limiter(Limit(rate=0.1, burst=80), Limit(rate=0.001, burst=1))
    assert admitted(lambda: shared.take("p"), 3) == 3  # the third took two
    clock(11)
    with counted() as counts:
        shared.take("p")
    assert counts == {"UpdateItem": 1}


def _take(environment: dict[str, str], ready: Barrier, told: "SimpleQueue[tuple[float, int, float]]") -> None:
    """In a process of its own: as many as pass in a second, and when that was."""
    os.environ |= environment
    own = Limiter(boto3.client("dynamodb"), environment["LIMITS_TABLE"], "test", Limit(rate=50, burst=100), FREE)
    ready.wait(60)
    started, passed = time.monotonic(), 0
    while time.monotonic() < started + 1:
        passed += admitted(lambda: own.take("p"), 1)
    told.put((started, passed, time.monotonic()))


def test_the_limit_holds_with_many_processes_at_once() -> None:
    """Each takes as fast as it can for a second."""
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    environment["LIMITS_TABLE"] = os.environ["LIMITS_TABLE"]
    new = multiprocessing.get_context("spawn")
    ready, told = new.Barrier(4), new.SimpleQueue()
    for _ in range(4):
        new.Process(target=_take, args=(environment, ready, told), daemon=True).start()
    started, passed, ended = zip(*(told.get() for _ in range(4)), strict=True)
    seconds = max(ended) - min(started)
    assert 100 <= sum(passed) <= 100 + 50 * seconds + 4 * (FREE.burst + FREE.rate * seconds)
    assert all(passed), "and no process is starved"


def test_a_limit_is_no_reason_to_fail(monkeypatch) -> None:
    """A table that is gone, or cannot be reached, lets everything through where some is free anyway."""
    lost = Limiter(clients.dynamodb(), "no-such-table", "test", Limit(rate=1, burst=1), FREE)
    assert admitted(lambda: lost.take("p"), 9) == 9
    nowhere = boto3.client(
        "dynamodb", endpoint_url=f"http://127.0.0.1:{free_port()}", config=Config(retries={"total_max_attempts": 1})
    )
    unreachable = Limiter(nowhere, "t", "test", Limit(rate=1, burst=1), FREE)
    assert admitted(lambda: unreachable.take("p"), 9) == 9
    for shared in (lost, unreachable):
        shared.charge("p", 100)
        shared.owe("p", 100)


def test_a_password_is_not_tried_where_the_tries_cannot_be_counted() -> None:
    lost = Limiter(clients.dynamodb(), "no-such-table", "test", Limit(rate=1, burst=1), None)
    with pytest.raises(Busy):
        lost.take("u")


def test_a_password_is_not_tried_if_too_many_others_are_tried_at_once(monkeypatch) -> None:
    busy = limiter(Limit(rate=1, burst=1))
    monkeypatch.setattr(busy, "_move", lambda *_: False)
    with pytest.raises(Busy):
        busy.take("u")


@pytest.mark.parametrize("key", ["x" * 255, "😀" * 255, "a\0b", "../..", "user/x/1", "2001:db8::1", " ", '"; DROP'])
def test_any_key_that_a_client_can_choose_is_counted(clock, key) -> None:
    for make in (guess_limiter, address_limiter):
        passed = admitted(partial(make().take, key), 60)
        assert passed == (20 if make is guess_limiter else 50)
    kept = clients.dynamodb().scan(TableName=os.environ["LIMITS_TABLE"])["Items"]
    assert {each["pk"]["S"] for each in kept} == {f"guess/{key}", f"address/{key}"}
    assert all(len(each["pk"]["S"].encode()) <= 2048 for each in kept)


def test_a_bucket_that_nobody_uses_is_collected(clock) -> None:
    limiter(Limit(rate=1, burst=5)).take("p")
    (kept,) = clients.dynamodb().scan(TableName=os.environ["LIMITS_TABLE"])["Items"]
    assert time.time() + 3600 <= int(kept["ttl"]["N"]) <= time.time() + 7200


def test_a_process_remembers_a_bounded_number_of_keys(monkeypatch, clock) -> None:
    monkeypatch.setattr("logkeep.identity.limiter_store._BUCKETS_MAX", 10)
    shared = limiter(Limit(rate=1, burst=1))
    for number in range(25):
        shared.take(str(number))
        assert len(shared._shares) <= 10
    with pytest.raises(Throttled):  # though what it remembered of this one is gone
        shared.take("0")


def test_the_limits_of_projects_are_parameters(monkeypatch, clock) -> None:
    monkeypatch.setenv("PROJECT_RATE", "0.1")
    monkeypatch.setenv("PROJECT_BURST", "2")
    forget_aws()
    assert admitted(lambda: project_limiter().take("p"), 50) == 2 + FREE.burst


def test_a_table_that_throttles_lets_through(monkeypatch) -> None:
    shared = limiter(Limit(rate=1, burst=1), FREE)
    error = ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "UpdateItem")

    def refuse(**_: object) -> None:
        raise error

    monkeypatch.setattr(shared._dynamodb, "update_item", refuse)
    assert admitted(lambda: shared.take("p"), 9) == 9
