"""Let Python sleep under faketime: every interpreter that tests.other_days starts imports this first.

libfaketime 0.9.10 leaves monotonic clocks alone on request, but not the absolute time until which time.sleep() sleeps
by such a clock: clock_nanosleep() then refuses it. select() takes a duration.
"""

import os
import select
import time
from typing import SupportsIndex

if "libfaketime" in os.environ.get("LD_PRELOAD", ""):

    def sleep(seconds: float | SupportsIndex, /) -> None:
        duration = seconds if isinstance(seconds, float) else seconds.__index__()
        if duration < 0:
            raise ValueError("sleep length must be non-negative")
        select.select([], [], [], duration)

    time.sleep = sleep
