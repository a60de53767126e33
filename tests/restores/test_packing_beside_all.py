"""A log that is packed while it is written, read, followed, searched, downloaded, backed up and restored, all at once.

Its packers are killed at random, its orders lost and doubled, and what a pack has replaced is removed at once, where in
life it stays for a day: harder for readers than it ever is. In the end everything holds it byte for byte.
"""

import gzip
import io
import itertools
import random
import threading
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import boto3
import pytest
from botocore.config import Config

from logkeep.apis.css.search import SearchRequest, search
from logkeep.apis.logs.worker import tend_logs
from logkeep.aws.objects import Bucket
from logkeep.backups.lease_store import Leases
from logkeep.backups.records import BackupRecord, Status
from logkeep.backups.runs import BackupRuns
from logkeep.backups.store import BackupStore
from logkeep.clock import DAY, Clock, now_ms
from logkeep.downloads.rendition import log_file, zip_file
from logkeep.errors import Busy, LogChanged
from logkeep.logid import LogId
from logkeep.logs.head import Totals
from logkeep.logs.pack_store import Packer
from logkeep.logs.store import LogStore, _note_project, log_store
from logkeep.reading.follow import Follower
from logkeep.restores.plan import RestoreRequest
from logkeep.settings import settings
from tests.calls import CLUSTER, PROJECT
from tests.examples import LONG
from tests.faults import Killed
from tests.memory import made
from tests.restores.test_store import restore

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("aws")]
LOG = LogId.parse(f"cluster/{CLUSTER}/node-1/instance")
APPENDS = 3000 if LONG else 30
CHANCE = random.Random(11)


def piece(number: int) -> bytes:
    """Lines of an append; some are large, so that they lie in objects, and some end within a line."""
    size = CHANCE.choice([1, 3, 40, 400] if number % 7 else [4000])
    lines = [
        f"2026-01-01 10:{number // 60 % 60:02d}:{number % 60:02d},{at % 1000:03d} [main] INFO {number} {at} "
        f"{CHANCE.getrandbits(64):x}\n".encode()
        for at in range(size)
    ]
    return b"".join(lines)[: -5 if number % 5 == 0 else None]


def back_up(store: BackupStore, runs: BackupRuns, id: str, created_at: int) -> BackupRecord:
    Leases(store).start(store.cluster(log_store(PROJECT)).new_record(id, created_at, "Manual"), now_ms())
    while runs.resume(900):
        pass
    return store.record(id)


