"""How many examples a property is tried with: enough to find a mistake in the suite, many in `make soak`."""

import os
from typing import Final

from hypothesis import HealthCheck, settings

LONG: Final = bool(os.environ.get("LOGKEEP_SOAK"))
# For `make quick`, and for other days, which look for dates and not for mistakes of any kind.
_FEW: Final = "LOGKEEP_FEW_EXAMPLES" in os.environ


def _examples(number: int) -> int:
    return number * 20 if LONG else max(3, number // (8 if _FEW else 2))


# No deadline: the first example of a test pays for what is made once. No database: a failure prints its example.
settings.register_profile(
    "logkeep", deadline=None, database=None, max_examples=_examples(30), suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("logkeep")


def examples(number: int) -> settings:
    """Twenty times as many in `make soak`, half as many in the suite, an eighth where a few will do."""
    return settings(max_examples=_examples(number))
