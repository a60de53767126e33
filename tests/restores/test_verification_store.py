"""Verification against the emulator: it finds every damage, names it, and goes on where it was."""

import random
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from logkeep.backups.archive import Archive
from logkeep.backups.jobs import NOBODY, STALLED_AFTER
from logkeep.backups.lease_store import Leases
from logkeep.backups.records import BackupRecord
from logkeep.backups.runs import backup_runs
from logkeep.backups.store import BackupStore, backup_store
from logkeep.clock import now_ms
from logkeep.errors import Busy, Conflict, TooLarge
from logkeep.logid import LogId
from logkeep.logs.fragment import inflated
from logkeep.logs.store import log_store
from logkeep.restores import verification
from logkeep.restores import verification_store as module
from logkeep.restores.verification import SAMPLES, Mode, Verification, sampled
from logkeep.restores.verification_store import Verifications, verifications
from tests.calls import CLUSTER, PROJECT
from tests.faults import SIDES, STEP, Killed, at_once, counted, killed_at

pytestmark = pytest.mark.usefixtures("aws")
NEVER = float("inf")


def append(name: str, text: bytes) -> None:
    log_store(PROJECT).append(LogId.parse(f"cluster/{CLUSTER}/{name}"), lambda: iter((text,)), None)


@pytest.fixture
def chain(store: BackupStore) -> list[BackupRecord]:
    """A full backup and an incremental one, the newest first."""
    chance = random.Random(3)
    for number, id in enumerate(("full", "more")):
        for name in ("node-1/instance", f"node-{number}/new"):
            text = chance.randbytes(3000).hex().encode()
            append(name, text)
        Leases(store).start(store.cluster(log_store(PROJECT)).new_record(id, 1000 + number, "Manual"), now_ms())
        backup_runs(PROJECT, CLUSTER).resume(900)
    return [store.record("more"), store.record("full")]


@pytest.fixture
def verifying(aws) -> Verifications:
    return verifications(PROJECT, CLUSTER)


def verify(verifying: Verifications, mode: Mode, deadline: float = NEVER) -> Verification:
    if mode != "full":
        return verifying.at_once("more", mode, now_ms(), deadline)
    begun, is_new = verifying.begin("more", now_ms())
    assert is_new
    while verifying.resume("more", begun.run, deadline):
        pass
    return noted()


def noted() -> Verification:
    return Verification.model_validate(backup_store(PROJECT, CLUSTER).record("more").verification)


def write(objects: Any, record: BackupRecord, data: bytes) -> None:
    objects.s3.put_object(Bucket=objects.bucket, Key=record.key, Body=data)


@pytest.mark.parametrize("mode", ["attributes", "sample", "full"])
def test_a_whole_chain_passes(mode, verifying, chain) -> None:
    found = verify(verifying, mode)
    assert (found.state, found.failures, found.mode) == ("passed", [], mode)
    assert found == noted()
    assert found.done == found.total
    assert found.finished_at
    if mode == "full":
        assert found.bytes == found.total == sum(each.size or 0 for each in chain)
    else:
        assert found.total == (2 if mode == "attributes" else 2 + 6)


