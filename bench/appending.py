"""Appending to a log and reading it back, compared with one DynamoDB item per line."""

import itertools
from typing import Any, Final

from admin.counts import APPENDS as APPENDED
from bench import PROJECT, prices
from bench.measure import confirm, show, times
from bench.meter import Meter
from bench.texts import lines_of, log_text
from logkeep.aws.dynamo import encode
from logkeep.logid import LogId
from logkeep.logs.store import log_store

LINES: Final = (5, 50, 500, 5000, 30_000)
APPENDS: Final = 6


def appending(dynamodb: Any) -> None:
    text = log_text(24 << 20)
    store = log_store(PROJECT)
    appended, requests, read = [], [], []
    for number in LINES:
        log_id = LogId.parse(f"build/bench/{number}")
        bodies = list(itertools.islice(lines_of(text, number), APPENDS))
        store.append(log_id, lambda: iter((b"the first append makes the log\n",)), 0)
        with Meter(dynamodb).counting() as meter:
            for body in bodies:
                store.append(log_id, lambda body=body: iter((body,)), None)  # type: ignore[misc]  # bound by its default
        head = store.head(log_id)
        if counted := APPENDED.get(number):
            for name, measured, expected in (
                ("write units", meter.write_units / APPENDS, counted.write_units),
                ("read units", meter.read_units / APPENDS, counted.read_units),
                ("PutObject", meter.requests["PutObject"] / APPENDS, counted.puts),
            ):
                confirm(f"{number} lines, {name}", measured, expected)
            confirm(f"{number} lines, bytes", sum(map(len, bodies)) / APPENDS, counted.raw, within=0.02)
            confirm(f"{number} lines, packed", head.packed / APPENDS, counted.packed, within=0.1)
        with Meter(dynamodb).counting() as reading:
            size = sum(map(len, store.texts(head)))

        items = _item_sizes(log_id, bodies)
        gigabytes = size / prices.GB
        units = sum(map(prices.write_units, items))
        naive = units * prices.WRITE_UNIT
        appended.append(
            (
                f"{number:,} lines, {size // APPENDS / 1000:,.1f} kB",
                meter.write_units / APPENDS,
                meter.dollars / APPENDS * 1e6,
                meter.dollars / gigabytes,
                units / APPENDS,
                naive / gigabytes,
                times(naive / meter.dollars),
            )
        )
        batches = sum(-(-len(body.splitlines()) // prices.BATCH_WRITE) for body in bodies)
        requests.append((f"{number:,} lines", meter.per(APPENDS), f"{batches / APPENDS:,.0f} BatchWriteItem"))
        naive_read = prices.read_units(items)
        read.append(
            (
                f"{APPENDS} x {number:,} lines",
                reading.per(1),
                reading.read_units,
                reading.dollars / gigabytes,
                f"{-(-sum(items) // prices.QUERY_PAGE)} Query",
                naive_read,
                naive_read * prices.READ_UNIT / gigabytes,
            )
        )
    show(
        "One append: DynamoDB write units, and list price with S3",
        ("", "write units", "$ per million", "$ per GB", "item per line: units", "$ per GB", "its price"),
        appended,
    )
    show("One append: requests", ("", "Logkeep", "item per line"), requests)
    show(
        "Reading a whole log, before compaction",
        ("", "requests", "read units", "$ per GB", "item per line: requests", "read units", "$ per GB"),
        read,
    )


def _item_sizes(log_id: LogId, bodies: list[bytes]) -> list[int]:
    """The size in bytes of an item for each line."""
    key = {"pk": f"{PROJECT}/{log_id}"}
    return [
        prices.item_size(encode({**key, "sk": f"{number:012d}", "text": line}))
        for number, line in enumerate(line for body in bodies for line in body.splitlines())
    ]
