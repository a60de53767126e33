import contextlib
import gzip
import itertools
import tracemalloc
import zlib
from collections import Counter, deque
from collections.abc import Iterable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from logkeep.errors import Corrupt, Invalid, TooLarge
from logkeep.limits import FRAGMENT_MAX
from logkeep.logs import fragment
from logkeep.logs.fragment import (
    END,
    GZIP_HEADER,
    GZIP_OVERHEAD,
    Fragment,
    combine_crc32,
    deflate,
    gzip_trailer,
    inflate,
    inflate_gzip,
    pack,
    recut,
)
from logkeep.logs.levels import ScanState, TimeBasis, scan
from tests.examples import examples
from tests.samples import any_bytes, counts_of, cut, cuts_of, lines_of, log_texts

pytestmark = pytest.mark.unit


def appended(bodies: Iterable[list[bytes]]) -> tuple[list[Fragment], list[bytes], ScanState]:
    """What appends leave: each body comes in pieces."""
    fragments: list[Fragment] = []
    packed: list[bytes] = []
    state = ScanState()
    for pieces in bodies:
        offset, line = (fragments[-1].end, fragments[-1].line + fragments[-1].lines) if fragments else (0, 0)
        for each, data, after in pack(pieces, TimeBasis(), 1, offset=offset, line=line, before=state):
            fragments.append(each)
            packed.append(data)
            state = after
    return fragments, packed, state


@pytest.fixture(params=[FRAGMENT_MAX, 64], ids=["FRAGMENT_MAX as it is", "FRAGMENT_MAX of 64 bytes"])
def raw_max(request: pytest.FixtureRequest):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fragment, "FRAGMENT_MAX", request.param)
        yield request.param


@pytest.mark.usefixtures("raw_max")
class TestAnyBytesInAnyCuts:
    @given(cuts_of(any_bytes))
    def test_fragments_and_the_end_block_are_one_deflate_stream(self, pieces: list[bytes]):
        _, packed, _ = appended([piece] for piece in pieces)
        assert zlib.decompress(b"".join(packed) + END, -15) == b"".join(pieces)

    @given(cuts_of(any_bytes))
    def test_header_fragments_and_trailer_are_a_gzip_file(self, pieces: list[bytes]):
        _, packed, _ = appended([piece] for piece in pieces)
        text = b"".join(pieces)
        file = GZIP_HEADER + b"".join(packed) + gzip_trailer(zlib.crc32(text), len(text))
        assert gzip.decompress(file) == text
        assert len(file) == sum(map(len, packed)) + GZIP_OVERHEAD

    @given(cuts_of(any_bytes))
    def test_every_fragment_inflates_alone(self, pieces: list[bytes]):
        fragments, packed, _ = appended([piece] for piece in pieces)
        text = b"".join(pieces)
        for each, data in zip(fragments, packed, strict=True):
            assert inflate(data, each) == text[each.offset : each.end]
            assert zlib.decompressobj(-15).decompress(data) == text[each.offset : each.end]

    @given(cuts_of(any_bytes))
    def test_a_fragment_knows_its_sizes_checksums_lines_and_levels(self, pieces: list[bytes]):
        fragments, packed, state = appended([piece] for piece in pieces)
        text = b"".join(pieces)
        assert [each.offset for each in fragments] + [len(text)] == [0, *(each.end for each in fragments)]
        for each, data in zip(fragments, packed, strict=True):
            raw, before = text[each.offset : each.end], scan(text[: each.offset], ScanState())
            assert (each.raw, each.crc32) == (len(raw), zlib.crc32(raw))
            assert (each.packed, each.packed_crc32) == (len(data), zlib.crc32(data))
            assert each.lines == raw.count(b"\n")
            assert each.before == before.after
            assert each.ends_line == raw.endswith(b"\n")
            assert before.levels + each.levels == scan(text[: each.end], ScanState()).levels
        assert state == scan(text, ScanState()).after

    @given(cuts_of(any_bytes))
    def test_sums_over_fragments_are_what_a_reader_counts_in_the_text(self, pieces: list[bytes]):
        fragments, packed, _ = appended([piece] for piece in pieces)
        text = b"".join(pieces)
        crc = packed_crc = 0
        for each in fragments:
            crc = combine_crc32(crc, each.crc32, each.raw)
            packed_crc = combine_crc32(packed_crc, each.packed_crc32, each.packed)
        assert crc == zlib.crc32(text)
        assert packed_crc == zlib.crc32(b"".join(packed))
        assert sum(each.raw for each in fragments) == len(text)
        assert sum(each.lines for each in fragments) == text.count(b"\n")
        levels = sum((each.levels for each in fragments), Counter[str]())
        assert dict(levels) == counts_of([line for line in lines_of(text) if line.endswith(b"\n")])

    @given(any_bytes, st.lists(st.integers(0, 400), max_size=8), st.lists(st.integers(0, 400), max_size=8))
    def test_the_pieces_of_one_append_leave_no_trace(self, text: bytes, some: list[int], others: list[int]):
        assert appended([cut(text, some)]) == appended([cut(text, others)])

    @given(cuts_of(any_bytes))
    def test_no_piece_is_empty_or_longer_than_a_fragment_and_no_byte_is_lost(self, pieces: list[bytes]):
        again = list(recut(pieces))
        assert b"".join(again) == b"".join(pieces)
        assert all(0 < len(piece) <= FRAGMENT_MAX for piece in again)


