"""The scanner, compiled such that what C leaves undefined ends the process, reads nothing outside of its text."""

import ctypes
import mmap
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.logs import scanner
from logkeep.logs.scanner import Before, Scanner
from logkeep_scanner.__main__ import build
from logkeep_scanner.formats import CONTINUING, DATED, PLAIN
from tests.samples import any_bytes

_PAGE = mmap.PAGESIZE
_PROT_NONE = 0
_LINES = [line.encode() for each in DATED + PLAIN for line, _, _ in each.cases] + [line.encode() for line in CONTINUING]
_texts = st.one_of(
    any_bytes,
    st.lists(
        st.builds(
            lambda line, cut, rest: line[:cut] + rest,
            st.sampled_from(_LINES),
            st.integers(0, 120),
            st.sampled_from([b"", b"\r", b"\x1b[", b"\x1b]", b'"', b"\\", b"{", b"\\u12", b"=", b" "]),
        ),
        max_size=6,
    ).map(b"\n".join),
)


@pytest.fixture(scope="module", autouse=True)
def _strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    library = tmp_path_factory.mktemp("strict") / "scanner.so"
    build(library, "-fsanitize=undefined", "-fsanitize-trap=undefined", "-Wno-error")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanner, "_LIBRARY", library)
        scanner._scan.cache_clear()
        yield
    scanner._scan.cache_clear()


class Guarded:
    """A page whose neighbour cannot be read: whoever reads past its end is killed."""

    def __init__(self) -> None:
        self._pages = mmap.mmap(-1, 3 * _PAGE)
        self._place = ctypes.addressof(ctypes.c_char.from_buffer(self._pages))
        libc = ctypes.CDLL(None)
        for page in (0, 2):
            guard = ctypes.c_void_p(self._place + page * _PAGE)
            assert libc.mprotect(guard, ctypes.c_size_t(_PAGE), ctypes.c_int(_PROT_NONE)) == 0

    def scan(self, text: bytes, *, at_end: bool) -> list[int]:
        """The places of the records of a text of whole lines, which fills the page's end, or its beginning."""
        assert len(text) <= _PAGE
        place = self._place + (2 * _PAGE - len(text) if at_end else _PAGE)
        ctypes.memmove(place, text, len(text))
        state, sums, used = scanner._State(), scanner._Sums(), ctypes.c_int64()
        found = (ctypes.c_char * (_PAGE * scanner._RECORD.size))()
        written = scanner._scan()(place, len(text), 10**12, state, sums, found, _PAGE, 0, used)
        assert used.value == len(text)
        return [each[0] for each in scanner._RECORD.iter_unpack(bytes(found)[: written * scanner._RECORD.size])]


@pytest.fixture(scope="module")
def guarded() -> Guarded:
    return Guarded()


@given(_texts)
def test_nothing_outside_of_the_text_is_read(guarded: Guarded, text: bytes):
    lines = text[: _PAGE - 1] + b"\n"
    places = guarded.scan(lines, at_end=True)
    assert places == guarded.scan(lines, at_end=False)
    assert places == [each.place for each in Scanner(10**12, Before()).records(lines, 0, len(lines))]


@given(st.sampled_from(_LINES), st.integers(900, 1100))
def test_nor_near_the_end_of_what_is_looked_at_of_a_line(guarded: Guarded, line: bytes, size: int):
    for text in (b" " * size + line, b"\x1b[1m" * (size // 4) + line, b"x" * size + b"\r" + line, line + b"x" * size):
        guarded.scan(text[: _PAGE - 1] + b"\n", at_end=True)


def test_records_come_in_batches_of_bounded_size():
    lines = b"INFO: x\n" * (3 * scanner._BATCH + 7)
    found = list(Scanner(0, Before()).records(lines, 0, len(lines)))
    assert [each.place for each in found] == list(range(0, len(lines), 8))


@pytest.mark.parametrize(("start", "end"), [(0, 3), (0, 9), (2, 1000), (0, 2)])
def test_only_whole_lines_within_the_text_are_read(start: int, end: int):
    with pytest.raises(ValueError, match="whole lines"):
        Scanner(0, Before()).read(b"one\ntwo\n", start, end)


def test_the_library_is_built_of_the_formats_as_they_are(tmp_path: Path):
    build(tmp_path / "scanner.so")
    built = Path(scanner.__file__).with_name("_scanner.so")
    assert built.read_bytes() == (tmp_path / "scanner.so").read_bytes(), "run make install"
