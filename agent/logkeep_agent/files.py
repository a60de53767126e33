"""Files that are read by position, and the rotated files beside them."""

import gzip
import os
import re
import stat
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import Final

from logkeep_agent import Refused

_BLOCK: Final = 1 << 20
_FIRST: Final = 1024  # bytes by which a file is recognized
_LOOKS: Final = 10  # at a directory whose names are changing
# app.log.1, app.log-20261122.gz, app.log.2026-11-22_05, app.log.old, and app-20261122.log
_STAMP: Final = r"[-_.](?:\d[\dTZ:._-]*|old)"
# app.log.1 is younger than app.log.2, unless the program counts upwards (log4j2 does by default). Files with other
# names are ordered by the time of their last write.
_NUMBER: Final = re.compile(r"\.(\d{1,3})(?:\.gz)?")


class Source:
    """An open file, plain or .gz. It can be read even if it is renamed or deleted."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, or Refused if it is not a regular file."""
        self.path = path
        # Without O_NONBLOCK, opening a pipe that has no writer would block.
        self._file = FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
        found = os.fstat(self._file.fileno())
        if not stat.S_ISREG(found.st_mode):
            self._file.close()
            raise Refused(f"{path} is not a regular file")
        self.identity = (found.st_dev, found.st_ino)
        self.is_packed = path.suffix == ".gz"
        self._inflated = gzip.GzipFile(fileobj=self._file) if self.is_packed else None

    @property
    def size(self) -> int:
        """Bytes on disk, compressed ones for a .gz."""
        return os.fstat(self._file.fileno()).st_size

    @property
    def modified(self) -> int:
        """Time of the last write, in epoch nanoseconds."""
        return os.fstat(self._file.fileno()).st_mtime_ns

    def read(self, position: int, size: int) -> bytes:
        """The text at a position; it may be shorter than `size`. Raises Refused for a damaged .gz."""
        if not self._inflated:
            # One call may return less than there is; the next one returns the rest.
            return os.pread(self._file.fileno(), size, position)
        try:
            self._inflated.seek(position)
            return self._inflated.read(size) if self._inflated.tell() == position else b""
        except (OSError, EOFError, zlib.error) as error:
            raise Refused(f"{self.path} is damaged: {error}. Remove it to continue without it") from error

    def crc32(self, size: int, before: int = 0) -> int | None:
        """The CRC-32 of the first `size` bytes after text with the CRC-32 `before`; None if the file is shorter."""
        position = 0
        while position < size:
            block = self.read(position, min(_BLOCK, size - position))
            if not block:
                return None
            before = zlib.crc32(block, before)
            position += len(block)
        return before

    def close(self) -> None:
        if self._inflated:
            self._inflated.close()
        self._file.close()


@dataclass(frozen=True)
class First:
    """The first bytes of a file. They change only if it is truncated and written anew."""

    size: int = 0
    crc32: int = 0

    @classmethod
    def of(cls, source: Source, position: int) -> "First":
        """Of the bytes before a position."""
        size = min(position, _FIRST)
        return cls(size, source.crc32(size) or 0)

    def grown(self, position: int, piece: bytes) -> "First":
        """With a piece that was read at the position. The file itself may have changed since then."""
        new = piece[self.size - position : _FIRST - position] if self.size < _FIRST else b""
        return First(self.size + len(new), zlib.crc32(new, self.crc32))

    def begins(self, source: Source) -> bool:
        """Whether the file begins with these bytes."""
        return source.crc32(self.size) == self.crc32

    def is_of(self, source: Source, position: int) -> bool:
        """Whether the source still is the file that was read up to the position."""
        return source.is_packed or (source.size >= position and self.begins(source))


@dataclass(frozen=True)
class Entry:
    """A file as it was found in its directory."""

    path: Path
    identity: tuple[int, int]
    modified: int

    def open(self) -> Source | None:
        """None if the name belongs to another file by now. Raises OSError if it cannot be read."""
        try:
            source = Source(self.path)
        except FileNotFoundError:
            return None
        if source.identity == self.identity:
            return source
        source.close()
        return None


def chain(path: Path) -> list[Entry]:
    """The files that were rotated from a path, oldest first, and then the file at the path itself.

    Names are read one after the other, so a rotation meanwhile could hide a file. Therefore the list must be the same
    twice in a row; it is empty if it keeps changing.
    """
    path = real(path)
    found = _chain(path)
    for _ in range(_LOOKS):
        again = _chain(path)
        if [(each.path, each.identity) for each in again] == [(each.path, each.identity) for each in found]:
            return again
        found = again
    return []


def of_identity(path: Path, identity: tuple[int, int]) -> list[Entry]:
    """The files with that device and inode in the path's directory, whatever their names."""
    with suppress(OSError):
        entries = map(_entry, real(path).parent.iterdir())
        return [entry for entry in entries if entry and entry.identity == identity]
    return []


def real(path: Path) -> Path:
    """The path without symbolic links, because the file itself is rotated, in its own directory."""
    return Path(os.path.realpath(path))


def _chain(path: Path) -> list[Entry]:
    numbered: list[tuple[int, Entry]] = []
    others: list[Entry] = []
    for name, number in _rotated(path):
        entry = _entry(path.with_name(name))
        if entry and number is not None:
            numbered.append((number, entry))
        elif entry:
            others.append(entry)
    numbered.sort(key=lambda each: -each[0])
    ordered = [entry for _, entry in numbered]
    if _counts_upwards(ordered):
        ordered.reverse()
    if others:
        rank = {entry: index for index, entry in enumerate(ordered)}
        ordered = sorted(ordered + others, key=lambda each: (each.modified, rank.get(each, 0), each.path.name))
    own = _entry(path)
    return [*ordered, *([own] if own else [])]


def _counts_upwards(ordered: Sequence[Entry]) -> bool:
    """Whether most files are younger than the next one. Not all need be, because one may have been written late."""
    return sum((one.modified > two.modified) - (one.modified < two.modified) for one, two in pairwise(ordered)) > 0


def _rotated(path: Path) -> Iterator[tuple[str, int | None]]:
    """The names of rotated files in the directory, with the number that rotation gave them, if any."""
    stem, suffix = re.escape(path.stem), re.escape(path.suffix)
    pattern = re.compile(rf"(?:{stem}{suffix}{_STAMP}|{stem}{_STAMP}{suffix})(?:\.gz)?")
    try:
        names = set(os.listdir(path.parent))  # noqa: PTH208 - names are all that is needed
    except OSError:
        return
    for name in names:
        # While a file is being compressed, it exists twice.
        if name == path.name or (name.endswith(".gz") and name.removesuffix(".gz") in names):
            continue
        if pattern.fullmatch(name):
            number = _NUMBER.fullmatch(name.removeprefix(path.name)) if name.startswith(path.name) else None
            yield name, int(number[1]) if number else None


def _entry(path: Path) -> Entry | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return Entry(path, (found.st_dev, found.st_ino), found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
