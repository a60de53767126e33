"""Packing logs against the emulator: what readers get, what lies in the bucket, kills, races, and the clean-up."""

import gzip
import random
import time
import zlib
from functools import partial
from typing import Any

import pytest

from logkeep.apis.logs.worker import tend_logs
from logkeep.backups.lease_store import Leases
from logkeep.backups.runs import backup_runs
from logkeep.backups.store import backup_store
from logkeep.clock import DAY, now_ms
from logkeep.limits import INLINE_MAX
from logkeep.logid import LogId
from logkeep.logs.head import Head, Totals
from logkeep.logs.pack_store import packer
from logkeep.logs.packs import read_header
from logkeep.logs.store import LogStore, _note_project, log_store
from logkeep.logs.worker import pack_ordered_log
from tests.calls import CLUSTER, PROJECT
from tests.faults import STEP, Killed, at_once, killed_at
from tests.orders import ordered

pytestmark = pytest.mark.usefixtures("aws")
LOG = LogId.parse("check/s/main.log")
NOISE = random.Random(1)


@pytest.fixture
def store(aws) -> LogStore:
    _note_project.cache_clear()  # the table is new in each test
    return log_store(PROJECT)


def line(number: int, size: int = 60) -> bytes:
    return f"2026-01-01 10:00:00,{number % 1000:03d} [main] INFO step {number} ".encode().ljust(size, b".") + b"\n"


def write(store: LogStore, *texts: bytes) -> bytes:
    for text in texts:
        store.append(LOG, (text,).__iter__, None)
    return b"".join(texts)


