"""How many examples a property is tried with: enough to find a mistake in the suite, many in `make soak`."""

import os
from typing import Final

from hypothesis import HealthCheck, settings

LONG: Final = bool(os.environ.get("LOGKEEP_SOAK"))
_TIMES: Final = 20 if LONG else 1

# No deadline: the first example of a test pays for what is made once. No database: a failure prints its example.
settings.register_profile(
    "logkeep", deadline=None, database=None, max_examples=30 * _TIMES, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("logkeep")


def examples(number: int) -> settings:
    """As many in the suite, twenty times as many in `make soak`."""
    return settings(max_examples=number * _TIMES)
