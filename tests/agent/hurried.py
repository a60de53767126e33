"""The agent as a process of its own, in a world where days are seconds and files of a pipe are small.

python -m tests.agent.hurried ship ...
"""

import os
from datetime import UTC, date, datetime, timedelta, tzinfo

from logkeep_agent import __main__ as agent
from logkeep_agent import pipe

DAY = 5  # seconds
_FIRST = date(2026, 11, 22)


class Days(tzinfo):
    """A time zone whose first day begins at an epoch time in ns."""

    def __init__(self, begins: int) -> None:
        self.begins = begins

    def of(self, ns: int) -> str:
        return f"{_FIRST + timedelta(days=(ns - self.begins) // (DAY * 10**9))}"

    def fromutc(self, dt: datetime) -> datetime:
        days = (dt.replace(tzinfo=UTC).timestamp() - self.begins / 1e9) // DAY
        return datetime.combine(_FIRST, datetime.min.time(), self) + timedelta(days=days)

    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(0)

    def dst(self, _: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, _: datetime | None) -> str:
        return "days that are seconds"


if __name__ == "__main__":
    zone = Days(int(os.environ["DAYS_BEGIN"]))
    agent._zone = lambda name: zone
    pipe._FILE_MAX = 300_000  # type: ignore[misc] # it is final for everyone else
    agent.main()
