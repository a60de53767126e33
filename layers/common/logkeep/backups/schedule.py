"""When a cluster's daily backup is due: at a minute of a fixed time zone, such as "00:00 GMT+08:00"."""

import re
import uuid
from dataclasses import dataclass
from typing import Final, Self

from logkeep.clock import DAY, MINUTE

MISSED_AFTER: Final = DAY * 3 // 2  # ms without a success after which a notice is published
PERIOD: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9]) GMT([+-])(0[0-9]|1[0-4]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class Period:
    """A time of day. `minute` is counted from midnight UTC."""

    text: str
    minute: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError unless the text has the published form."""
        found = PERIOD.fullmatch(text)
        if not found:
            raise ValueError("must be of the form 00:00 GMT+08:00")
        hour, minute, sign, zone_hour, zone_minute = found.groups()
        zone = (int(zone_hour) * 60 + int(zone_minute)) * (1 if sign == "+" else -1)
        return cls(text, (int(hour) * 60 + int(minute) - zone) % 1440)

    def next_after(self, now: int) -> int:
        """The first run after `now`; both in epoch milliseconds."""
        today = now // DAY * DAY + self.minute * MINUTE
        return today if today > now else today + DAY

    def last_until(self, now: int) -> int:
        """The last run that is not after `now`; both in epoch milliseconds."""
        return self.next_after(now) - DAY


def run_id(project: str, cluster: str, due: int) -> str:
    """The id of the run that was due at a time (epoch ms), the same each time it is started."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"logkeep/{project}/{cluster}/{due}"))
