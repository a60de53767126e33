"""Searching a log of 200 MB backwards: by a rare level, by a word, before a time."""

import time
from typing import Any, Final

from bench import PROJECT
from bench.measure import show
from bench.meter import Meter
from bench.texts import log_text
from logkeep.apis.css.search import READ_MAX, SearchRequest, search
from logkeep.logid import LogId
from logkeep.logs.reader import Row
from logkeep.logs.store import LogStore, log_store

LOG: Final = LogId.parse("cluster/bench/node-1/instance")
SIZE: Final = 20 << 20
TIMES: Final = 10
APPEND: Final = 4 << 20
ERRORS: Final = 5  # in the whole log
LIMIT: Final = 100


def searching(dynamodb: Any) -> None:
    store = log_store(PROJECT)
    size = _fill(store)
    head = store.head(LOG)
    past = time.strftime("%Y-%m-%dT%H:%M:%S,000", time.gmtime((head.first_time or 0) / 1000 + 600))
    rows = []
    for name, fields in (
        (f"the last {LIMIT} records", {}),
        (f"ERROR, {ERRORS} in the log", {"level": "ERROR"}),
        ("WARN, one record in twenty", {"level": "WARN"}),
        ("a word that does not occur", {"keyword": "nowhere"}),
        ("before a time ten minutes after the beginning", {"time_index": past}),
    ):
        request = SearchRequest.model_validate({"instance_name": "node-1", "log_type": "instance", **fields})
        counted = _Counted(store)
        started = time.perf_counter()
        with Meter(dynamodb).counting() as meter:
            answer = search(counted, head, request, lambda: False)
        seconds = time.perf_counter() - started
        found = f"{len(answer.logList)}{'' if answer.completed else ', more'}"
        rows.append((name, found, meter.per(1), meter.read_units, counted.raw / 1e6, seconds, meter.dollars * 1e6))
    show(
        f"Searching a log of {size / 1e6:,.0f} MB in {head.fragments} fragments; one search reads at most "
        f"{READ_MAX / 1e6:,.0f} MB",
        ("", "records", "requests", "read units", "MB read", "seconds", "$ per million"),
        rows,
    )


class _Counted:
    """A store that counts the raw bytes that are read from it."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self.raw = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def texts_of(self, rows: Any) -> Any:
        read: list[Row] = list(rows)
        self.raw += sum(row.fragment.raw for row in read)
        return self._store.texts_of(read)


def _fill(store: LogStore) -> int:
    text = log_text(SIZE).replace(b"ERROR", b"INFO ")
    first = text[:APPEND].replace(b"INFO ", b"ERROR", 1)
    bodies = [text[start : start + APPEND] for start in range(0, SIZE, APPEND)]
    for number in range(TIMES):
        for body in (first if number % (TIMES // ERRORS) else bodies[0], *bodies[1:]):
            store.append(LOG, lambda body=body: iter((body,)), None)  # type: ignore[misc]  # bound by its default
    return SIZE * TIMES
