"""Whose turn it is when there is more work than workers."""

from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.backups.turns import Bounds, next_ones

pytestmark = pytest.mark.unit
BOUNDS = Bounds(in_all=10, of_project=4)


class Work(NamedTuple):
    project: str
    number: int


@given(
    st.lists(st.sampled_from("abcd"), max_size=40),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 12)),
)
def test_as_much_is_begun_as_there_is_room_for_and_in_order(projects: list[str], busy: dict[str, int]) -> None:
    waiting = [Work(project, number) for number, project in enumerate(projects)]
    begun = next_ones(waiting, busy, BOUNDS)
    after = Counter(busy) + Counter(each.project for each in begun)
    assert len(set(begun)) == len(begun)
    assert not begun or after.total() <= BOUNDS.in_all
    for project in set(projects):
        mine = [each for each in waiting if each.project == project]
        taken = [each for each in begun if each.project == project]
        assert taken == mine[: len(taken)], "the oldest first"
        assert not taken or after[project] <= BOUNDS.of_project
        if len(taken) < len(mine):
            assert not BOUNDS.leave_room(after, project), "no room is left unused"


def test_the_project_with_the_fewest_workers_is_next_and_of_equals_the_one_that_waited_longest() -> None:
    waiting = [Work(project, number) for number, project in enumerate("aaaabbc")]
    assert [each.project for each in next_ones(waiting, {"b": 1}, BOUNDS)] == ["a", "c", "a", "b", "a", "b", "a"]
    assert next_ones(waiting, {"other": 9}, BOUNDS) == [Work("a", 0)]
    assert next_ones(waiting, {"other": 10}, BOUNDS) == []
