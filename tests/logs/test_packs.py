"""Packs as pure functions: what they hold, their table, their header, and what bounds them."""

import gzip
import random
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.prices import item_size
from logkeep.aws.dynamo import encode
from logkeep.errors import Corrupt
from logkeep.extents import Extent, ObjectRange
from logkeep.limits import FRAGMENT_MAX, LOG_MAX
from logkeep.logid import LogId
from logkeep.logs import packs
from logkeep.logs.fragment import Fragment, joined
from logkeep.logs.head import Head, Totals
from logkeep.logs.items import objects_prefix
from logkeep.logs.levels import GRAMMAR, LEVELS, ScanState
from logkeep.logs.packs import (
    DUE_FRAGMENTS,
    DUE_RAW,
    FRAGMENTS_MAX,
    HEADER_MAX,
    PACKED_MAX,
    RAW_MAX,
    Pack,
    about,
    fragments_of,
    header_of,
    is_due,
    new_pack,
    pack_item,
    read_header,
    table_of,
    trailer_of,
)
from logkeep.logs.reader import Row
from logkeep.logs.sums import Sums
from tests.memory import MemoryLogs, content, content_of

pytestmark = pytest.mark.unit
LOG = "check/s/main.log"
LINES = st.sampled_from(
    [
        b"2026-01-01 10:00:00,000 [main] INFO  Builder - compiling\n",
        b"2026-01-02 10:00:00,000 [main] ERROR Builder - failed\n",
        b"  no time and no level\n",
        b"half a li",
        b"2026-01-01 09:00:00,000 DEBUG back in time\n",
        b"\xff\x00",
    ]
)
BODIES = st.lists(st.lists(LINES, min_size=1, max_size=4).map(b"".join), min_size=1, max_size=12)


@given(BODIES, st.integers(1, 200))
def test_a_packed_log_has_the_sums_lines_levels_and_times_of_one_that_was_appended_at_once(bodies, joined_max) -> None:
    logs, whole = MemoryLogs(), MemoryLogs()
    for body in bodies:
        logs.append(LOG, body)
    before = logs.head(logs.append(LOG).log_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packs, "FRAGMENT_MAX", joined_max)
        head = logs.pack(LOG)
    text = b"".join(bodies)
    expected = whole.append(LOG, text)
    assert b"".join(logs.texts(head)) == b"".join(logs.texts(before)) == text
    for name in ("end", "crc32", "lines", "levels", "scan_state", "first_time", "last_time", "grammar"):
        assert getattr(head, name) == getattr(expected, name), name
    packed = content(each.extent for each in logs.stretches(head))
    assert (len(packed), zlib.crc32(packed)) == (head.packed, head.packed_crc32)
    fragments = [row.fragment for row in logs.rows(head)]
    assert len(fragments) == head.fragments
    for each in fragments:  # as if all the text from there on were one append
        rest = whole_fragment(text[: each.end], each.offset)
        assert (each.line, each.lines, each.levels, each.before) == (rest.line, rest.lines, rest.levels, rest.before)
        assert (each.first_time, each.last_time) == (rest.first_time, rest.last_time)
        assert (each.least_time, each.greatest_time, each.newest_time) == (
            rest.least_time,
            rest.greatest_time,
            rest.newest_time,
        )


def whole_fragment(text: bytes, offset: int) -> Fragment:
    logs = MemoryLogs()
    head = logs.append(LOG, *([text[:offset]] if offset else []), text[offset:])
    return [row.fragment for row in logs.rows(head)][-1]


STATES = st.builds(ScanState, st.sampled_from([None, *LEVELS]), st.binary(max_size=1024), st.integers(0, 2))
TIMES = st.none() | st.integers(-(1 << 50), 1 << 50)
FRAGMENTS = st.builds(
    Fragment,
    offset=st.just(0),
    raw=st.integers(1, FRAGMENT_MAX),
    packed=st.integers(1, FRAGMENT_MAX),
    crc32=st.integers(0, 0xFFFFFFFF),
    packed_crc32=st.integers(0, 0xFFFFFFFF),
    line=st.just(0),
    lines=st.integers(0, FRAGMENT_MAX),
    levels=st.dictionaries(st.sampled_from(LEVELS), st.integers(1, FRAGMENT_MAX)),
    before=STATES,
    ends_line=st.booleans(),
    first_time=TIMES,
    last_time=TIMES,
    least_time=TIMES,
    greatest_time=TIMES,
    newest_time=TIMES,
    grammar=st.integers(0, 9),
    received_at=st.integers(0, 1 << 42),
)


