"""ZIP files whose layout is computed before any content is read. Section numbers are those of APPNOTE.TXT 6.3.10."""

import json
import re
import struct
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, chain
from typing import Final

from isal import isal_zlib

from logkeep.extents import Extent
from logkeep.logs.fragment import END, combine_crc32
from logkeep.logs.head import Certificate, Head

NAME_MAX: Final = 255  # bytes of UTF-8
MANIFEST: Final = "manifest.json"
_STORED: Final = 0  # methods, 4.4.5
_DEFLATED: Final = 8
_UTF8: Final = 0x0800  # flag: names are UTF-8, 4.4.4
_MAX32: Final = 0xFFFFFFFF  # in a field: see the ZIP64 field
_MAX16: Final = 0xFFFF
_VERSION: Final = 20  # needed to extract, 4.4.3
_VERSION_ZIP64: Final = 45
_UNIX: Final = 3 << 8  # made by, 4.4.2
_MODE: Final = 0o100644 << 16  # external attributes, 4.4.15: a file, rw-r--r--
_EARLIEST: Final = datetime(1980, 1, 1, tzinfo=UTC)  # of the dates that a ZIP can hold
_LATEST: Final = datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)
# Names of devices on Windows, also with an ending.
_RESERVED: Final = re.compile(r"(?i)(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[\d¹²³])(?: *\..*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a ZIP. Sizes are in bytes; the packed ones are of the content as it is in the ZIP."""

    name: str
    raw: int
    crc32: int
    packed: int
    packed_crc32: int
    method: int = _DEFLATED
    modified: int | None = None  # epoch milliseconds

    @classmethod
    def of_log(cls, name: str, head: Head) -> "Entry":
        """A log, as its fragments and END."""
        return cls(
            name=name,
            raw=head.end,
            crc32=head.crc32,
            packed=head.packed + len(END),
            packed_crc32=isal_zlib.crc32(END, head.packed_crc32),
            modified=head.last_time,
        )

    @classmethod
    def stored(cls, name: str, content: bytes) -> "Entry":
        """A small file, uncompressed."""
        size, crc = len(content), isal_zlib.crc32(content)
        return cls(name=name, raw=size, crc32=crc, packed=size, packed_crc32=crc, method=_STORED)

    @property
    def is_deflated(self) -> bool:
        return self.method == _DEFLATED

    @property
    def _zip64(self) -> bool:
        return max(self.raw, self.packed) >= _MAX32

    def _common(self, version: int, extra: int) -> bytes:
        """The fields that 4.3.7 and 4.3.12 share, from the flags to the length of the extra field."""
        moment = _EARLIEST
        if self.modified is not None:
            seconds = min(max(self.modified / 1000, _EARLIEST.timestamp()), _LATEST.timestamp())
            moment = datetime.fromtimestamp(seconds, UTC)
        date = (moment.year - 1980) << 9 | moment.month << 5 | moment.day
        time = moment.hour << 11 | moment.minute << 5 | moment.second // 2
        sizes = (_MAX32, _MAX32) if self._zip64 else (self.packed, self.raw)
        name = len(self.name.encode())
        return struct.pack("<HHHHHLLLHH", version, _UTF8, self.method, time, date, self.crc32, *sizes, name, extra)

    def local_header(self) -> bytes:
        extra = struct.pack("<HHQQ", 1, 16, self.raw, self.packed) if self._zip64 else b""
        version = _VERSION_ZIP64 if self._zip64 else _VERSION
        return b"PK\3\4" + self._common(version, len(extra)) + self.name.encode() + extra

    def directory_header(self, offset: int) -> bytes:
        large = [self.raw, self.packed] if self._zip64 else []
        if offset >= _MAX32:
            large.append(offset)
        extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
        version = _VERSION_ZIP64 if large else _VERSION
        return b"".join(
            (
                b"PK\1\2",
                struct.pack("<H", _UNIX | version),
                self._common(version, len(extra)),
                struct.pack("<HHHLL", 0, 0, 0, _MODE, min(offset, _MAX32)),
                self.name.encode(),
                extra,
            )
        )


class ZipLayout:
    """Where every byte of a ZIP will be. Its size in bytes and CRC-32 follow from the entries alone."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        sizes = [len(each.local_header()) + each.packed for each in entries]
        offsets = [0, *accumulate(sizes)]
        self.starts = offsets[:-1]  # of the entries' local headers
        self._directory = _directory(entries, offsets)
        self.size = offsets[-1] + len(self._directory)
        crc = 0
        for each in entries:
            crc = combine_crc32(isal_zlib.crc32(each.local_header(), crc), each.packed_crc32, each.packed)
        self.crc32 = isal_zlib.crc32(self._directory, crc)

    def content_start(self, index: int) -> int:
        """The byte of the ZIP at which the packed bytes of an entry begin."""
        return self.starts[index] + len(self.entries[index].local_header())

    def extents(self, content: Callable[[int], Iterable[Extent]]) -> Iterator[Extent]:
        """The ZIP, with `content(i)` as the packed bytes of entry i."""
        for index, each in enumerate(self.entries):
            yield each.local_header()
            yield from content(index)
        yield self._directory


def manifest(logs: Iterable[tuple[str, Head]]) -> bytes:
    """The content of manifest.json: which log is which file (entry name), and how much of it is there."""
    rows = [
        {
            "id": log.log_id,
            "entry": name,
            "state": log.state,
            "bytes": log.bytes,
            "lines": log.lines,
            "crc32": log.crc32,
        }
        for name, log in ((name, Certificate.of(head)) for name, head in logs)
    ]
    return json.dumps({"logs": rows}, indent=1).encode() + b"\n"


def entry_names(wanted: Iterable[str]) -> list[str]:
    """A safe name for each wanted one, which every unzip can write inside its folder.

    All differ even if case is ignored, have at most NAME_MAX bytes, and contain no absolute or parent path, drive,
    backslash, control or bidi character or device name. None is both a file and a folder. A name that is taken gets ~2,
    ~3, … before its ending.
    """
    files: set[str] = {MANIFEST}
    folders: set[str] = set()
    untried: dict[tuple[int, str], int] = {}  # the next number of each name, see _numbered
    names = []
    for want in wanted:
        safe = _safe(want)
        if not files.isdisjoint(_parents(_folded(safe))):
            safe = safe.replace("/", "_")  # one of its folders is a file already
        stem, dot, ending = safe.rpartition(".")
        if not stem or "/" in ending or len(ending) > 16:
            stem, dot, ending = safe, "", ""
        candidates = chain([safe], _numbered(stem, dot + ending, untried))
        name = next(each for each in candidates if _is_free(_folded(each), files, folders))
        folded = _folded(name)
        files.add(folded)
        folders.update(_parents(folded))
        names.append(name)
    return names


def _directory(entries: Sequence[Entry], offsets: Sequence[int]) -> bytes:
    """The central directory and its end records, 4.3.12 to 4.3.16. The last offset is the end of the entries."""
    start, count = offsets[-1], len(entries)
    headers = b"".join(each.directory_header(at) for each, at in zip(entries, offsets, strict=False))
    end = b""
    if count >= _MAX16 or max(start, len(headers)) >= _MAX32:
        version = (_UNIX | _VERSION_ZIP64, _VERSION_ZIP64)
        end = b"PK\6\6" + struct.pack("<QHHLLQQQQ", 44, *version, 0, 0, count, count, len(headers), start)
        end += b"PK\6\7" + struct.pack("<LQL", 0, start + len(headers), 1)
    counts = (min(count, _MAX16),) * 2  # of this disk, and of all
    end += b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, *counts, min(len(headers), _MAX32), min(start, _MAX32), 0)
    return headers + end


def _safe(want: str) -> str:
    """A relative path without characters and names that some system refuses."""
    parts = []
    for part in want.replace("\\", "/").split("/"):
        visible = "".join("_" if c in ':*?"<>|' or unicodedata.category(c)[0] == "C" else c for c in part)
        clean = visible.rstrip(". ")
        if not clean:
            continue
        parts.append(f"_{clean}" if _RESERVED.fullmatch(clean) else clean)
    folder, slash, last = _cut("/".join(parts), NAME_MAX).rpartition("/")
    if _RESERVED.fullmatch(last):  # cut from a longer name
        last = f"_{last[1:]}"
    return f"{folder}{slash}{last}" or "_"


def _numbered(stem: str, ending: str, untried: dict[tuple[int, str], int]) -> Iterator[str]:
    """The name with ~2, ~3, …, without the numbers that were tried before, because a taken name stays taken.

    A number with more digits shortens a long stem, perhaps to the stem of another name. So `untried` has an entry for
    each count of digits.
    """
    number = 2
    while True:
        suffix = f"~{number}{ending}"
        kept = _cut(stem, NAME_MAX - len(suffix.encode()))
        series = len(str(number)), _folded(f"{kept}~{ending}")
        if untried.get(series, 0) > number:
            number = untried[series]
        else:
            number = untried[series] = number + 1
            yield kept + suffix


def _cut(name: str, limit: int) -> str:
    """At most `limit` bytes of a name, without half a character, and without a slash, dot or blank at the end."""
    return name.encode()[:limit].decode(errors="ignore").rstrip("/. ")


def _is_free(folded: str, files: set[str], folders: set[str]) -> bool:
    return folded not in files and folded not in folders and files.isdisjoint(_parents(folded))


def _parents(name: str) -> list[str]:
    """The folders of a name, the outermost first."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


def _folded(name: str) -> str:
    """Equal for names that a file system which ignores case, or normalizes Unicode, takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