@given(
    st.lists(st.integers(0, 150).map(lambda size: b"x" * size + b"\n"), max_size=20)
    .map(b"".join)
    .flatmap(lambda text: cuts_of(st.just(text)))
)
def test_text_is_cut_behind_a_newline_of_the_last_quarter_else_at_the_limit(pieces: list[bytes]):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fragment, "FRAGMENT_MAX", 100)
        again = list(recut(pieces))
    rest = b"".join(pieces)
    for piece in again:
        whole = rest[:100]
        if len(whole) == 100:
            newline = whole.rfind(b"\n", 75)
            assert piece == (whole[: newline + 1] if newline >= 0 else whole)
        rest = rest[len(piece) :]
    assert rest == b""


def test_a_whole_megabyte_is_one_fragment():
    assert [len(piece) for piece in recut([b"x" * FRAGMENT_MAX])] == [FRAGMENT_MAX]
    assert [len(piece) for piece in recut([b"x" * (FRAGMENT_MAX - 1), b"xx"])] == [FRAGMENT_MAX, 1]


def test_nothing_makes_no_fragment():
    assert list(pack([], TimeBasis(), 1)) == list(pack([b"", b""], TimeBasis(), 1)) == []


@given(cuts_of(any_bytes))
def test_combined_checksums_are_those_of_the_joined_bytes(pieces: list[bytes]):
    crc = 0
    for piece in pieces:
        crc = combine_crc32(crc, zlib.crc32(piece), len(piece))
    assert crc == zlib.crc32(b"".join(pieces))


def test_the_trailer_holds_the_size_modulo_four_gigabytes():
    assert gzip_trailer(1, (1 << 32) + 5) == END + b"\1\0\0\0\5\0\0\0"