@pytest.mark.parametrize("mode", ["attributes", "sample", "full"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_missing_archive_and_one_of_another_size_are_named(number, mode, verifying, chain, objects) -> None:
    data, record = objects.read(chain[number].key), chain[number]
    write(objects, record, data[:-1])
    found = verify(verifying, mode)
    assert (found.state, found.failures[0]) == (
        "failed",
        f"the archive of the backup {record.id} has {len(data) - 1} bytes, not {len(data)}",
    )
    objects.s3.delete_object(Bucket=objects.bucket, Key=record.key)
    found = verify(verifying, mode)
    assert (found.state, found.failures[0]) == ("failed", f"the archive of the backup {record.id} is missing")
    assert len(set(found.failures)) == len(found.failures), "each is told once, however many samples it spoils"


@pytest.mark.parametrize("mode", ["attributes", "sample"])
def test_a_missing_cut_is_named(mode, verifying, chain, objects) -> None:
    objects.s3.delete_object(Bucket=objects.bucket, Key=f"cuts/{PROJECT}/{CLUSTER}/full.json")
    assert "the cut of the backup full is missing" in verify(verifying, mode).failures[0]


@pytest.mark.parametrize("mode", ["attributes", "sample", "full"])
def test_a_missing_record_of_the_chain_is_named(mode, verifying, chain, store) -> None:
    store.items.dynamodb.delete_item(**store.items.key("id/full"))
    found = verify(verifying, mode)
    assert (found.state, found.failures) == ("failed", ["the backup full, which more continues, is gone"])


@pytest.mark.parametrize("mode", ["sample", "full"])
@pytest.mark.parametrize("name", ["manifest.json", "node-1/instance/0000000000000000-0000000000006000.log"])
def test_a_flipped_bit_is_found_and_its_file_named(name, mode, verifying, chain, objects) -> None:
    full = chain[1]
    flipped = bytearray(objects.read(full.key))
    (cut,) = verifying._archives.cuts([full])
    layout = Archive(cut).layout
    (index,) = [index for index, each in enumerate(layout.entries) if each.name == name]
    flipped[layout.content_start(index) + layout.entries[index].packed // 2] ^= 1
    write(objects, full, bytes(flipped))
    found = verify(verifying, mode)
    assert found.state == "failed"
    assert found.failures[-1] == f"{name} in the archive of the backup full is not what was backed up"
    assert len(found.failures) <= 2, "and that its checksum is another"


def test_a_damaged_directory_is_found_in_full(verifying, chain, objects) -> None:
    data = bytearray(objects.read(chain[0].key))
    data[-1] ^= 1
    write(objects, chain[0], bytes(data))
    assert verify(verifying, "full").failures[-1] == "the archive of the backup more does not have its CRC-32"


def test_where_the_bucket_tells_no_checksum_every_byte_is_read(verifying, chain, objects, monkeypatch) -> None:
    monkeypatch.setattr(verifying, "_attributes", lambda _: iter(()))
    data = bytearray(objects.read(chain[1].key))
    data[60] ^= 1
    write(objects, chain[1], bytes(data))
    found = verify(verifying, "full")
    assert found.failures == ["manifest.json in the archive of the backup full is not what was backed up"]
    assert found.done == found.total == found.bytes


def test_a_sample_is_bounded(verifying, store, monkeypatch) -> None:
    monkeypatch.setattr("logkeep.restores.verification.SAMPLE_MAX", 100)
    for number in range(40):
        text = random.Random(number).randbytes(500)
        append(f"node-{number}/x", text)
    Leases(store).start(store.cluster(log_store(PROJECT)).new_record("more", 1000, "Manual"), now_ms())
    backup_runs(PROJECT, CLUSTER).resume(900)
    with counted() as requests:
        found = verify(verifying, "sample")
    assert (found.state, found.total, found.done) == ("passed", 1 + 1 + SAMPLES, 18)
    assert found.bytes == 17 * 100
    assert requests["GetObject"] <= 1 + 17


def test_without_time_a_sample_is_smaller_and_attributes_are_not_skipped(verifying, chain, monkeypatch) -> None:
    now = [0.0]
    attributes = verifying._attributes

    def slow(record: BackupRecord) -> Any:
        now[0] += 7
        return attributes(record)

    def late(*args: Any) -> Any:
        found = sampled(*args)
        now[0] = 16
        return found

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(verifying, "_attributes", slow)
    monkeypatch.setattr(module, "sampled", late)
    found = verify(verifying, "sample", 15)
    assert (found.state, found.done, found.total) == ("passed", 2, 8)
    with pytest.raises(Busy, match="mode full"):
        verify(verifying, "sample", now[0] + 5)
    with pytest.raises(TooLarge, match="mode full"):
        verify(verifying, "attributes", now[0] + 13)


def test_of_a_file_that_is_packed_a_thousand_times_a_part_is_inflated(verifying, store, monkeypatch) -> None:
    append("node-1/zeros", bytes(2_500_000))
    Leases(store).start(store.cluster(log_store(PROJECT)).new_record("more", 1000, "Manual"), now_ms())
    backup_runs(PROJECT, CLUSTER).resume(900)
    sizes = []

    def noted_sizes(packed: Iterable[bytes]) -> Iterator[bytes]:
        for text in inflated(packed):
            sizes.append(len(text))
            yield text

    monkeypatch.setattr(verification, "inflated", noted_sizes)
    assert verify(verifying, "sample").state == "passed"
    assert sum(sizes) == 2_500_000
    sizes.clear()
    monkeypatch.setattr(verification, "SAMPLE_TEXT_MAX", 1000)
    assert verify(verifying, "sample").state == "passed"
    assert 1000 < sum(sizes) <= 1 << 20


# In full, in as many invocations as it takes


@pytest.mark.soak
@SIDES
def test_a_worker_killed_at_any_call_is_followed_by_one_that_goes_on(after, verifying, chain, monkeypatch) -> None:
    monkeypatch.setattr(module, "_STEP", 1000)
    monkeypatch.setattr("logkeep.restores.progress_store._NOTED_EVERY", -1.0)
    total = sum(each.size or 0 for each in chain)
    for number in range(0, 100, STEP):
        begun, _ = verifying.begin("more", now_ms())
        try:
            with killed_at(number, after=after):
                verifying.resume("more", begun.run, NEVER)
            break
        except Killed:
            assert not verifying.resume("more", begun.run, NEVER)
            assert (noted().state, noted().done, noted().bytes) == ("passed", total, total)
    assert number > 10


def test_what_was_read_is_not_read_again(verifying, chain, monkeypatch) -> None:
    monkeypatch.setattr(module, "_STEP", 1000)
    now, crc32, read = [0.0], verifying._bucket.crc32, []

    def slow(source: Any, before: int = 0) -> int:
        now[0] += 10
        read.append(source.size)
        return crc32(source, before)

    monkeypatch.setattr(verifying._bucket, "crc32", slow)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    begun, _ = verifying.begin("more", now_ms())
    calls = 1
    while verifying.resume("more", begun.run, now[0] + 15):
        calls += 1
    assert calls > 3
    assert sum(read) == noted().bytes == noted().total
    assert noted().state == "passed"
    with pytest.raises(Busy):
        verifying.resume("more", verifying.begin("more", now_ms())[0].run, now[0] - 1)


def test_two_workers_at_once_end_with_one_result(verifying, chain, monkeypatch) -> None:
    monkeypatch.setattr(module, "_STEP", 500)
    monkeypatch.setattr("logkeep.restores.progress_store._NOTED_EVERY", -1.0)
    begun, _ = verifying.begin("more", now_ms())
    assert at_once(*[lambda: verifying.resume("more", begun.run, NEVER)] * 3) == [False] * 3
    assert (noted().state, noted().done, noted().archive) == ("passed", noted().total, 2)


def test_one_that_stands_still_is_followed_by_another(verifying, chain) -> None:
    now = now_ms()
    first, _ = verifying.begin("more", now)
    assert verifying.begin("more", now) == (first, True), "nobody took it yet"
    with pytest.raises(Conflict, match="is running"):
        verifying.at_once("more", "sample", now, NEVER)
    later = now + STALLED_AFTER + 2
    assert first.seen_at(later).state == "running", "it waits for a worker, however long"
    first = first.model_copy(update={"updated_at": now + 1})  # a worker came
    assert verifying._archives.store.amend(
        verifying._archives.store.record("more"), {"verification": first.model_dump()}
    )
    assert (first.seen_at(later).state, first.seen_at(later).failures) == ("failed", [NOBODY])
    second, is_new = verifying.begin("more", later)
    assert is_new
    assert not verifying.resume("more", first.run, NEVER)
    assert noted() == second
