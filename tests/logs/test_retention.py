"""Which setting says how long a log is kept, and when it expires."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.clock import DAY
from logkeep.errors import Conflict
from logkeep.logid import KINDS, LogId
from logkeep.logs.head import Head
from logkeep.logs.retention import Retention, is_below, may_have_expired, why_no_prefix

pytestmark = pytest.mark.unit
LOG = LogId.parse("app/shop/web")
SEGMENTS = st.lists(st.sampled_from(["a", "ab", "b"]), min_size=1, max_size=4)
DAYS = st.none() | st.integers(1, 5)


def head(log_id: str = "app/shop/web", **fields: object) -> Head:
    return replace(Head.born(LogId.parse(log_id), 0), **fields)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("prefix", "below", "beside"),
    [
        ("app/a", ["app/a", "app/a/b"], ["app/ab", "app/b/a", "check/a"]),
        ("app/a/", ["app/a/b"], ["app/a", "app/ab"]),
        ("check/s", ["check/s", "check/s/f.log"], ["check/s2"]),
        ("app", ["app/a"], ["check/app"]),
    ],
)
def test_a_prefix_is_of_whole_segments(prefix, below, beside) -> None:
    assert [name for name in below + beside if is_below(LogId.parse(name), prefix)] == below


@pytest.mark.parametrize("prefix", ["", "/", "logs", "app//a", "app/..", "app/a b", "app/" + "x" * 600])
def test_what_is_before_no_id_is_no_prefix(prefix) -> None:
    assert why_no_prefix(prefix)


def test_its_own_days_come_first_then_the_longest_prefix_then_the_kind_then_the_stack_s() -> None:
    kept = Retention(default=1, kinds={"app": 2, "task": None}, prefixes={"app/shop": 3, "app/shop/web": 4, "app/s": 9})
    assert kept.days_of(head(retention=7)) == 7
    assert kept.days_of(head()) == 4
    assert kept.days_of(head("app/shop/x")) == 3
    assert kept.days_of(head("app/x")) == 2
    assert kept.days_of(head("task/t/0/c/0")) is None, "that kind is kept"
    assert kept.days_of(head("check/s")) == 1
    assert Retention().days_of(head()) is None


@given(SEGMENTS, st.dictionaries(SEGMENTS.map(lambda each: "app/" + "/".join(each)), DAYS), DAYS, DAYS)
def test_no_setting_of_a_neighbour_counts(names, prefixes, own, kind) -> None:
    log = replace(head("app/" + "/".join(names)), retention=own)
    kept = Retention(kinds={"app": kind}, prefixes=prefixes)
    parents = ["app/" + "/".join(names[: size + 1]) for size in range(len(names))]
    expected = kind
    for each in parents:
        expected = prefixes.get(each, expected)
    assert kept.days_of(log) == (expected if own is None else own)


@given(st.integers(0, 9 * DAY), st.integers(1, 4), st.integers(0, 20 * DAY), st.booleans(), st.booleans())
def test_a_log_expires_so_long_after_its_last_append_and_not_while_it_is_held_or_all_is_paused(
    last, days, now, hold, paused
) -> None:
    log = head(received_at=last, hold=hold)
    expired = Retention(default=days, paused=paused).has_expired(log, now)
    assert expired == (now >= last + days * DAY and not hold and not paused)
    assert may_have_expired(log, now) or not expired


def test_a_restore_and_a_log_without_text_count_from_when_they_were_written() -> None:
    assert Retention(default=1).expires_at(head(began=5)) == 5 + DAY
    assert Retention(default=1).expires_at(head(began=5, received_at=3, written_at=9)) == 9 + DAY
    restored = head(began=100).restored(20, 200)
    assert (restored.arrived, restored.last_write) == (20, 200)
    assert restored.restored(30, 300).arrived == 20


def test_the_days_of_its_first_append_stay() -> None:
    begun = head().kept_for(7).in_zone("UTC", str)
    assert begun.kept_for(None).kept_for(7).retention == 7
    with pytest.raises(Conflict, match="this log's own is: 7 days"):
        begun.kept_for(8)
    with pytest.raises(Conflict, match="this log's own is: none"):
        head().in_zone("UTC", str).kept_for(8)


def test_every_kind_may_have_days() -> None:
    assert [kind for kind in KINDS if why_no_prefix(kind)] == []
