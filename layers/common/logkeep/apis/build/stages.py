"""The stages of a build record, in the order in which readers see them."""

import re
from collections.abc import Iterable
from typing import Final

from logkeep.errors import LogNotFound, TooLarge
from logkeep.logs.head import Head
from logkeep.reading.pages import PLACES

STAGE: Final = re.compile(r"stage([1-9][0-9]{0,8})")
STAGES_MAX: Final = 1000


def stages(heads: Iterable[Head]) -> list[Head]:
    """Sort the logs of a record by stage number; logs without a number follow, by name.

    Raises LogNotFound if there are none, TooLarge if there are more than STAGES_MAX.
    """
    found: list[Head] = []
    for head in heads:
        found.append(head)
        if len(found) > STAGES_MAX:
            raise TooLarge(f"the record has more than {STAGES_MAX} stages; ask for each by its name")
    if not found:
        raise LogNotFound("the record has no stage")
    return sorted(found, key=lambda head: (stage_number(head) or PLACES**2, head.log_id.rest))


def stage_number(head: Head) -> int | None:
    """The X of stageX, or None if the log has another name."""
    match = STAGE.fullmatch(head.log_id.rest)
    return int(match[1]) if match else None