class Mortal:
    """Clients of a worker's own that die at a random call, before or after it has reached AWS."""

    def __init__(self) -> None:
        config = Config(retries={"total_max_attempts": 5, "mode": "standard"})
        self._dynamodb: Any = boto3.client("dynamodb", config=config)
        self._s3: Any = boto3.client("s3", config=config)
        self.left = 0
        for client in (self._dynamodb, self._s3):
            client.meta.events.register_first("before-call.*.*", self._call)
            client.meta.events.register_first("after-call.*.*", self._call)

    def _call(self, **_: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def packer(self, chance: random.Random) -> Packer:
        self.left = chance.choice([*range(24), 1000])
        env = settings()
        return Packer(LogStore(self._dynamodb, Bucket(self._s3, env.bucket), env.logs_table, PROJECT))


def test_all_at_once_gives_every_byte_once(
    logs: LogStore, store: BackupStore, runs: BackupRuns, restoring, objects
) -> None:
    _note_project.cache_clear()  # the table is new in each test
    text, counts = bytearray(), Counter[str]()
    written = threading.Event()
    logs.append(LOG, (b"begun\n",).__iter__, 0)
    text += b"begun\n"

    def writing() -> None:
        for number in range(APPENDS):
            body = piece(number)
            text.extend(body)  # before it is stored, so that no reader is ahead
            logs.append(LOG, (body,).__iter__, len(text) - len(body))
        logs.seal(LOG, Totals.of_stored({"bytes": len(text), "crc32": zlib.crc32(text)}))

    def packing() -> None:
        mortal, chance = Mortal(), random.Random(12)
        while not written.is_set():
            try:
                packed = mortal.packer(chance).pack(logs.head(LOG), time.monotonic() + 60)
                counts["packed" if packed else "lost races"] += 1
            except Killed:
                counts["kills"] += 1
            except (Busy, LogChanged):
                counts["packer gave way"] += 1

    def doubled() -> None:
        while not written.is_set():
            with suppress(Busy, LogChanged):
                Packer(logs).pack(logs.head(LOG), time.monotonic() + 60)

    def tending() -> None:
        while not written.is_set():
            tend_logs(now_ms() + DAY + 60_000)
            counts["tended"] += 1

    def reading() -> None:
        while not written.is_set():
            head = logs.head(LOG)
            start = CHANCE.randrange(head.end)
            assert b"".join(logs.texts(head, start)) == text[start : head.end]
            counts["read"] += 1

    def following() -> bytes:
        clock = Clock(sleep=lambda _: time.sleep(0.05))
        follower = Follower(logs, logs.head(LOG), time.monotonic() + 3600, clock)
        return b"".join(follower.texts())

    def downloading() -> None:
        while not written.is_set():
            head = logs.head(LOG)
            with suppress(LogChanged):
                file = log_file(logs, [head], "a.gz", "x", gzip=True, as_file=True)
                assert gzip.decompress(b"".join(logs.bucket.read(made(file)[0]))) == text[: head.end]
                counts[".gz"] += 1
            with suppress(LogChanged):
                head = logs.head(LOG)
                archive = zip_file(logs, [head], ["a.log"], "a.zip")
                with zipfile.ZipFile(io.BytesIO(b"".join(logs.bucket.read(made(archive)[0])))) as opened:
                    assert opened.read("a.log") == text[: head.end]
                counts["ZIP"] += 1

    def searching() -> None:
        request = SearchRequest.model_validate({"instance_name": "i", "log_type": "instance", "keyword": "begun"})
        while not written.is_set():
            found = search(logs, logs.head(LOG), request, lambda: False)
            if found.completed:
                assert [each.content for each in found.logList] == ["begun"]
                counts["found"] += 1

    def backing_up() -> list[str]:
        ids = list[str]()
        for number in itertools.count():
            if written.is_set():
                return ids
            if back_up(store, runs, f"r{number:04d}", number + 1).status is Status.SUCCESS:
                ids.append(f"r{number:04d}")
        raise AssertionError

    actors: list[Callable[[], Any]] = [
        packing,
        doubled,
        tending,
        reading,
        downloading,
        searching,
        backing_up,
        following,
    ]
    with ThreadPoolExecutor(len(actors)) as pool:
        going = [pool.submit(actor) for actor in actors]
        try:
            writing()
        finally:
            written.set()
    *others, backups, followed = [each.result() for each in going]
    del others
    whole = bytes(text)
    assert followed == whole
    check_everything(logs, objects, whole)
    last = back_up(store, runs, "last", 10_000)
    assert last.status is Status.SUCCESS
    for number, id in enumerate([*backups[:: max(1, len(backups) // 3)], "last"]):
        report = restore(restoring, id, RestoreRequest(prefix=f"p{number}-"))
        assert report.state == "done", report
        copy = LogId.parse(f"cluster/p{number}-{CLUSTER}/node-1/instance")
        held = b"".join(logs.texts(logs.head(copy)))
        assert held == whole[: len(held)]
        assert held == whole or id != "last"
    print(f"\n{len(whole)} bytes in {APPENDS} appends; {len(backups)} backups; {dict(counts)}")
    assert counts["kills"] >= (200 if LONG else 5)
    assert min(counts[name] for name in ("packed", "tended", "read", ".gz", "ZIP", "found")) > 0
    assert len(backups) > 1


def check_everything(logs: LogStore, objects: Any, text: bytes) -> None:
    """When it is packed and tended once more, only packs are left, and they hold the log."""
    assert Packer(logs).pack(logs.head(LOG), time.monotonic() + 60)
    tend_logs(now_ms() + DAY + 60_000)
    head = logs.head(LOG)
    assert (head.mark.raw, head.end, head.crc32) == (len(text), len(text), zlib.crc32(text))
    assert b"".join(logs.texts(head)) == text
    keys = objects.keys(f"logs/{PROJECT}/{LOG}@")
    assert {pack.key for pack in logs.packs(head)} == set(keys), "nothing is left that nothing names"
    assert b"".join(gzip.decompress(objects.read(key)) for key in sorted(keys)) == text
