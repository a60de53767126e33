import io
import json
import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.downloads.archive import MANIFEST, Entry, ZipLayout, entry_names, manifest
from logkeep.extents import Extent
from logkeep.logs.fragment import END
from logkeep.logs.head import Head, Totals
from tests.examples import LONG
from tests.memory import MemoryLogs, content
from tests.samples import any_bytes, cuts_of

pytestmark = pytest.mark.unit

GIB = 1 << 30
UNZIP = shutil.which("unzip")
LOG = "check/0123/a.log"


def log_entry(name: str, *bodies: bytes) -> tuple[Entry, list[Extent]]:
    logs = MemoryLogs()
    head = logs.append(LOG, *bodies)
    return Entry.of_log(name, head), [*(row.extent for row in logs.rows(head)), END]


def zipped(entries: Sequence[tuple[Entry, Sequence[Extent]]]) -> tuple[ZipLayout, bytes]:
    layout = ZipLayout([entry for entry, _ in entries])
    return layout, content(layout.extents(lambda index: entries[index][1]))


class Sparse(io.RawIOBase):
    """A file of extents in which an int is a hole of so many bytes."""

    def __init__(self, pieces: Sequence[bytes | int]) -> None:
        self._pieces: list[tuple[int, bytes]] = []
        self.size = self._at = 0
        for piece in pieces:
            if isinstance(piece, bytes):
                self._pieces.append((self.size, piece))
            self.size += piece if isinstance(piece, int) else len(piece)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence])
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self.size if size < 0 else min(self.size, self._at + size)
        assert end - self._at < GIB, "nobody should read a hole in whole"
        data = bytearray(max(0, end - self._at))
        for at, piece in self._pieces:
            low, high = max(at, self._at), min(at + len(piece), end)
            if low < high:
                data[low - self._at : high - self._at] = piece[low - at : high - at]
        self._at = max(self._at, end)
        return bytes(data)

    def write_to(self, path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(self.size)
            for at, piece in self._pieces:
                file.seek(at)
                file.write(piece)


def unzip_tests(path: Path, *members: str) -> str:
    """What `unzip -t` says of a file; Python alone where there is none."""
    if UNZIP is None:
        with zipfile.ZipFile(path) as archive:
            for name in members or archive.namelist():
                archive.read(name)  # raises where the CRC does not match
        return "No errors detected"
    done = subprocess.run([UNZIP, "-t", path, *members], capture_output=True, text=True, check=False)  # noqa: S603 - unzip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


names = st.text(max_size=20)


@given(st.lists(st.tuples(names, cuts_of(any_bytes), st.booleans()), max_size=6))
def test_a_zip_of_any_entries_opens_and_is_as_large_as_announced(wanted: list[tuple[str, list[bytes], bool]]):
    safe = entry_names(name for name, _, _ in wanted)
    entries: list[tuple[Entry, Sequence[Extent]]] = []
    for name, (_, pieces, as_log) in zip(safe, wanted, strict=True):
        text = b"".join(pieces)
        entries.append(log_entry(name, *pieces) if as_log else (Entry.stored(name, text), [text]))
    layout, data = zipped(entries)
    assert (layout.size, layout.crc32) == (len(data), zlib.crc32(data))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == safe
        assert [archive.read(name) for name in safe] == [b"".join(pieces) for _, pieces, _ in wanted]
        for info, (entry, _) in zip(archive.infolist(), entries, strict=True):
            assert (info.file_size, info.compress_size, info.CRC) == (entry.raw, entry.packed, entry.crc32)
    assert zipped(entries)[1] == data


def test_unzip_finds_no_errors(tmp_path: Path):
    entries: list[tuple[Entry, Sequence[Extent]]] = [
        (Entry.stored(MANIFEST, b"{}"), [b"{}"]),
        log_entry("folder/日志.log", b"INFO: x\n" * 100_000, b"last"),
        log_entry("empty.log"),
    ]
    path = tmp_path / "logs.zip"
    path.write_bytes(zipped(entries)[1])
    assert "No errors detected" in unzip_tests(path)


def test_a_zip_of_nothing_is_a_zip():
    layout, data = zipped([])
    assert len(data) == layout.size == 22
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == []


def test_entries_are_readable_files_of_unix_with_the_time_of_the_last_record():
    entry, extents = log_entry("a.log", b"2026-01-31 08:00:01 x\n2026-01-31 08:00:03 x\n")
    (info,) = zipfile.ZipFile(io.BytesIO(zipped([(entry, extents)])[1])).infolist()
    assert info.create_system == 3
    assert info.external_attr >> 16 == 0o100644
    assert info.date_time == (2026, 1, 31, 8, 0, 2)  # ZIP counts in twos
    assert (info.flag_bits, info.extract_version) == (0x800, 20)


@pytest.mark.parametrize(
    ("modified", "shown"),
    [
        (None, (1980, 1, 1, 0, 0, 0)),
        (-(10**15), (1980, 1, 1, 0, 0, 0)),
        (0, (1980, 1, 1, 0, 0, 0)),
        (10**15, (2107, 12, 31, 23, 59, 58)),
        (int(datetime(2107, 12, 31, 23, 59, 59, 999000, UTC).timestamp() * 1000), (2107, 12, 31, 23, 59, 58)),
    ],
)
def test_times_that_a_zip_cannot_hold_become_the_nearest_that_it_can(modified: int | None, shown: tuple[int, ...]):
    data = zipped([(replace(Entry.stored("a", b""), modified=modified), [b""])])[1]
    assert zipfile.ZipFile(io.BytesIO(data)).infolist()[0].date_time == shown


# ZIP64. Only headers are looked at where the content would be gigabytes; the bytes between them are holes.


def huge(name: str, raw: int, packed: int) -> Entry:
    return Entry(name=name, raw=raw, packed=packed, crc32=1, packed_crc32=2)


def sparse(entries: Sequence[Entry], last: tuple[Entry, Sequence[Extent]]) -> Sparse:
    entry, extents = last
    layout = ZipLayout([*entries, entry])
    *_, directory = layout.extents(lambda _: [])
    pieces: list[bytes | int] = []
    for each in entries:
        pieces += [each.local_header(), each.packed]
    pieces += [entry.local_header(), content(extents), content([directory])]
    file = Sparse(pieces)
    assert file.size == layout.size
    return file


sizes = st.one_of(st.integers(0, 1 << 44), st.integers((1 << 32) - 3, (1 << 32) + 2))


@given(st.lists(st.tuples(sizes, sizes), min_size=1, max_size=4))
def test_sizes_and_offsets_of_any_length_are_read_back(pairs: list[tuple[int, int]]):
    entries = [huge(f"{index}.log", raw, packed) for index, (raw, packed) in enumerate(pairs)]
    file = sparse(entries, log_entry("last.log", b"last\n"))
    with zipfile.ZipFile(file) as archive:
        *infos, last = archive.infolist()
        at = 0
        for info, entry in zip(infos, entries, strict=True):
            assert (info.file_size, info.compress_size, info.header_offset) == (entry.raw, entry.packed, at)
            archive.open(info).close()  # reads the local header
            at += len(entry.local_header()) + entry.packed
        assert last.header_offset == at
        assert archive.read("last.log") == b"last\n"


@pytest.mark.parametrize("past", [-1, 0, 1])
def test_an_offset_that_just_fits_is_told_from_the_flag_that_stands_for_a_longer_one(tmp_path: Path, past: int):
    # 0xFFFFFFFF in the 32-bit field says "see the ZIP64 extra field" (4.4.16), so it cannot be an offset itself.
    size = 0xFFFFFFFF + past - len(huge("first.log", 1, 1).local_header())
    path = tmp_path / "large.zip"
    sparse([huge("first.log", size, size)], log_entry("last.log", b"last\n")).write_to(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.infolist()[1].header_offset == 0xFFFFFFFF + past
        assert bool(archive.infolist()[1].extra) == (past >= 0)
        assert archive.read("last.log") == b"last\n"
    assert "No errors detected" in unzip_tests(path, "last.log")


@pytest.mark.parametrize(("raw", "packed"), [(5 * GIB, 6 * GIB), (5 * GIB, 7), (7, 0xFFFFFFFF), (0xFFFFFFFF, 7)])
def test_a_local_header_holds_both_long_sizes_behind_its_name(raw: int, packed: int):
    header = huge("a.log", raw, packed).local_header()  # 4.3.7, and 4.5.3: both must be there, the raw one first
    assert struct.unpack("<4sHHHHHLLLHH", header[:30])[-4:] == (0xFFFFFFFF, 0xFFFFFFFF, 5, 20)
    assert header[30:35] == b"a.log"
    assert struct.unpack("<HHQQ", header[35:]) == (1, 16, raw, packed)


# Not at 2**32 - 1 itself: Info-ZIP 6.0 takes that true size for the flag that stands for it, and then refuses the
# entries behind; zipfile above and `jar` read it.
@pytest.mark.parametrize("size", [(1 << 32) - 2, 1 << 32, 6 * GIB])
def test_unzip_reads_an_entry_behind_four_gigabytes(tmp_path: Path, size: int):
    path = tmp_path / "large.zip"
    sparse([huge("first.log", size, size)], log_entry("last.log", b"last\n" * 1000)).write_to(path)
    assert "No errors detected" in unzip_tests(path, "last.log")
    assert zipfile.ZipFile(path).read("last.log") == b"last\n" * 1000


def test_the_crc_of_a_layout_counts_entries_of_any_length():
    one = ZipLayout([huge("a", 5 * GIB, 5 * GIB)])
    other = ZipLayout([replace(one.entries[0], packed_crc32=3)])
    assert one.size == other.size > 5 * GIB
    assert one.crc32 != other.crc32


@pytest.mark.soak
@pytest.mark.parametrize("count", [0xFFFE, 0xFFFF, 0x10000] if LONG else [0xFFFF])
def test_a_zip_may_have_more_entries_than_sixteen_bits_count(tmp_path: Path, count: int):
    entries = [Entry.stored(str(number), b"x") for number in range(count)]
    layout = ZipLayout(entries)
    data = content(layout.extents(lambda _: [b"x"]))
    assert (layout.size, layout.crc32) == (len(data), zlib.crc32(data))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) == count
        assert archive.read(str(count - 1)) == b"x"
    assert (b"PK\6\6" in data[-200:]) == (count >= 0xFFFF)
    path = tmp_path / "many.zip"
    path.write_bytes(data)
    assert "No errors detected" in unzip_tests(path, str(count - 1))


def test_the_manifest_says_of_every_log_what_was_there():
    logs = MemoryLogs()
    heads: list[tuple[str, Head]] = [
        ("a.log", logs.append("check/0123/a", b"one\ntwo").seal(Totals())),
        ("b.log", logs.append("check/0123/b", b"x\n").seal(Totals.model_validate({"bytes": 9}))),
        ("c.log", logs.append("check/0123/c")),
    ]
    assert json.loads(manifest(heads)) == {
        "logs": [
            {
                "id": "check/0123/a",
                "entry": "a.log",
                "state": "sealed",
                "bytes": 7,
                "lines": 2,
                "crc32": f"{zlib.crc32(b'one\ntwo'):08x}",
            },
            {
                "id": "check/0123/b",
                "entry": "b.log",
                "state": "truncated",
                "bytes": 2,
                "lines": 1,
                "crc32": f"{zlib.crc32(b'x\n'):08x}",
            },
            {"id": "check/0123/c", "entry": "c.log", "state": "open", "bytes": 0, "lines": 0, "crc32": "00000000"},
        ]
    }
