"""The machine's time, and what is done while it passes."""

import threading
import time
from collections.abc import Callable
from queue import Empty, Queue
from typing import Final

from logkeep_agent.service import Certificate

TICK: Final = 0.25  # seconds between two looks at the files


class Clock:
    """The machine's time."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> int:
        """Epoch nanoseconds, like the times of files."""
        return time.time_ns()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def during(self, call: Callable[[], Certificate], meanwhile: Callable[[], None]) -> Certificate:
        """What a call returns or raises. While it takes its time, `meanwhile` is called at every tick."""
        done: Queue[Certificate | BaseException] = Queue()

        def run() -> None:
            try:
                done.put(call())
            except BaseException as error:
                done.put(error)

        # A daemon does not keep the process from ending while an answer does not come.
        threading.Thread(target=run, daemon=True).start()
        while True:
            try:
                result = done.get(timeout=TICK)
            except Empty:
                meanwhile()
                continue
            if isinstance(result, BaseException):
                raise result
            return result