def noise(size: int) -> bytes:
    return NOISE.randbytes(size // 2).hex().encode()


def pack(store: LogStore, seconds: float = 60) -> Head | None:
    return packer(PROJECT).pack(store.head(LOG), time.monotonic() + seconds)


def packer_of(log_id: LogId) -> None:
    assert packer(PROJECT).pack(log_store(PROJECT).head(log_id), time.monotonic() + 60)


def check(store: LogStore, expected: bytes, head: Head | None = None) -> None:
    """All ways to read a log, from a head read now or before, agree with the text and with the head's sums."""
    head = head or store.head(LOG)
    expected = expected[: head.end]
    rows = [*store.rows(head)]
    assert b"".join(store.texts(head)) == expected
    assert [row.fragment.offset for row in rows] == [0, *[row.fragment.end for row in rows]][: len(rows)]
    assert [*store.rows_back(head, head.end)] == rows[::-1]
    assert (head.end, head.crc32, head.lines) == (len(expected), zlib.crc32(expected), expected.count(b"\n"))
    packed = b"".join(store.bucket.read(each.extent for each in store.stretches(head)))
    assert (len(packed), zlib.crc32(packed)) == (head.packed, head.packed_crc32)
    assert len(rows) == head.fragments
    assert [row.fragment.line for row in rows] == [expected[: row.fragment.offset].count(b"\n") for row in rows]
    for start in (1, len(expected) // 2, len(expected) - 1):
        assert b"".join(store.texts(head, start)) == expected[start:]
        assert b"".join(store.texts(head, 0, start)) == expected[:start]


def test_a_packed_log_reads_as_before_and_its_pack_with_zcat(store, objects) -> None:
    text = write(store, *map(line, range(40)), noise(3 * INLINE_MAX) + b"\n", line(40, 3_000_000))
    before = store.head(LOG)
    after = pack(store)
    assert after
    assert (after.end, after.crc32, after.lines, after.levels) == (len(text), before.crc32, before.lines, before.levels)
    assert after.mark.raw == len(text)
    assert after.fragments < before.fragments
    check(store, text)
    check(store, text, before)  # what a reader had begun with stays
    (key,) = [key for key in objects.keys("logs/") if key.endswith(".pack.gz")]
    assert gzip.decompress(objects.read(key)) == text
    header = read_header(objects.read(key))
    assert header
    assert header[1]["log_id"] == str(LOG)
    more = write(store, line(41))
    check(store, text + more)


def test_a_log_is_packed_again_from_where_its_packs_end(store) -> None:
    text = b""
    for _ in range(3):
        text += write(store, *map(line, range(9)))
        pack(store)
        text += write(store, line(9))
        check(store, text)
    packs = [*store.packs(store.head(LOG))]
    assert len(packs) == 3
    assert packs[-1].end == store.head(LOG).mark.raw == len(text) - len(line(9))


def test_a_packer_killed_at_any_call_leaves_the_log_whole(store, objects) -> None:
    text, passing = write(store, noise(2 * INLINE_MAX), *map(line, range(9))), 0
    before = store.head(LOG)
    while True:
        try:
            with killed_at(passing, after=True):
                pack(store)
        except Killed:
            check(store, text)
            check(store, text, before)
            passing += STEP
        else:
            break
    assert passing > 2
    check(store, text)
    assert store.head(LOG).mark.raw == len(text)


def test_of_packers_at_once_one_is_read_and_appends_go_on_meanwhile(store) -> None:
    text = write(store, *map(line, range(30)))

    def work(number: int) -> Any:
        return pack(store) if number % 2 else write(store, line(number))

    done = at_once(*(partial(work, number) for number in range(8)))
    written = [each for each in done if isinstance(each, bytes)]
    head = store.head(LOG)
    read = b"".join(store.texts(head))
    assert read.startswith(text)
    assert sorted(read[len(text) :].splitlines(keepends=True)) == sorted(written)
    check(store, read)


def test_orders_come_at_so_many_fragments_at_sixteen_megabytes_and_with_a_seal(store) -> None:
    for number in range(9):
        write(store, line(number))
    assert ordered("PackLogs") == []
    store.seal(LOG, Totals())
    (order,) = ordered("PackLogs")
    assert order == {"project": PROJECT, "log_id": str(LOG), "birth": store.head(LOG).birth}
    pack_ordered_log(order, 900, "")
    assert store.head(LOG).mark.raw == store.head(LOG).end
    other = LogId.parse("check/s/large.log")
    for _ in range(3):
        store.append(other, (b"x" * (8 << 20),).__iter__, None)
    assert [each["log_id"] for each in ordered("PackLogs")] == [str(other)]


def test_what_packs_replaced_goes_a_day_later_and_nothing_else(store, objects) -> None:
    text = write(store, noise(2 * INLINE_MAX), *map(line, range(9)), noise(2 * INLINE_MAX))
    pack(store)
    text += write(store, noise(2 * INLINE_MAX), line(10))
    before, kept = objects.keys("logs/"), [*store.rows(store.head(LOG))]
    tend_logs(now_ms() + DAY - 60_000)
    assert objects.keys("logs/") == before
    tend_logs(now_ms() + DAY + 60_000)
    assert len(objects.keys("logs/")) == len(before) - 2
    check(store, text)
    assert [*store.rows(store.head(LOG))] == kept
    tend_logs(now_ms() + 3 * DAY)
    check(store, text)


def test_a_log_that_fell_silent_is_packed_once_after_a_day_with_some_text_and_after_thirty_with_any(store) -> None:
    now = now_ms() // DAY * DAY + DAY // 2
    few, enough, busy, old, next_week = (
        LogId.parse(f"app/{name}") for name in ("few", "enough", "busy", "old", "next-week")
    )
    for log_id, days, count in (
        (few, 2, 7), (enough, 2, 8), (busy, 2, 8), (busy, 1, 1), (old, 31, 1), (next_week, 25, 7)
    ):  # fmt: skip
        for number in range(count):
            store.append(log_id, (line(number),).__iter__, None, received_at=now - days * DAY)
    tend_logs(now)
    found = ordered("PackLogs")
    assert {each["log_id"] for each in found} == {str(enough), str(old)}
    for order in found:
        pack_ordered_log(order, 900, "")
    tend_logs(now)
    assert ordered("PackLogs") == [], "each is looked at once"
    assert store.head(enough).mark.raw == store.head(enough).end
    tend_logs(now + DAY)
    (order,) = ordered("PackLogs")
    assert order["log_id"] == str(busy)
    pack_ordered_log(order, 900, "")
    tend_logs(now + 8 * DAY)  # as after a time without the schedule
    assert {each["log_id"] for each in ordered("PackLogs")} == {str(next_week)}


def test_what_a_backup_that_runs_may_need_stays_until_it_has_ended(store, objects) -> None:
    log_id = LogId.parse(f"cluster/{CLUSTER}/node-1/instance")
    store.append(log_id, (noise(3 * INLINE_MAX),).__iter__, None)
    packer_of(log_id)
    backups = backup_store(PROJECT, CLUSTER)
    backups.enable()
    Leases(backups).start(backups.cluster(store).new_record("r", 1, "Manual"), now_ms())
    tend_logs(now_ms() + 2 * DAY)
    assert len(objects.keys("logs/")) == 2
    backup_runs(PROJECT, CLUSTER).resume(900)
    tend_logs(now_ms() + 2 * DAY)
    assert len(objects.keys("logs/")) == 1


def test_a_worker_without_time_packs_an_append_at_least_and_orders_the_rest(store) -> None:
    text = write(store, line(1), line(2), line(3))
    order = {"project": PROJECT, "log_id": str(LOG), "birth": store.head(LOG).birth}
    pack_ordered_log(order, 0, "")
    assert ordered("PackLogs") == [order]
    assert store.head(LOG).mark.raw == len(line(1))
    pack_ordered_log(order | {"birth": "000000000000"}, 900, "")  # of a log that was deleted
    pack_ordered_log(order | {"log_id": "app/none"}, 900, "")
    pack_ordered_log(order, 900, "")
    check(store, text)
    assert store.head(LOG).mark.raw == len(text)


def test_orders_that_fail_keep_no_clean_up_waiting_and_are_given_again(store, objects, monkeypatch) -> None:
    now = now_ms()
    for number in range(8):
        store.append(LogId.parse("app/silent"), (line(number),).__iter__, None, received_at=now)
    write(store, noise(3 * INLINE_MAX))
    pack(store)
    with monkeypatch.context() as patch:
        patch.setattr("logkeep.apis.logs.worker.order_packing", lambda _: 1 / 0)
        with pytest.raises(RuntimeError, match="1 times"):
            tend_logs(now + 2 * DAY)
    assert len(objects.keys("logs/")) == 1
    tend_logs(now + 2 * DAY)
    assert "app/silent" in {each["log_id"] for each in ordered("PackLogs")}
