"""Files that are read by position, and what rotation leaves of them in their directory."""

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
_FIRST: Final = 1024  # bytes by which a file is known again
_LOOKS: Final = 10
# app.log.1, app.log-20261122.gz, app.log.2026-11-22_05, app.log.old, and app-20261122.log
_STAMP: Final = r"[-_.](?:\d[\dTZ:._-]*|old)"
# Of app.log.2 and app.log.1 the second is the younger, but where a program counts upwards (log4j2 does, unless told).
# Other names have no rule, and the time of the last write tells.
_NUMBER: Final = re.compile(r"\.(\d{1,3})(?:\.gz)?")


class Source:
    """An open file, of which the descriptor stays good whatever becomes of its name; plain, or .gz."""

    def __init__(self, path: Path) -> None:
        """Raise OSError, or Refused for what is no file."""
        self.path = path
        # A pipe without a writer would keep who opens it.
        self._file = FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
        found = os.fstat(self._file.fileno())
        if not stat.S_ISREG(found.st_mode):
            self._file.close()
            raise Refused(f"{path} is no regular file")
        self.identity = (found.st_dev, found.st_ino)
        self.is_packed = path.suffix == ".gz"
        self._inflated = gzip.GzipFile(fileobj=self._file) if self.is_packed else None

    @property
    def size(self) -> int:
        """Bytes as they lie on the disk."""
        return os.fstat(self._file.fileno()).st_size

    @property
    def modified(self) -> int:
        """Epoch nanoseconds."""
        return os.fstat(self._file.fileno()).st_mtime_ns

    def read(self, position: int, size: int) -> bytes:
        """The text there, fewer bytes only at its end."""
        if not self._inflated:
            # One call may give less than is there, and one byte less is a piece all the same.
            return os.pread(self._file.fileno(), size, position)
        try:
            self._inflated.seek(position)
            return self._inflated.read(size) if self._inflated.tell() == position else b""
        except (OSError, EOFError, zlib.error) as error:
            raise Refused(f"{self.path} is damaged: {error}. Remove it to go on without it") from error

    def crc32(self, size: int, before: int = 0) -> int | None:
        """Of the first bytes, behind text of that CRC-32; None if there are not so many."""
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
    """The first bytes of a file, which change only if it was truncated and written anew."""

    size: int = 0
    crc32: int = 0

    @classmethod
    def of(cls, source: Source, position: int) -> "First":
        """Of what lies before the position."""
        size = min(position, _FIRST)
        return cls(size, source.crc32(size) or 0)

    def grown(self, position: int, piece: bytes) -> "First":
        """With what was read at the position. Out of the file they could be another's already."""
        new = piece[self.size - position : _FIRST - position] if self.size < _FIRST else b""
        return First(self.size + len(new), zlib.crc32(new, self.crc32))

    def begins(self, source: Source) -> bool:
        return source.crc32(self.size) == self.crc32

    def is_of(self, source: Source, position: int) -> bool:
        """Whether the source still is what was read to the position."""
        return source.is_packed or (source.size >= position and self.begins(source))


@dataclass(frozen=True)
class Entry:
    """A file as it was found in the directory."""

    path: Path
    identity: tuple[int, int]
    modified: int

    def open(self) -> Source | None:
        """None if the name has become another file's meanwhile; raise OSError if it cannot be read."""
        try:
            source = Source(self.path)
        except FileNotFoundError:
            return None
        if source.identity == self.identity:
            return source
        source.close()
        return None


def chain(path: Path) -> list[Entry]:
    """What was rotated from a path, oldest first, and the path itself; empty while names change hands.

    Names are read one after the other, and a rotation meanwhile would hide a file: only what is found twice counts.
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
    """The files of the path's directory that have it, whatever their names."""
    with suppress(OSError):
        entries = map(_entry, real(path).parent.iterdir())
        return [entry for entry in entries if entry and entry.identity == identity]
    return []


def real(path: Path) -> Path:
    """Where a link leads now: what is rotated is the file, in its own directory."""
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
    """Whether most of the files are younger than the one behind them; one may have been written late."""
    return sum((one.modified > two.modified) - (one.modified < two.modified) for one, two in pairwise(ordered)) > 0


def _rotated(path: Path) -> Iterator[tuple[str, int | None]]:
    """Names of the directory, with the number that rotation gave them."""
    stem, suffix = re.escape(path.stem), re.escape(path.suffix)
    pattern = re.compile(rf"(?:{stem}{suffix}{_STAMP}|{stem}{_STAMP}{suffix})(?:\.gz)?")
    try:
        names = set(os.listdir(path.parent))  # noqa: PTH208 - names are all that is needed
    except OSError:
        return
    for name in names:
        # While it is compressed, a file is there twice.
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
