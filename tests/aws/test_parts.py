import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.aws.parts import PART_MAX, PART_MIN, PART_SIZE, PARTS_MAX, Copy, Upload, part_size_for, plan
from logkeep.extents import Extent, ObjectRange, merged, size_of
from tests.examples import LONG

pytestmark = pytest.mark.unit

TIB = 1 << 40
sizes = st.one_of(
    st.integers(0, 100),
    st.integers(0, 64 << 20),
    st.integers(0, 20 << 30),
    st.sampled_from([PART_MIN, PART_SIZE, PART_SIZE - PART_MIN, PART_SIZE + PART_MIN, PART_MAX, 2 * PART_MAX]).flatmap(
        lambda size: st.integers(size - 2, size + 2)
    ),
)


@st.composite
def layouts(draw: st.DrawFn) -> list[Extent]:
    """Literals and ranges of a few objects; many ranges begin where the last one of their object ended."""
    extents: list[Extent] = []
    ends: dict[str, int] = {}
    for _ in range(draw(st.integers(0, 12))):
        if draw(st.integers(0, 2)) == 0:
            extents.append(draw(st.binary(max_size=30)))
            continue
        key = draw(st.sampled_from("ab"))
        start = ends.get(key, 0) if draw(st.booleans()) else draw(st.integers(0, 1 << 42))
        size = draw(sizes)
        extents.append(ObjectRange(key, start, size))
        ends[key] = start + size
    return extents


def joined(extents: Iterable[Extent]) -> list[Extent]:
    """The same bytes in the longest runs that there are."""
    runs: list[Extent] = []
    for extent in extents:
        last = runs[-1] if runs else b""
        if not size_of(extent):
            continue
        if isinstance(extent, bytes) and isinstance(last, bytes) and runs:
            runs[-1] = last + extent
        elif (
            isinstance(extent, ObjectRange)
            and isinstance(last, ObjectRange)
            and (last.key, last.start + last.size) == (extent.key, extent.start)
        ):
            runs[-1] = ObjectRange(last.key, last.start, last.size + extent.size)
        else:
            runs.append(extent)
    return runs


def total(extents: Iterable[Extent]) -> int:
    return sum(map(size_of, extents))


def extents_of(part: Upload | Copy) -> tuple[Extent, ...]:
    return part.extents if isinstance(part, Upload) else (part.source,)


def check(extents: list[Extent], part_size: int) -> list[Upload | Copy]:
    parts = list(plan(extents, part_size))
    assert joined(extent for part in parts for extent in extents_of(part)) == joined(extents)
    lengths = [total(extents_of(part)) for part in parts]
    assert all(PART_MIN <= length <= PART_MAX for length in lengths[:-1])
    assert all(0 < length <= PART_MAX for length in lengths[-1:])
    return parts


@given(layouts(), st.sampled_from([PART_SIZE, 2 * PART_SIZE, 16 * PART_SIZE]))
def test_parts_in_order_are_the_file_and_every_one_has_a_size_that_s3_takes(extents: list[Extent], part_size: int):
    parts = check(extents, part_size)
    assert parts == list(plan(iter(extents), part_size))


@given(layouts())
def test_two_parts_in_a_row_hold_what_the_part_size_is_chosen_by(extents: list[Extent]):
    parts = list(plan(extents))
    for first, second in itertools.pairwise(parts[:-1]):
        assert total(extents_of(first)) + total(extents_of(second)) >= PART_MIN + PART_SIZE


@given(layouts())
def test_what_passes_through_us_is_never_more_than_a_part_at_once(extents: list[Extent]):
    for part in plan(extents):
        if isinstance(part, Upload):
            assert total(part.extents) <= PART_SIZE
            assert all(size_of(extent) for extent in part.extents)


@given(layouts())
def test_of_a_long_range_only_the_head_that_a_part_lacks_passes_through_us(extents: list[Extent]):
    for part in plan(extents):
        if isinstance(part, Copy):
            assert part.source.size >= PART_SIZE
    moved = total(extent for part in plan(extents) if isinstance(part, Upload) for extent in part.extents)
    whole = list(merged(extents, PART_MAX))
    short = sum(size_of(extent) for extent in whole if isinstance(extent, bytes) or extent.size < PART_SIZE + PART_MIN)
    assert moved <= short + PART_MIN * len(whole)


