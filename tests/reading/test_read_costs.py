"""What reading a part of a log costs: requests to table and bucket, at 1 MB and at 20 GB."""

import os
from collections import Counter
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from logkeep.aws import clients
from logkeep.aws.dynamo import encode
from logkeep.logid import LogId
from logkeep.logs.fragment import GZIP_HEADER, Fragment
from logkeep.logs.head import Head
from logkeep.logs.items import TABLE, head_item, objects_prefix
from logkeep.logs.packs import Pack, pack_item, table_of
from logkeep.logs.sums import Sums
from logkeep.settings import settings
from tests.calls import PROJECT, Answer, append, call, log_request
from tests.conftest import marked
from tests.faults import counted
from tests.rewinding import Rewinding

SMALL, LARGE = "app/cost/small", "app/cost/large"
FRAGMENTS = 64  # of a pack
SECOND = 1000
BASE = 1_785_225_600_000
LINES = 9_000  # of a fragment
LINE = b"2026-07-28T08:00:00Z INFO a line of a log that says little, and is followed by others like it 0123456789\n"
BAD = b"2026-07-28T08:00:00Z ERROR and this is the only one of its fragment, as long as the ones that are around it\n"


def text_of(*, is_bad: bool) -> bytes:
    return LINE * (LINES - 1) + (BAD if is_bad else LINE)


def ask(log: str, **query: Any) -> tuple[Answer, Counter[str]]:
    """An answer, and the requests that it took beside those for the caller's proof and limit."""
    with counted() as requests:
        answer = call("read_log", log_request("read_log", log, urlencode(query)))
    assert answer.status == 200, answer.body
    requests.subtract(["GetItem", "UpdateItem"])
    assert requests["UpdateItem"] <= 1
    return answer, Counter({name: number for name, number in requests.items() if name != "UpdateItem"})


def write_large(packs: int) -> Head:
    """A log of packs of FRAGMENTS fragments, without writing all its text: all packs name one of two objects.

    Each has times of its own. In fewer than one of 300 fragments there is an error.
    """
    log, table = LogId.parse(LARGE), os.environ["LOGS_TABLE"]
    head, made = Head.born(log), {}
    for is_bad in (False, True):
        _, ((each, data),) = head.extended([text_of(is_bad=is_bad)], BASE)
        made[is_bad] = (each, data)
    bodies = {is_bad: [made[is_bad and not number] for number in range(FRAGMENTS)] for is_bad in (False, True)}
    before = Sums()
    head = replace(head, time_zone="UTC")
    batch: list[dict[str, Any]] = []
    sums_of = {is_bad: Sums.total(Sums.of(each) for each, _ in body) for is_bad, body in bodies.items()}
    for is_bad, body in bodies.items():
        key = objects_prefix(PROJECT, head) + f"{is_bad}.pack.gz"
        clients.s3().put_object(
            Bucket=settings().bucket, Key=key, Body=GZIP_HEADER + b"".join(data for _, data in body)
        )
    for number in range(packs):
        is_bad = number % 8 == 0
        time = BASE + number * 60 * SECOND
        dated = [_dated(each, time) for each, _ in bodies[is_bad]]
        key = objects_prefix(PROJECT, head) + f"{is_bad}.pack.gz"
        pack = Pack(key, len(GZIP_HEADER), before, sums_of[is_bad])
        batch += [
            pack_item(PROJECT, head, pack),
            pack_item(PROJECT, head, pack, TABLE) | {"table": table_of(dated)},
        ]
        before += sums_of[is_bad]
        if len(batch) > 20 or number == packs - 1:
            requests: Any = {table: [{"PutRequest": {"Item": encode(item)}} for item in batch]}
            assert not clients.dynamodb().batch_write_item(RequestItems=requests)["UnprocessedItems"]
            batch = []
    head = replace(
        head, end=before.raw, packed=before.packed, crc32=before.crc32, packed_crc32=before.packed_crc32,
        lines=before.lines, fragments=before.fragments, mark=before, least_time=BASE, first_time=BASE,
        greatest_time=BASE + (packs - 1) * 60 * SECOND, last_time=BASE + (packs - 1) * 60 * SECOND,
    )  # fmt: skip
    clients.dynamodb().put_item(TableName=table, Item=encode(head_item(PROJECT, head)))
    return head


def _dated(each: Fragment, time: int) -> Fragment:
    return replace(each, first_time=time, last_time=time, least_time=time, greatest_time=time, newest_time=time)


@pytest.fixture(scope="module")
def written(emulator: Rewinding, environment: dict[str, str]) -> dict[str, int]:
    """The logs, with the number of their lines."""
    with marked("read costs", emulator, environment):
        append(SMALL, text_of(is_bad=True))
        return {SMALL: LINES, LARGE: write_large(312).lines}


@pytest.fixture
def sizes(aws: None, emulator: Rewinding, written: dict[str, int]) -> dict[str, int]:
    emulator.rewind("read costs")
    return written


def test_a_part_of_a_log_costs_few_requests_at_any_size(sizes: dict[str, int]) -> None:
    for log, lines in sizes.items():
        answer, requests = ask(log, tail=100)
        assert answer.body.count(b"\n") == 100
        assert requests.total() <= 3, (log, requests)
        first = 1_000_000 if lines > 1_000_000 else 1_000
        answer, requests = ask(log, lines=f"{first}-{first + 100}")
        assert answer.body.count(b"\n") == 101
        assert requests.total() <= 7, (log, requests)
        assert int(answer.headers["Logkeep-Scanned-Bytes"]) <= 2 << 20


def test_what_is_read_of_a_large_log_is_what_may_match(sizes: dict[str, int]) -> None:
    head_bytes = sizes[LARGE] * len(LINE)
    # By level: one fragment of 512, of which the tables of all packs tell.
    answer, requests = ask(LARGE, level="ERROR")
    errors = answer.body.count(b"\n")
    assert answer.body == BAD * errors
    assert errors == 39
    assert answer.headers["Logkeep-Complete"] == "true"
    assert int(answer.headers["Logkeep-Scanned-Bytes"]) <= head_bytes / 300
    # How many there are: no text.
    answer, requests = ask(LARGE, level="ERROR", count="true")
    assert answer.body == b"%d\n" % errors
    assert (answer.headers["Logkeep-Scanned-Bytes"], requests["GetObject"]) == ("0", 0)
    # Between two times: whole fragments are counted. Those at the ends are read: a record without a time, at the
    # beginning of one, has the time of the one before.
    since, until = BASE + 100 * 60 * SECOND, BASE + 101 * 60 * SECOND
    answer, requests = ask(LARGE, since=since, until=until, count="true")
    assert int(answer.body) == (FRAGMENTS - 1) * LINES
    assert int(answer.headers["Logkeep-Scanned-Bytes"]) <= 2 * len(text_of(is_bad=True))
    # The last minutes: found without reading the tables of all packs.
    since = BASE + 311 * 60 * SECOND
    answer, requests = ask(LARGE, since=since, count="true")
    assert int(answer.body) == (FRAGMENTS - 1) * LINES
    assert requests.total() <= 7, requests
