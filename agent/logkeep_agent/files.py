"""Files that are read by position, plain and compressed."""

import gzip
import importlib
import os
import re
import shutil
import stat
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO, Final, Protocol

from logkeep_agent import Refused
from logkeep_agent.state import Print

_BLOCK: Final = 1 << 20
FIRST: Final = 1024  # bytes by which a file is recognized, at its beginning and before the position
HOLE: Final = 512  # NUL bytes in a row; fewer are text, except at the beginning of a file
READABLE: Final = ("gz", "xz", "bz2", "lzma", "zst")
PACKED: Final = re.compile(rf"\.(?:{'|'.join(READABLE)}|lz4|lzo|br|Z|zip|7z)$")


_LIBRARIES: Final = {
    ".xz": ("lzma", "LZMAFile"),
    ".lzma": ("lzma", "LZMAFile"),
    ".bz2": ("bz2", "BZ2File"),
    ".zst": ("compression.zstd", "ZstdFile"),
}


class Unreadable(Exception):
    """The file is compressed in a way that cannot be read on this machine."""


class _Packed(Protocol):
    def seek(self, offset: int, /) -> int: ...

    def tell(self) -> int: ...

    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


class Source:
    """An open file, plain or compressed. It can be read even if it is renamed or deleted."""

    def __init__(self, path: Path, member: Path) -> None:
        """`member` is the name before rotation. Raises OSError, Refused for what is no regular file, or Unreadable."""
        self.member = member
        self.path = path  # the name that it was last found under
        # Without O_NONBLOCK, opening a pipe that has no writer would block.
        self._file = FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
        try:
            found = os.fstat(self._file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise Refused(f"{path} is not a regular file")
            self.identity = (found.st_dev, found.st_ino)
            self._inflated = _inflated(path, self._file)
        except BaseException:
            self._file.close()
            raise
        self.is_packed = self._inflated is not None

    @property
    def size(self) -> int:
        """Bytes on disk, compressed ones for a compressed file."""
        return os.fstat(self._file.fileno()).st_size

    @property
    def modified(self) -> int:
        """Time of the last write, in epoch nanoseconds."""
        return os.fstat(self._file.fileno()).st_mtime_ns

    @property
    def name(self) -> str:
        """The name that the file has now, if the system says it."""
        with suppress(OSError):
            return str(Path(f"/proc/self/fd/{self._file.fileno()}").readlink())
        return str(self.path)

    def read(self, position: int, size: int) -> bytes:
        """The text at a position; it may be shorter than `size`. Raises Refused for a damaged compressed file."""
        if not self._inflated:
            # One call may return less than there is; the next one returns the rest.
            return os.pread(self._file.fileno(), size, position)
        try:
            self._inflated.seek(position)
            return self._inflated.read(size) if self._inflated.tell() == position else b""
        except (OSError, EOFError, zlib.error, *_damage()) as error:  # type: ignore[misc] # they are exceptions
            raise Refused(f"{self.name} is damaged: {error}. Remove it to continue without it") from error

    def blocks(self, position: int = 0) -> Iterator[bytes]:
        while block := self.read(position, _BLOCK):
            yield block
            position += len(block)

    def crc32(self, size: int, before: int = 0, start: int = 0) -> int | None:
        """The CRC-32 of `size` bytes from `start` after text with the CRC-32 `before`; None if the file is shorter."""
        position, end = start, start + size
        while position < end:
            block = self.read(position, min(_BLOCK, end - position))
            if not block:
                return None
            before = zlib.crc32(block, before)
            position += len(block)
        return before

    def has(self, known: Print, start: int = 0) -> bool:
        """Whether these bytes lie at `start`."""
        return self.crc32(known.size, start=start) == known.crc32

    def first(self, position: int) -> Print:
        """The first of the bytes before a position."""
        size = min(position, FIRST)
        return Print(size, self.crc32(size) or 0)

    def next(self, position: int) -> Print:
        """The first of the bytes after a position."""
        text = self.read(position, FIRST)
        return Print(len(text), zlib.crc32(text))

    def last(self, position: int) -> Print:
        """The last of the bytes before a position."""
        size = min(position, FIRST)
        return Print(size, self.crc32(size, start=position - size) or 0)

    def after_nul(self, position: int) -> int:
        """The position of the first byte that is not NUL; the end of the file if there is none."""
        while True:
            with suppress(OSError, AttributeError):  # the file system does not say where holes are, or nothing follows
                if not self._inflated:
                    position = max(position, os.lseek(self._file.fileno(), position, os.SEEK_DATA))
            block = self.read(position, _BLOCK)
            text = block.lstrip(b"\0")
            position += len(block) - len(text)
            if text or not block:
                return position

    def close(self) -> None:
        if self._inflated:
            self._inflated.close()
        self._file.close()


@dataclass(frozen=True)
class Place:
    """A position in a file, and the bytes by which it is seen that the file is still the one that was read so far."""

    position: int = 0
    first: Print = Print()  # noqa: RUF009 - it is frozen
    tail: bytes = b""

    @classmethod
    def of(cls, source: Source, position: int) -> "Place":
        size = min(position, FIRST)
        return cls(position, source.first(position), source.read(position - size, size))

    def grown(self, piece: bytes) -> "Place":
        """With a piece that was read at the position. The file itself may have changed since then."""
        first = self.first
        if first.size < FIRST and self.position < FIRST:
            new = piece[first.size - self.position : FIRST - self.position]
            first = Print(first.size + len(new), zlib.crc32(new, first.crc32))
        return Place(self.position + len(piece), first, (self.tail + piece[-FIRST:])[-FIRST:])

    @property
    def last(self) -> Print:
        return Print(len(self.tail), zlib.crc32(self.tail))

    def is_in(self, source: Source) -> bool:
        """Whether the source still is the file that was read up to the position."""
        if source.is_packed:
            return True
        return source.size >= self.position and source.has(self.first) and self.ends(source)

    def ends(self, source: Source) -> bool:
        """Whether the bytes before the position are those that were read."""
        size = len(self.tail)
        return source.read(self.position - size, size) == self.tail


def hole_in(piece: bytes, at_start: bool) -> int | None:
    """Where the first run of NUL bytes begins that is no text; None if there is none. A run at the end may be one."""
    if at_start and piece.startswith(b"\0"):
        return 0
    found = piece.find(b"\0" * HOLE)
    return None if found < 0 else found


def _inflated(path: Path, file: FileIO) -> _Packed | None:
    """None if the file is plain. Raises Unreadable."""
    packed = PACKED.search(path.name)
    kind = packed[0] if packed else ""
    if not kind:
        return None
    if kind == ".gz":
        return gzip.GzipFile(fileobj=file)
    if library := _LIBRARIES.get(kind):
        with suppress(ImportError):  # not every Python has them: zstd came with 3.14
            opened: _Packed = getattr(importlib.import_module(library[0]), library[1])(file)
            return opened
        if kind != ".zst":
            raise Unreadable(f"this Python was built without {library[0]}")
        if program := shutil.which("zstd"):
            return _Program([program, "-dcq"], file)
        raise Unreadable("there is no program zstd on this machine")
    raise Unreadable(f"the agent does not read {kind} files")


def _damage() -> Iterator[type[Exception]]:
    """What the libraries that are there raise for a damaged file, beside OSError and EOFError."""
    for library, name in (("lzma", "LZMAError"), ("compression.zstd", "ZstdError")):
        if library in sys.modules:
            yield getattr(sys.modules[library], name)


class _Program:
    """What a program makes of a file. It is started again to go back."""

    def __init__(self, command: list[str], file: FileIO) -> None:
        self._command, self._file = command, file
        self._running: subprocess.Popen[bytes] | None = None
        self._position = 0

    def seek(self, offset: int) -> int:
        if offset < self._position or not self._running:
            self.close()
            os.lseek(self._file.fileno(), 0, os.SEEK_SET)
            self._running = subprocess.Popen(  # noqa: S603 - zstd, as found in PATH
                self._command, stdin=self._file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        while self._position < offset and self.read(min(_BLOCK, offset - self._position)):
            pass
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int) -> bytes:
        """Raises OSError if the program fails."""
        if not self._running or not self._running.stdout:
            return b""
        output: IO[bytes] = self._running.stdout
        text = output.read(size)
        self._position += len(text)
        if len(text) < size and self._running.wait():
            raise OSError(f"{Path(self._command[0]).name} cannot read it")
        return text

    def close(self) -> None:
        if self._running:
            self._running.kill()
            self._running.wait()
            if self._running.stdout:
                self._running.stdout.close()
        self._running, self._position = None, 0
