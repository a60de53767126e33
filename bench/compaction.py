"""A day of a service's log in small appends: what it costs to take in, to pack and to clean up, at rest and to read."""

import logging
import time
from typing import Any, Final

from isal import isal_zlib

from admin.counts import CLEANED, PACKED
from admin.estimate import Use, estimate
from bench import PROJECT, prices
from bench.measure import confirm, show
from bench.meter import Meter
from bench.texts import log_text
from local.template import Template
from logkeep.clock import DAY, now_ms
from logkeep.logid import LogId
from logkeep.logs.calendar import CleanUp
from logkeep.logs.fragment import COMPRESSION_LEVEL
from logkeep.logs.pack_store import packer
from logkeep.logs.packs import is_due
from logkeep.logs.store import log_store
from logkeep.logs.tending_store import tending

SERVICES: Final = 20
GB: Final = 10.0  # a month
SECONDS: Final = (30, 60)
DAYS: Final = 30.4


def compaction(dynamodb: Any) -> None:
    logging.getLogger("logkeep.logs.store").setLevel(logging.ERROR)  # nobody takes orders here; see _pack
    rows = []
    for seconds in SECONDS:
        number = 86_400 // seconds
        size = round(GB * 1e9 / DAYS / SERVICES / number)
        rows += _day(dynamodb, seconds, number, size)
    show(
        f"{SERVICES} services, {GB:g} GB a month: list prices in dollars a month",
        ("appends", "take in", "pack", "clean up", "together", "at rest"),
        rows,
    )


def _day(dynamodb: Any, seconds: int, number: int, size: int) -> list[tuple[object, ...]]:
    text = log_text(size * number)
    store, log_id = log_store(PROJECT), LogId.parse(f"build/bench/every-{seconds}-seconds")
    meters = {name: Meter(dynamodb) for name in ("append", "pack", "clean up", "read")}
    before = None
    for index in range(number):
        body = text[index * size : (index + 1) * size]
        with meters["append"].counting():
            head, _ = store.append(log_id, (body,).__iter__, index * size)
        if is_due(before, head):
            _pack(meters["pack"], log_id)
            head = store.head(log_id)
        before = head
    _pack(meters["pack"], log_id)  # as after a day of silence
    with meters["clean up"].counting():
        for each in tending(PROJECT).due(now_ms() + DAY + 1):
            if isinstance(each, CleanUp):
                tending(PROJECT).clean(each)
    with meters["read"].counting():
        if b"".join(store.texts(store.head(log_id))) != text:
            raise AssertionError("the log is not what was appended")
    head = store.head(log_id)
    packs = [*store.packs(head)]
    at_once = len(isal_zlib.compress(text, COMPRESSION_LEVEL))
    show(
        f"A day of one service: {number:,} appends of {size:,} bytes every {seconds} s",
        ("", "requests", "write units", "read units"),
        [(name, meter.per(1), meter.write_units, meter.read_units) for name, meter in meters.items()],
    )
    print(
        f"  at rest: {len(packs)} packs, {head.fragments} fragments, {head.packed:,} bytes "
        f"({head.packed / at_once:.3f} of isal over the whole)"
    )
    if seconds == SECONDS[0]:
        confirm("write units of packing an append", meters["pack"].write_units / number, PACKED, within=0.1)
        confirm("write units of cleaning up an append", meters["clean up"].write_units / number, CLEANED, within=0.1)
    lines = estimate(Use(gb=GB, append=size), Template.load())
    storage = sum(lines[name] for name in ("storage: S3", "storage: tables"))
    counted = sum(lines[name] for name in ("DynamoDB: packing", "DynamoDB writes", "DynamoDB reads", "S3 requests"))
    month = SERVICES * DAYS
    taken = sum(lines.values()) - lines["idle"] - storage - counted + meters["append"].dollars * month
    pack, clean = (meters[name].dollars * month for name in ("pack", "clean up"))
    rest = head.packed * month / prices.GB * prices.S3_GB_MONTH
    return [(f"every {seconds} s", taken, pack, clean, taken + pack + clean, rest)]


def _pack(meter: Meter, log_id: LogId) -> None:
    with meter.counting():
        packer(PROJECT).pack(log_store(PROJECT).head(log_id), time.monotonic() + 600)
