"""Packing logs of many fragments and of many bytes, in a process of its own whose memory is measured."""

import json
import os
import subprocess
import sys
import zlib
from dataclasses import replace
from itertools import batched
from typing import Any

import pytest

from logkeep.aws import clients
from logkeep.aws.dynamo import encode
from logkeep.logid import LogId
from logkeep.logs.fragment import Fragment
from logkeep.logs.head import Head
from logkeep.logs.items import head_item, row_item
from logkeep.logs.store import log_store
from logkeep.logs.sums import Sums
from tests.calls import PROJECT
from tests.examples import LONG

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("aws")]
LOG = LogId.parse("app/large")
MIB = 1 << 20
MEMORY_MAX = 200 * MIB
_PACK = """\
import json, time
from bench.memory import peak
from logkeep.logid import LogId
from logkeep.logs.pack_store import packer
from logkeep.logs.store import log_store
head = packer({project!r}).pack(log_store({project!r}).head(LogId.parse("app/large")), time.monotonic() + 3600)
print(json.dumps([head.mark.raw, peak()]))
"""


def fill(text: bytes, count: int) -> Head:
    """A log that was appended in `count` equal pieces, as its rows and its head."""
    head, ((each, data),) = Head.born(LOG).extended([text], 0)
    sums, rows = Sums(), []
    for _ in range(count):
        rows.append(replace(each, offset=sums.raw, line=sums.lines))
        sums += Sums.of(each)
        if len(rows) == 1000:
            put(head, rows, data)
            rows = []
    put(head, rows, data)
    head = replace(head, end=sums.raw, packed=sums.packed, crc32=sums.crc32, packed_crc32=sums.packed_crc32)
    head = replace(head, lines=sums.lines, fragments=sums.fragments)
    table = os.environ["LOGS_TABLE"]
    clients.dynamodb().put_item(TableName=table, Item=encode(head_item(PROJECT, head)))
    return head


def put(head: Head, rows: list[Fragment], data: bytes) -> None:
    table = os.environ["LOGS_TABLE"]
    for batch in batched(rows, 25, strict=False):
        items: Any = [
            {"PutRequest": {"Item": encode(row_item(PROJECT, head, each) | {"data": data})}} for each in batch
        ]
        answer = clients.dynamodb().batch_write_item(RequestItems={table: items})
        assert not answer["UnprocessedItems"]


@pytest.mark.parametrize(
    ("size", "count"),
    [(MIB, 20_480 if LONG else 320), (6_000, 10_000 if LONG else 1_500)],
    ids=["20 GB", "10,000 fragments"],
)
def test_a_large_log_is_packed_in_less_than_200_mb(size: int, count: int) -> None:
    line = b"2026-01-01 10:00:00,000 [main] INFO  Builder - a line of a large log that is always the same\n"
    text = line * (size // len(line))
    before = fill(text, count)
    program = _PACK.format(project=PROJECT)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - ourselves
    mark, used = json.loads(ran.stdout)
    store = log_store(PROJECT)
    head = store.head(LOG)
    assert (mark, head.mark.raw, head.crc32) == (before.end, before.end, before.crc32)
    packs = [*store.packs(head)]
    assert len(packs) == -(-before.end // (64 * MIB // len(text) * len(text)))
    sums = Sums.total(each.sums for each in packs)
    assert (sums.raw, sums.crc32, sums.lines) == (before.end, before.crc32, before.lines)
    for position in (0, before.end // 2, before.end - len(text)):
        found = b"".join(store.texts(head, position, position + len(line)))
        assert len(found) == len(line)
    end = b"".join(store.texts(head, before.end - len(text)))
    assert zlib.crc32(end) == zlib.crc32(text)
    print(f"\n{before.end:,} bytes in {count:,} fragments: {len(packs)} packs, {used / 1e6:.0f} MB")
    assert used < MEMORY_MAX
