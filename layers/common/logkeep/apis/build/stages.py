"""The stages of a build, in order."""

import re
from collections.abc import Iterable
from typing import Final

from logkeep.errors import LogNotFound, TooLarge
from logkeep.logs.head import Head
from logkeep.reading.pages import PLACES

STAGE: Final = re.compile(r"stage([1-9][0-9]{0,8})")


STAGES_MAX: Final = 1000


def stages(heads: Iterable[Head]) -> list[Head]:
    """The logs of a record by the numbers of their stages, and behind them others by name.

    Raises LogNotFound where there are none, TooLarge where they are more than STAGES_MAX.
    """
    found: list[Head] = []
    for head in heads:
        found.append(head)
        if len(found) > STAGES_MAX:
            raise TooLarge(f"the record has more than {STAGES_MAX} stages; ask for each by its name")
    if not found:
        raise LogNotFound("the record has no stage")
    return sorted(found, key=lambda head: (_number(head) or PLACES**2, head.log_id.rest))


def _number(head: Head) -> int | None:
    match = STAGE.fullmatch(head.log_id.rest)
    return int(match[1]) if match else None