@given(any_bytes, st.data())
def test_a_flipped_bit_is_corrupt_or_changes_nothing(text: bytes, data: st.DataObject):
    assume(text)
    ((each, packed, _),) = pack([text], TimeBasis(), 1)
    position = data.draw(st.integers(0, len(packed) * 8 - 1))
    flipped = bytearray(packed)
    flipped[position // 8] ^= 1 << position % 8
    # Some bits of DEFLATE say nothing: the padding before a stored block's length.
    with contextlib.suppress(Corrupt):
        assert inflate(bytes(flipped), each) == text


@given(any_bytes, st.data())
def test_a_fragment_that_was_cut_or_belongs_elsewhere_is_corrupt(text: bytes, data: st.DataObject):
    assume(text)
    ((each, packed, _),) = pack([text], TimeBasis(), 1, offset=7)
    with pytest.raises(Corrupt):
        inflate(packed[: data.draw(st.integers(0, len(packed) - 6))], each)
    with pytest.raises(Corrupt):
        inflate(deflate(text + b"x"), each)
    with pytest.raises(Corrupt):
        inflate(deflate(text[:-1]), each)


members = st.lists(st.tuples(st.one_of(st.binary(max_size=300), log_texts), st.sampled_from([0, 1, 9])), max_size=4)


@pytest.mark.usefixtures("raw_max")
@given(members)
def test_a_gzip_body_of_any_members_gives_the_text_in_small_pieces(members: list[tuple[bytes, int]]):
    text = b"".join(data for data, _ in members)
    body = b"".join(gzip.compress(data, level) for data, level in members)
    pieces = list(inflate_gzip(body, len(text)))
    assert b"".join(pieces) == text
    assert all(0 < len(piece) <= FRAGMENT_MAX for piece in pieces)


@pytest.mark.parametrize(
    "size", [FRAGMENT_MAX - 1, FRAGMENT_MAX, FRAGMENT_MAX + 1, 3 * FRAGMENT_MAX, 1 << 16, (1 << 16) + 1]
)
@pytest.mark.parametrize("level", [0, 1])
def test_a_gzip_body_may_end_where_a_piece_or_a_window_does(size: int, level: int):
    text = (b"2026-01-31 INFO x\n" * (size // 18 + 1))[:size]
    assert b"".join(inflate_gzip(gzip.compress(text, level) * 2, 2 * size)) == text * 2


def test_optional_fields_of_a_gzip_header_are_skipped():
    raw = deflate(b"text") + gzip_trailer(zlib.crc32(b"text"), 4)
    named = b"\x1f\x8b\x08\x0c" + b"\0" * 6 + b"\2\0ab" + b"name.log\0" + raw
    assert b"".join(inflate_gzip(named, 4)) == b"text"


@given(members.filter(lambda members: len(members) > 0), st.data())
def test_a_gzip_body_that_ends_early_is_refused_unless_it_ends_between_members(
    members: list[tuple[bytes, int]], data: st.DataObject
):
    parts = [gzip.compress(text, level) for text, level in members]
    body = b"".join(parts)
    size = data.draw(st.integers(0, len(body) - 1))
    ends = list(itertools.accumulate(map(len, parts), initial=0))
    if size in ends:
        whole = b"".join(text for text, _ in members[: ends.index(size)])
        assert b"".join(inflate_gzip(body[:size], 10_000)) == whole
    else:
        with pytest.raises(Invalid, match="body: "):
            list(inflate_gzip(body[:size], 10_000))


@given(st.binary(min_size=1, max_size=100), st.binary(max_size=100))
def test_junk_behind_a_member_is_refused(junk: bytes, text: bytes):
    assume(junk[:1] != b"\x1f")
    with pytest.raises(Invalid):
        list(inflate_gzip(gzip.compress(text) + junk, 1000))
    with pytest.raises(Invalid):
        list(inflate_gzip(junk, 1000))


@pytest.mark.parametrize("behind", [1, 8], ids=["the size", "the checksum"])
def test_a_gzip_body_with_a_wrong_trailer_is_refused(behind: int):
    body = bytearray(gzip.compress(b"text"))
    body[-behind] ^= 1
    with pytest.raises(Invalid):
        list(inflate_gzip(bytes(body), 1000))


@pytest.mark.parametrize("limit", [0, 1, 999, 1000])
def test_one_byte_beyond_the_limit_is_too_large(limit: int):
    body = gzip.compress(b"x" * limit)
    assert b"".join(inflate_gzip(body, limit)) == b"x" * limit
    with pytest.raises(TooLarge):
        list(inflate_gzip(gzip.compress(b"x" * (limit + 1)), limit))
    with pytest.raises(TooLarge):
        list(inflate_gzip(body + gzip.compress(b"x"), limit))


def test_a_bomb_is_refused_before_it_is_inflated():
    bomb = gzip.compress(b"\0" * (64 << 20), 1)
    pieces = inflate_gzip(bomb, 8 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            deque(pieces, maxlen=0)
        assert tracemalloc.get_traced_memory()[1] < 4 * FRAGMENT_MAX
    finally:
        tracemalloc.stop()


@examples(10)
@given(st.integers(0, 50))
def test_empty_members_cost_no_more_than_their_own_bytes(count: int):
    assert list(inflate_gzip(gzip.compress(b"") * count + gzip.compress(b"x"), 1)) == [b"x"]


def test_what_follows_a_member_is_not_copied_in_whole_for_each():
    # 1 MB of the smallest members: with a copy of the rest for each, 25 GB would be moved.
    count = 50_000
    taken = []

    class Body(bytes):
        def __getitem__(self, index):
            taken.append(index.stop - index.start)
            return super().__getitem__(index)

    body = Body(gzip.compress(b"", mtime=0) * count)
    assert list(inflate_gzip(body, 0)) == []
    assert set(taken) == {fragment._INPUT_SIZE}
    assert sum(taken) < len(body) + fragment._INPUT_SIZE


@given(any_bytes)
def test_equal_text_is_packed_into_equal_bytes(text: bytes):
    assert deflate(text) == deflate(text)