@given(st.lists(FRAGMENTS, min_size=1, max_size=6), st.integers(0, 1 << 44), st.integers(0, 1 << 40))
def test_a_table_gives_back_its_fragments(fragments: list[Fragment], offset: int, line: int) -> None:
    expected = []
    end, newlines = offset, line
    for each in fragments:
        expected.append(replace(each, offset=end, line=newlines))
        end, newlines = end + each.raw, newlines + each.lines
    assert fragments_of(table_of(fragments), Sums(raw=offset, lines=line)) == expected


@pytest.mark.parametrize("damage", [b"", b"x", b"\0" * 40])
def test_a_damaged_table_is_named(damage: bytes) -> None:
    with pytest.raises(Corrupt, match="table of the pack at 7 is damaged"):
        fragments_of(damage, Sums(raw=7))


def test_the_worst_table_fits_into_a_header_of_gzip() -> None:
    """An append of 32 MiB in 43 fragments, each of which begins within a line of which 1,024 bytes are kept."""
    chance = random.Random(1)
    fragments = [worst(chance, open_line=1024) for _ in range(43)]
    assert len(header_of(table_of(fragments), {"labels": "x" * 400})) <= HEADER_MAX
    many = [worst(chance, open_line=256) for _ in range(FRAGMENTS_MAX)]
    assert len(header_of(table_of(many), {"labels": "x" * 400})) <= HEADER_MAX


def worst(chance: random.Random, open_line: int) -> Fragment:
    times = [chance.getrandbits(48) for _ in range(5)]
    return Fragment(
        offset=0,
        raw=chance.getrandbits(20),
        packed=chance.getrandbits(20),
        crc32=chance.getrandbits(32),
        packed_crc32=chance.getrandbits(32),
        line=0,
        lines=chance.getrandbits(20),
        levels={level: chance.getrandbits(20) for level in LEVELS},  # type: ignore[arg-type]  # as it is stored
        before=ScanState(chance.choice(LEVELS), chance.randbytes(open_line), chance.getrandbits(1)),
        ends_line=False,
        first_time=times[0],
        last_time=times[1],
        least_time=times[2],
        greatest_time=times[3],
        newest_time=times[4],
        grammar=GRAMMAR,
        received_at=chance.getrandbits(42),
    )


@given(BODIES)
def test_an_object_opens_as_gzip_and_says_again_what_it_holds(bodies: list[bytes]) -> None:
    logs = MemoryLogs()
    head = logs.append(LOG, *bodies)
    new = new_pack(logs.rows(head), content_of, logs.texts_of, lambda: False)
    assert new
    table = table_of(new.fragments)
    header = header_of(table, about("p", head, new, head.scan_state))
    object_ = b"".join((header, *new.data, trailer_of(new.sums)))
    assert gzip.decompress(object_) == b"".join(bodies)
    found = read_header(object_[:HEADER_MAX])
    assert found
    size, said, again = found
    assert (size, again) == (len(header), table)
    assert (said["log_id"], said["birth"], said["end"], said["raw"]) == (LOG, head.birth, head.end, new.sums.raw)
    pack = Pack("k", size, Sums(), new.sums)
    for row in pack.rows(fragments_of(again, Sums())):
        assert isinstance(row.extent, ObjectRange)
        data = object_[row.extent.start : row.extent.start + row.extent.size]
        assert zlib.crc32(data) == row.fragment.packed_crc32


@pytest.mark.parametrize(
    "data", [b"", b"\x1f\x8b", gzip.compress(b"x", mtime=0), b"\x1f\x8b\x08\x04" + bytes(6) + b"\x05\x00abcde"]
)
def test_what_is_no_pack_has_no_header(data: bytes) -> None:
    assert read_header(data) is None


