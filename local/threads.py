"""Threads that run as long as a context lasts."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self


class Threads:
    """Starts its threads when the context is entered. When it is left, sets `ended` and waits for them."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def add(self, name: str, work: Callable[..., None], *arguments: Any) -> None:
        """A thread for work that returns soon after `ended` is set."""
        self._threads.append(threading.Thread(target=work, args=arguments, name=name))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.ended.set()
        for thread in self._threads:
            thread.join()
