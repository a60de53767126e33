"""Local times: zones whose clocks are changed, and years that are not written."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.logs.levels import ScanState as State
from logkeep.logs.levels import TimeBasis, scan, starts
from logkeep.logs.times import Zone, epoch_ms, zone_of

pytestmark = pytest.mark.unit

ZONES = [
    "UTC",
    "Europe/Berlin",
    "Asia/Shanghai",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Kolkata",
]
LOCAL = st.datetimes(datetime(2009, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(microsecond=0))


def local_ms(at: datetime) -> int:
    return (at - datetime(1970, 1, 1)) // timedelta(milliseconds=1)


def read(line: str, zone: str, arrival: datetime | None = None) -> datetime | None:
    basis = TimeBasis(zone_of(zone), None if arrival is None else int(arrival.timestamp() * 1000))
    (found,) = starts(f"\n{line}\n".encode(), basis=basis)
    return None if found.time is None else datetime.fromtimestamp(found.time / 1000, UTC)


@given(LOCAL, st.sampled_from(ZONES))
def test_a_local_time_is_what_the_zone_makes_of_it(at: datetime, zone: str):
    moment = at.replace(tzinfo=zone_of(zone)).astimezone(UTC)
    if moment.astimezone(zone_of(zone)).replace(tzinfo=None) == at:  # the clock did not skip it
        assert read(f"{at} INFO x", zone) == moment


@given(LOCAL, LOCAL, st.sampled_from(ZONES))
@pytest.mark.parametrize("near", [None, datetime(2026, 3, 29, 2), datetime(2011, 12, 30), datetime(2026, 10, 4, 2)])
def test_a_later_local_time_is_never_an_earlier_moment(
    near: datetime | None, one: datetime, other: datetime, zone: str
):
    if near:  # within two hours of a change
        one, other = (near + timedelta(seconds=at.minute * 60 + at.second - 1800) for at in (one, other))
    first, second = sorted((one, other))
    assert (epoch_ms(local_ms(first), Zone.LOCAL, zone_of(zone)) or 0) <= (
        epoch_ms(local_ms(second), Zone.LOCAL, zone_of(zone)) or 0
    )


def test_a_time_that_the_clock_skipped_is_the_moment_of_the_change():
    assert read("2026-03-29 02:30:00 INFO x", "Europe/Berlin") == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert read("2011-12-30 12:00:00 INFO x", "Pacific/Apia") == datetime(2011, 12, 30, 10, tzinfo=UTC)


def test_a_time_with_a_zone_of_its_own_is_not_of_the_log():
    for text in ("2026-01-31T08:00:00Z", "2026-01-31T16:00:00+08:00", "1769846400", "2026-01-31 08:00:00 UTC"):
        assert read(f"{text} INFO x", "Asia/Shanghai") == datetime(2026, 1, 31, 8, tzinfo=UTC)


@given(LOCAL, st.integers(0, 300), st.sampled_from(ZONES))
def test_a_time_without_a_year_is_of_the_year_that_puts_it_nearest_before_its_arrival(
    at: datetime, days: int, zone: str
):
    moment = read(f"{at} INFO x", zone)
    assert moment is not None
    arrival = moment + timedelta(days=days)
    assert read(f"{at:%b %d %H:%M:%S} host app: x", zone, arrival) == moment


def test_without_an_arrival_a_time_without_a_year_is_unknown():
    assert read("Jan 31 08:00:00 host app: x", "UTC") is None


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "Europe", "x" * 300, "a\0b", "posixrules/x"]
)
def test_what_is_no_zone_is_refused(name: str):
    with pytest.raises(ValueError, match="IANA"):
        zone_of(name)


@given(st.lists(st.tuples(LOCAL, st.sampled_from(["", "Z", "+08:00", " -0330"])), max_size=20), st.sampled_from(ZONES))
def test_the_least_and_the_greatest_time_are_those_of_all_records(times: list[tuple[datetime, str]], zone: str):
    text = "".join(f"{at}{offset} INFO x\n" for at, offset in times).encode()
    basis = TimeBasis(zone_of(zone))
    all_times = [each.time for each in starts(b"\n" + text, basis=basis) if each.time is not None]
    found = scan(text, State(), basis)
    assert (found.least_time, found.greatest_time) == (min(all_times, default=None), max(all_times, default=None))
    assert (found.first_time, found.last_time) == ((all_times[0], all_times[-1]) if all_times else (None, None))
