import inspect
import re

import pytest

from logkeep import errors
from logkeep.errors import Busy, Invalid, LogkeepError, OffsetBeyondEnd

pytestmark = pytest.mark.unit

CLASSES = [each for _, each in inspect.getmembers(errors, inspect.isclass) if each.__module__ == errors.__name__]


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_can_be_caught_as_one_of_ours(error: type[Exception]):
    assert issubclass(error, LogkeepError)


def test_the_tree_at_the_top_of_the_file_is_the_tree_of_the_classes():
    drawn: dict[str, str] = {}
    branch: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"([│├└─ ]*)([A-Z]\w+)", line)
        if found and (found[1] or found[2] == "LogkeepError"):
            depth = len(found[1]) // 4
            branch = [*branch[:depth], found[2]]
            drawn[found[2]] = branch[-2] if depth else "Exception"
    assert drawn == {each.__name__: each.__mro__[1].__name__ for each in CLASSES}


def test_an_error_says_for_people_what_it_keeps_for_programs():
    invalid, gap, busy = Invalid("limit", "too large"), OffsetBeyondEnd(5), Busy("later", retry_after=3)
    assert (str(invalid), invalid.field) == ("limit: too large", "limit")
    assert gap.end == 5
    assert "5" in str(gap)
    assert (str(busy), busy.retry_after) == ("later", 3)
