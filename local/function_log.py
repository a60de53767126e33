"""functions.log in the data directory: what the functions print. It stands for their log group on AWS."""

import json
import sys
import threading
from pathlib import Path
from typing import BinaryIO, Final

NAME: Final = "functions.log"
SIZE_MAX: Final = 16 << 20  # bytes, after which a new file begins; one old file is kept
_QUIET: Final = {"DEBUG", "INFO"}


class FunctionLog:
    """Writes the lines of all sandboxes to the file. Warnings and errors also go to the terminal."""

    def __init__(self, directory: Path, size_max: int = SIZE_MAX) -> None:
        self._path, self._old = files(directory)
        self._size_max = size_max
        self._lock = threading.Lock()

    def take(self, lines: BinaryIO) -> None:
        """Write the lines of a sandbox until there are no more."""
        for line in lines:
            with self._lock:
                self._write(line)
            if not _is_quiet(line):
                sys.stdout.write(line.decode(errors="replace"))
                sys.stdout.flush()

    def _write(self, line: bytes) -> None:
        if self._path.exists() and self._path.stat().st_size + len(line) > self._size_max:
            self._path.replace(self._old)
        with self._path.open("ab") as file:
            file.write(line)


def files(directory: Path) -> tuple[Path, Path]:
    """The paths of the current and the old file. Either may not exist."""
    return directory / NAME, directory / f"{NAME}.1"


def _is_quiet(line: bytes) -> bool:
    try:
        return json.loads(line).get("level") in _QUIET
    except (ValueError, AttributeError):
        return False
