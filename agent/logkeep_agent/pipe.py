"""Standard input as a file that grows: what is not sent yet is kept on disk."""

import os
import select
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

_BLOCK: Final = 1 << 16
_FILE_MAX: Final = 64_000_000  # bytes, after which a new file is begun, so that the one before can be removed
_LOOK: Final = 0.25  # seconds between two looks at whether to stop
_AFTER_STOP: Final = 10.0  # seconds that a program has to end its output after the agent was stopped


class Pump(threading.Thread):
    """Copies a pipe to a file until it ends, or some seconds after `stop`. Then it calls `at_end`."""

    def __init__(
        self,
        source: int,
        path: Path,
        report: Callable[[str], None],
        at_end: Callable[[], None],
        may_turn: Callable[[], bool] = lambda: True,
    ) -> None:
        """`may_turn`: whether another file may be begun now."""
        super().__init__(daemon=True)
        self._may_turn = may_turn
        self._source, self._path, self._report, self._at_end = source, path, report, at_end
        self._stopped = threading.Event()
        self._number = 0

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        try:
            self._copy()
        except OSError as error:
            # The program that writes gets a broken pipe, instead of text that is lost.
            self._report(f"LOST: standard input cannot be kept in {self._path}: {error.strerror}")
            os.close(self._source)
        self._at_end()

    def _copy(self) -> None:
        left = _AFTER_STOP
        file = self._path.open("ab", buffering=0)
        try:
            while left > 0:
                if not select.select([self._source], [], [], _LOOK)[0]:
                    left -= _LOOK if self._stopped.is_set() else 0
                    continue
                block = os.read(self._source, _BLOCK)
                if not block:
                    return
                rest = memoryview(block)
                while rest:
                    rest = rest[file.write(rest) :]
                if block.endswith(b"\n") and file.tell() >= _FILE_MAX and self._may_turn():
                    file.close()
                    self._number += 1
                    self._path.rename(self._path.with_name(f"{self._path.name}.{self._number:06d}"))
                    file = self._path.open("ab", buffering=0)
        finally:
            file.close()
