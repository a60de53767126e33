"""The zone of local times, and the year of times without one."""

from datetime import UTC, datetime, timedelta, tzinfo
from enum import IntEnum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

_EPOCH: Final = datetime(1970, 1, 1)  # a local time, of any zone
_MS: Final = timedelta(milliseconds=1)
LOCAL_MIN: Final = -(1 << 63)  # scanner.c: a log's time of arrival is unknown
# A clock may be ahead of ours by as much when a time without a year is taken for one before its arrival.
_AHEAD: Final = timedelta(days=1)


@lru_cache(64)
def zone_of(name: str) -> tzinfo:
    """A zone by its IANA name. Raises ValueError if there is none."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # of a folder, too
        raise ValueError(f"no time zone {name}; it must be an IANA name such as Asia/Shanghai") from error


class Zone(IntEnum):
    """Of a time that scanner.c found."""

    NONE = 0  # there is no time
    LOCAL = 1  # the log's
    UTC = 2


def latest_local(arrival: int | None, zone: tzinfo) -> int:
    """The latest local time (milliseconds since 1970) that a time without a year may be, from epoch milliseconds."""
    if arrival is None:
        return LOCAL_MIN
    latest = datetime.fromtimestamp(arrival / 1000, UTC) + _AHEAD
    return (latest.astimezone(zone).replace(tzinfo=None) - _EPOCH) // _MS


def epoch_ms(found: int, kind: int, zone: tzinfo) -> int | None:
    """Epoch milliseconds of a time that scanner.c found; None if there is none.

    A local time that the clock showed twice is the earlier one. One that it skipped is the moment of the change, so
    that later local times are never earlier moments.
    """
    if kind == Zone.NONE:
        return None
    if kind == Zone.UTC or zone is UTC:
        return found
    local = _EPOCH + found * _MS
    try:
        moment = local.replace(tzinfo=zone).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) != local:
            moment = _change_before(moment, zone)
    except OverflowError:  # at the ends of the calendar
        return found
    return (moment.replace(tzinfo=None) - _EPOCH) // _MS


def _change_before(moment: datetime, zone: tzinfo) -> datetime:
    """The change of clocks that skipped a local time, which would have been `moment` without it."""
    low, high = moment - timedelta(days=2), moment
    offset = low.astimezone(zone).utcoffset()
    while high - low > _MS:
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=high.microsecond // 1000 * 1000)