@given(layouts(), st.integers(1, 1 << 33))
def test_merging_changes_no_byte_and_makes_no_range_longer_than_allowed(extents: list[Extent], most: int):
    result = list(merged(extents, most))
    assert joined(result) == joined(extents)
    longest = max(map(size_of, extents), default=0)
    for extent in result:
        assert size_of(extent)
        assert isinstance(extent, bytes) or extent.size <= max(most, longest)


@given(layouts())
def test_ranges_that_touch_in_one_object_become_one(extents: list[Extent]):
    for first, second in itertools.pairwise(merged(extents, 1 << 60)):
        if isinstance(first, ObjectRange) and isinstance(second, ObjectRange):
            assert (first.key, first.start + first.size) != (second.key, second.start)


@given(st.integers(0, 50 * TIB))
def test_the_part_size_is_the_smallest_doubling_that_surely_suffices(size: int):
    part_size = part_size_for(size)
    doublings, rest = divmod(part_size, PART_SIZE)
    assert rest == 0
    assert doublings & (doublings - 1) == 0
    if size <= 5 * TIB:
        assert part_size <= PART_MAX
    if part_size > PART_SIZE:
        assert 2 * (size // (PART_MIN + part_size // 2) + 1) > PARTS_MAX


# What makes the most parts: a little, then a range just long enough to be copied behind the head that fills the part.
@pytest.mark.soak
@pytest.mark.parametrize("length", [PART_SIZE, PART_SIZE + PART_MIN - 1, 2 * PART_SIZE + PART_MIN, 8 * PART_SIZE])
@pytest.mark.parametrize("count", [5_500, 9_000, 30_000] if LONG else [5_500])
def test_a_file_of_many_ranges_fits_into_ten_thousand_parts(count: int, length: int):
    extents = [extent for number in range(count) for extent in (b"x", ObjectRange(str(number), 0, length))]
    assert len(check(extents, part_size_for(total(extents)))) <= PARTS_MAX


@given(layouts(), st.integers(1, 3000))
def test_any_file_fits_into_ten_thousand_parts(extents: list[Extent], times: int):
    times = min(times, 5 * TIB // (total(extents) or 1))
    extents *= times
    assert len(list(plan(extents, part_size_for(total(extents))))) <= PARTS_MAX


def test_the_longest_object_is_copied_in_equal_parts():
    source = ObjectRange("a", 3, 5 * TIB)
    parts = check([source], PART_SIZE)
    assert len(parts) == 1024
    assert {total(extents_of(part)) for part in parts} == {PART_MAX}
    odd = check([ObjectRange("a", 3, PART_MAX + 1)], PART_SIZE)
    assert [total(extents_of(part)) for part in odd] == [PART_MAX // 2, PART_MAX // 2 + 1]


def test_a_range_behind_a_literal_gives_up_just_what_the_part_lacks():
    size = PART_SIZE + PART_MIN
    assert check([b"head", ObjectRange("a", 0, size), b"tail"], PART_SIZE) == [
        Upload((b"head", ObjectRange("a", 0, PART_MIN - 4))),
        Copy(ObjectRange("a", PART_MIN - 4, size - PART_MIN + 4)),
        Upload((b"tail",)),
    ]


def test_a_range_one_byte_too_short_to_be_copied_behind_a_literal_passes_through():
    parts = check([b"head", ObjectRange("a", 0, PART_SIZE + PART_MIN - 5)], PART_SIZE)
    assert [type(part) for part in parts] == [Upload, Upload]


def test_literals_longer_than_a_part_are_cut():
    parts = check([bytes(2 * PART_SIZE + 1)], PART_SIZE)
    assert [total(extents_of(part)) for part in parts] == [PART_SIZE, PART_SIZE, 1]


def test_nothing_makes_no_part():
    assert list(plan([])) == list(plan([b"", ObjectRange("a", 0, 0)])) == []


def test_parts_are_planned_while_the_layout_is_still_being_read():
    read = []

    def endless():
        for number in itertools.count():
            read.append(number)
            yield ObjectRange(str(number), 0, PART_SIZE)

    parts = plan(endless())
    assert list(itertools.islice(parts, 5)) == [Copy(ObjectRange(str(n), 0, PART_SIZE)) for n in range(5)]
    assert len(read) <= 7


def test_ranges_that_touch_are_joined_up_to_the_limit_and_not_beyond():
    touching = [ObjectRange("a", 0, 6), ObjectRange("a", 6, 4), ObjectRange("a", 10, 1)]
    assert list(merged(touching, 10)) == [ObjectRange("a", 0, 10), ObjectRange("a", 10, 1)]
    assert list(merged(touching, 11)) == [ObjectRange("a", 0, 11)]
