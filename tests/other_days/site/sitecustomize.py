"""Let Python sleep under faketime: every interpreter that tests.other_days starts imports this first.

libfaketime 0.9.10 leaves monotonic clocks alone on request, but not the absolute time until which time.sleep() sleeps
by such a clock: clock_nanosleep() then refuses it. select() takes a duration.
"""

import os
import select
import time

if "libfaketime" in os.environ.get("LD_PRELOAD", ""):

    def sleep(seconds: float, /) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        select.select([], [], [], seconds)

    time.sleep = sleep
