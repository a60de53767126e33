"""When backups are due."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.backups.schedule import Period, run_id
from logkeep.clock import DAY

pytestmark = pytest.mark.unit

PERIODS = st.builds(
    "{:02d}:{:02d} GMT{}{:02d}:{:02d}".format,
    st.integers(0, 23),
    st.integers(0, 59),
    st.sampled_from("+-"),
    st.integers(0, 14),
    st.integers(0, 59),
)
TIMES = st.integers(1_600_000_000_000, 2_000_000_000_000)
MIDNIGHT = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp()) * 1000


@given(PERIODS, TIMES)
def test_a_run_is_due_at_the_minute_of_its_zone(text: str, now: int) -> None:
    due = Period.parse(text).next_after(now)
    zone = timedelta(hours=int(text[10:12]), minutes=int(text[13:15])) * (1 if text[9] == "+" else -1)
    there = datetime.fromtimestamp(due / 1000, timezone(zone))
    assert there.strftime("%H:%M:%S.%f") == f"{text[:5]}:00.000000"


@given(PERIODS, TIMES)
def test_every_moment_lies_between_two_runs_a_day_apart(text: str, now: int) -> None:
    period = Period.parse(text)
    last, following = period.last_until(now), period.next_after(now)
    assert last <= now < following == last + DAY
    assert period.next_after(last) == following
    assert period.last_until(following) == following


def test_the_published_example() -> None:
    assert Period.parse("00:00 GMT+08:00").next_after(MIDNIGHT) == MIDNIGHT + DAY * 16 // 24


@pytest.mark.parametrize(
    "text", ["", "00:00", "24:00 GMT+08:00", "00:60 GMT+08:00", "0:00 GMT+08:00", "00:00 GMT+15:00", "00:00 UTC+08:00",
             "00:00 GMT 08:00", "00:00 GMT+08:00 ", "00:00 GMT+08:00\n", "\u0660\u0660:00 GMT+08:00"]
)  # fmt: skip
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="form"):
        Period.parse(text)


def test_a_run_has_one_id_and_another_day_project_or_cluster_another() -> None:
    runs = [("p", "c", 1), ("p", "c", 2), ("p", "d", 1), ("q", "c", 1)]
    assert len({run_id(*each) for each in runs}) == len(runs)
    assert run_id("p", "c", 1) == run_id("p", "c", 1)
