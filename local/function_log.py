"""What functions print: functions.log in the data directory, which stands for the log group that they have on AWS."""

import json
import sys
import threading
from pathlib import Path
from typing import BinaryIO, Final

NAME: Final = "functions.log"
SIZE_MAX: Final = 16 << 20  # bytes, after which a new file is begun; one old is kept
_QUIET: Final = {"DEBUG", "INFO"}


class FunctionLog:
    """Takes lines of all sandboxes; what is a warning or worse is shown on the terminal as well."""

    def __init__(self, directory: Path, size_max: int = SIZE_MAX) -> None:
        self._path, self._old = files(directory)
        self._size_max = size_max
        self._lock = threading.Lock()

    def take(self, lines: BinaryIO) -> None:
        """Take lines until there are no more."""
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
    """The present file and the old one, either of which may not be there."""
    return directory / NAME, directory / f"{NAME}.1"


def _is_quiet(line: bytes) -> bool:
    try:
        return json.loads(line).get("level") in _QUIET
    except (ValueError, AttributeError):
        return False