def test_the_rows_of_an_object_are_in_one_pack() -> None:
    logs = MemoryLogs()
    noise = random.Random(3).randbytes(27 << 20)
    head = logs.append(LOG, noise[: 9 << 20], noise[9 << 20 : 18 << 20], noise[18 << 20 :])
    rows = [*logs.rows(head)]
    new = new_pack(keyed(rows, [0, 9 << 20, 18 << 20]), by_offset(rows), logs.texts_of, lambda: False)
    assert new
    assert new.replaced.raw == 18 << 20  # noise is as large when it is packed, so the third append finds no room


def keyed(rows: list[Row], starts: list[int]) -> list[Row]:
    """The rows as of objects that begin there."""

    def key(offset: int) -> str:
        return str(max(start for start in starts if start <= offset))

    made = []
    for each, _ in rows:
        made.append(Row(each, ObjectRange(key(each.offset), each.offset, each.packed)))
    return made


def by_offset(rows: list[Row]) -> Callable[[Iterable[Extent]], Iterator[bytes]]:
    """Reads the objects of keyed()."""
    held = {row.fragment.offset: row.extent for row in rows}

    def read(extents: Iterable[Extent]) -> Iterator[bytes]:
        for each in extents:
            assert isinstance(each, ObjectRange)
            yield content([held[each.start]])

    return read


def test_time_ends_a_pack_after_an_append_at_least() -> None:
    logs = MemoryLogs()
    head = logs.append(LOG, b"one\n", b"two\n")
    new = new_pack(logs.rows(head), content_of, logs.texts_of, lambda: True)
    assert new
    assert new.replaced.raw == 4


def test_damaged_bytes_are_not_copied_into_a_pack() -> None:
    logs = MemoryLogs()
    head = logs.append(LOG, b"one\n")
    with pytest.raises(Corrupt, match="fragment at 0"):
        new_pack(logs.rows(head), lambda _: [b"other"], logs.texts_of, lambda: False)


def test_fragments_of_other_grammars_give_one_of_none() -> None:
    logs = MemoryLogs()
    head = logs.append(LOG, b"one\n", b"two\n")
    one, two = (row.fragment for row in logs.rows(head))
    assert joined([one, two], b"").grammar == GRAMMAR
    assert joined([replace(one, grammar=GRAMMAR - 1), two], b"").grammar == 0


@given(st.lists(st.integers(1, 3 * DUE_RAW // 2), min_size=1, max_size=12))
def test_a_log_is_due_whenever_another_sixteen_megabytes_have_come(sizes: list[int]) -> None:
    head, passed = Head.born(MemoryLogs().append(LOG).log_id), 0
    for size in sizes:
        after = replace(head, end=head.end + size, packed=head.packed + size, fragments=head.fragments + 1)
        assert is_due(head, after) == (after.end // DUE_RAW > passed)
        head, passed = after, after.end // DUE_RAW


def test_the_item_of_a_pack_takes_less_than_400_bytes() -> None:
    """So that the packs of a log of years come with few reads."""
    most = Sums(RAW_MAX, PACKED_MAX, (1 << 32) - 1, (1 << 32) - 1, RAW_MAX, FRAGMENTS_MAX)
    before = Sums(LOG_MAX, LOG_MAX, (1 << 32) - 1, (1 << 32) - 1, LOG_MAX, 10**7)
    for log_id in (f"build/{'0' * 36}/stage1", f"app/{'s' * 40}/{'c' * 40}/2026-11-22"):
        head = Head.born(LogId.parse(log_id))
        name = f"{before.raw:016d}-{'0' * 32}.pack.gz"
        pack = Pack(objects_prefix("p" * 32, head) + name, HEADER_MAX, before, most)
        assert item_size(encode(pack_item("p" * 32, head, pack))) < 400


def test_a_log_is_due_at_so_many_fragments_and_at_as_many_more_and_when_it_is_sealed() -> None:
    head = replace(Head.born(MemoryLogs().append(LOG).log_id), end=5000, packed=5000)
    due = [
        count
        for count in range(1, 3 * DUE_FRAGMENTS)
        if is_due(replace(head, fragments=count - 1), replace(head, fragments=count))
    ]
    assert due == [DUE_FRAGMENTS, 2 * DUE_FRAGMENTS]
    few, enough = (replace(head, fragments=count) for count in (7, 8))
    assert not is_due(few, few.seal(Totals()))
    assert is_due(enough, enough.seal(Totals()))
