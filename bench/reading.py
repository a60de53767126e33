"""Looking for a word and for an expression in a log, beside inflating it and beside zgrep and grep of the same text."""

import gzip
import resource
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.measure import ROUNDS, show
from bench.texts import log_text
from logkeep.logs.fragment import inflate
from logkeep.logs.head import Head
from logkeep.logs.reader import Row
from logkeep.reading.answers import Texts
from logkeep.reading.query import Query
from logkeep.reading.select import Selection
from tests.memory import MemoryLogs

SIZE: Final = 64_000_000
_LOG: Final = "app/bench/log"
_QUERIES: Final = {
    "a word": {"grep": "OutOfMemory", "fixed": "true"},
    "RE2": {"grep": "took [0-9]{5,} ms"},
    "RE2, three words": {"grep": "OutOfMemory|refused|denied"},
    "ERROR and worse": {"level": "error"},
}


def reading() -> None:
    text = log_text(8_000_000) * (SIZE // 8_000_000)
    logs = MemoryLogs()
    head = logs.append(_LOG, text)
    rows = list(logs.rows(head))
    with tempfile.TemporaryDirectory() as folder:
        path, packed = Path(folder, "log"), Path(folder, "log.gz")
        path.write_bytes(text)
        packed.write_bytes(gzip.compress(text, 6))
        taken = {"inflate alone": _cpu(lambda: _inflated(rows))}
        for name, query in _QUERIES.items():
            taken[name] = _cpu(lambda query=query: _found(logs, head, query))  # type: ignore[misc]  # bound to this query
        taken["zgrep -F, a word"] = _cpu(lambda: _ran("zgrep", "-c", "-F", "OutOfMemory", str(packed)))
        taken["zgrep -E"] = _cpu(lambda: _ran("zgrep", "-c", "-E", "took [0-9]{5,} ms", str(packed)))
        taken["grep -F, a word"] = _cpu(lambda: _ran("grep", "-c", "-F", "OutOfMemory", str(path)))
        taken["grep -E"] = _cpu(lambda: _ran("grep", "-c", "-E", "took [0-9]{5,} ms", str(path)))
    alone = taken["inflate alone"]
    show(
        f"Reading {SIZE / 1e6:.0f} MB of a build's log (CPU time with children, least of {ROUNDS} rounds)",
        ("", "CPU s per GB", "to inflating"),
        [(name, seconds * 1e9 / len(text), seconds / alone) for name, seconds in taken.items()],
    )


def _inflated(rows: list[Row]) -> None:
    for row in rows:
        if isinstance(row.extent, bytes):
            inflate(row.extent, row.fragment)


def _found(logs: MemoryLogs, head: Head, query: dict[str, str]) -> None:
    parsed = Query.model_validate(query)
    for _ in Texts(Selection(logs, head, parsed, lambda: False), parsed, SIZE):
        pass


def _ran(*command: str) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - our own command


def _cpu(work: Callable[[], None]) -> float:
    taken = []
    for _ in range(ROUNDS):
        before = _used()
        work()
        taken.append(_used() - before)
    return min(taken)


def _used() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in both)


if __name__ == "__main__":
    reading()
