"""Clusters whose logs are known and grow, and what must be true of their backups however these came to be."""

import io
import json
import os
import random
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

from logkeep.aws import clients
from logkeep.backups.orders import JobOrder, RunOrder, order_backup, order_job
from logkeep.backups.records import BackupRecord, Status
from logkeep.backups.retention_store import LEFT_FOR, retention
from logkeep.backups.schedule import Period, run_id
from logkeep.backups.settings import SettingsChange
from logkeep.backups.store import backup_store
from logkeep.backups.worker import start_run
from logkeep.clock import DAY, now_ms
from logkeep.logid import LogId
from logkeep.logs.store import log_store
from tests.calls import PROJECT, call, event
from tests.conftest import Objects

_HOUR = DAY // 24
_LOGS = [f"node-{node}/{kind}" for node in (1, 2) for kind in ("instance", "searchSlow")]


class Cluster:
    """A cluster, its logs as their producer knows them, and the backups that were asked for."""

    def __init__(
        self, name: str, chance: random.Random, objects: Objects, *, full_every: int = 7, logs: int = 4
    ) -> None:
        self.name = name
        self.store = backup_store(PROJECT, name)
        now = now_ms()
        # Half a day from now: while a test runs, the schedule orders nothing that the test did not.
        period = Period.parse(f"{(now // _HOUR + 12) % 24:02d}:00 GMT+00:00")
        self.store.open(SettingsChange(auto_enable=True, period=period.text, full_every=full_every), now)
        self._last_due = period.last_until(now)
        self.texts: dict[str, bytearray] = {}
        self._logs = _LOGS[:logs]
        self._chance = chance
        self._objects = objects
        self._asked: dict[str, dict[str, int]] = {}  # by id of the record: how long the logs were before
        self._seen: dict[str, dict[str, int]] = {}  # by id of the record: how long the logs are in it and its bases
        self._dues = 0

    def grow(self) -> None:
        """Append to every log, to one of them more than goes into an item of the table."""
        for name, size in zip(self._logs, (40_000, 20, 300, 2_000), strict=False):
            self._append(name, size)

    def drip(self) -> None:
        """Append to one of the logs, or to one that is new."""
        fresh = f"node-{self._chance.randint(3, 9)}/instance"
        self._append(self._chance.choice([*self._logs, fresh]), self._chance.choice([20, 300, 2_000, 40_000]))

    def _append(self, name: str, size: int) -> None:
        text = self.texts.setdefault(f"cluster/{self.name}/{name}", bytearray())
        piece = f"2026-11-22 05:00:00 INFO {len(text)} {self._chance.randbytes(size).hex()}\n".encode()
        log_id = LogId.parse(f"cluster/{self.name}/{name}")
        log_store(PROJECT).append(log_id, lambda: iter((piece,)), len(text))
        text += piece

    def ends(self) -> dict[str, int]:
        return {log_id: len(text) for log_id, text in self.texts.items()}

    # Asking for backups

    def come_due(self, messages: int = 2) -> None:
        """Order the run of another day, as often as a schedule that fires so many times."""
        self._dues += 1
        due = self._last_due + self._dues * DAY
        self._asked[run_id(PROJECT, self.name, due)] = self.ends()
        start_run(PROJECT, self.name, due, now_ms())
        for _ in range(messages - 1):
            self.go_on()

    def come_due_again(self) -> None:
        """Order the run of a day that was ordered before, if there is one."""
        for due in self._chance.choices(range(1, self._dues + 1), k=min(1, self._dues)):
            start_run(PROJECT, self.name, self._last_due + due * DAY, now_ms())

    def collect(self) -> None:
        """Ask for a backup by hand."""
        path = f"/v1.0/{PROJECT}/clusters/{self.name}/logs/collect"
        before = {each.id for each in self.store.records()}
        places = {"project_id": PROJECT, "cluster_id": self.name}
        with mock.patch("logkeep.apis.css.http.BEGINS_AFTER", 0):  # crews stop when their queue stays empty
            answer = call("collect_logs", event("collect_logs", rawPath=path, pathParameters=places))
        assert answer.status == 200, answer
        (new,) = {each.id for each in self.store.records()} - before
        self._asked[new] = self.ends()

    def go_on(self) -> None:
        """Order what was started once more, as the schedule does."""
        order_backup(RunOrder(project=PROJECT, cluster=self.name))

    def expire(self) -> None:
        """Let the lease of whoever works on the backup run out."""
        if active := self.store.items.get("active"):
            self.store.items.try_update("active", {"lease_until": 0}, {"of": active["of"]})

    # Restoring

    def restore(self, prefix: str, messages: int = 2) -> str:
        """Ask for a restore of the newest backup to logs under a prefix; the record's id."""
        newest = self._newest()
        path = f"/v1.0/{PROJECT}/clusters/{self.name}/logs/records/{newest.id}/restore"
        places = {"project_id": PROJECT, "cluster_id": self.name, "record_id": newest.id}
        body = json.dumps({"prefix": prefix})
        answer = call("restore_backup", event("restore_backup", rawPath=path, pathParameters=places, body=body))
        assert answer.status == 202, answer
        for _ in range(messages - 1):  # the first was sent by the function
            order_job(JobOrder(project=PROJECT, cluster=self.name, kind="restore", record=newest.id))
        return newest.id

    def restore_state(self) -> str:
        return str((self._newest().restore or {})["state"])

    def check_restoring(self, prefix: str) -> int:
        """What there is of the restored logs is what they begin with; its bytes."""
        return sum(map(len, self._restored(prefix).values()))

    def check_restored(self, prefix: str) -> Counter[str]:
        """Every log of the newest backup is there byte for byte, and no other."""
        newest = self._newest()
        report = newest.restore or {}
        assert (report["state"], report["prefix"]) == ("done", prefix), report
        assert (report["done"], report["differs"], report["failures"]) == (report["logs"], [], []), report
        restored = self._restored(prefix)
        assert {log_id: len(text) for log_id, text in restored.items()} == self._seen[newest.id]
        return Counter({"restores": 1, "bytes restored": sum(map(len, restored.values()))})

    def _newest(self) -> BackupRecord:
        return max(self.store.records(), key=lambda each: each.finished_at or 0)

    def _restored(self, prefix: str) -> dict[str, bytes]:
        """The restored logs by the ids of their sources."""
        logs, found = log_store(PROJECT), {}
        for head in logs.heads(f"cluster/{prefix}{self.name}"):
            source = str(head.log_id).replace(f"cluster/{prefix}", "cluster/", 1)
            found[source] = b"".join(logs.texts(head))
            assert found[source] == self.texts[source][: len(found[source])], source
            assert (head.end, head.crc32) == (len(found[source]), zlib.crc32(found[source]))
        return found

    # What must be true

    def settled(self) -> bool:
        """Whether every backup that was asked for has ended."""
        records = list(self.store.records())
        return (
            {each.id for each in records} >= self._asked.keys()
            and all(each.status is not Status.RUNNING for each in records)
            and self.store.items.get("active") is None
        )

    def check(self) -> Counter[str]:
        """Look at the records that are new, and at what lies in the bucket; counts of what was found."""
        records = list(self.store.records())
        assert sorted(each.id for each in records) == sorted(self._asked), "one record for each that was asked for"
        assert self.store.items.get("active") is None
        succeeded = [each for each in records if each.status is Status.SUCCESS]
        there = set(self._objects.keys(f"backups/{PROJECT}/{self.name}/"))
        assert there >= {each.key for each in succeeded}
        # Its workers were killed behind the archive; the sweep removes it an hour later.
        failed = {each.id for each in records if each.status is Status.FAIL}
        left = {Path(key).stem for key in there - {each.key for each in succeeded}}
        assert left <= failed, ("an archive for each success, and another at most of a failure", left, records)
        counts: Counter[str] = Counter()
        for record in sorted(records, key=lambda each: each.finished_at or 0):
            if record.id in self._seen:
                continue
            counts[str(record.status)] += 1
            self._seen[record.id] = {}
            if record.status is Status.FAIL:
                assert record.failed_msg, record
                assert record.key is None, record
                counts[f"FAIL: {record.failed_msg.split(':')[0]}"] += 1
            else:
                counts["bytes compared"] += self._compare(record)
        return counts

    def check_swept(self) -> Counter[str]:
        """Behind a sweep, an hour later, there is an archive for each success and nothing else."""
        prefix = f"backups/{PROJECT}/{self.name}/"
        before = self._objects.keys(prefix)
        assert not retention(PROJECT, self.name).sweep(now_ms() + LEFT_FOR + 1000, 900)
        there = self._objects.keys(prefix)
        assert set(there) == {each.key for each in self.store.records() if each.status is Status.SUCCESS}
        begun = clients.s3().list_multipart_uploads(Bucket=os.environ["BUCKET"], Prefix=prefix).get("Uploads", [])
        assert begun == [], "no upload is left that nobody goes on with"
        return Counter({"archives swept": len(before) - len(there)})

    def state(self) -> dict[str, Any]:
        """All that a worker could change of the cluster's backups, but for uploads.

        The watch is not in it: who wrote a success moves it afterwards, which changes no backup.
        """
        prefixes = (f"backups/{PROJECT}/{self.name}/", f"cuts/{PROJECT}/{self.name}/")
        keys = [key for prefix in prefixes for key in self._objects.keys(prefix)]
        items = {name: self.store.items.get(name) for name in ("cluster", "active", "policy")}
        records = {each.id: each for each in self.store.records()}
        return {**items, **records, **{key: zlib.crc32(self._objects.read(key)) for key in keys}}

    def _compare(self, record: BackupRecord) -> int:
        """Compare an archive with the logs byte for byte; how many bytes of text that were."""
        entries = opened(self._objects, record)
        ends: dict[str, int] = {}
        compared = 0
        for row in json.loads(entries["manifest.json"])["logs"]:
            log_id, start, end = row["id"], row["from"], row["bytes"]
            assert start == (self._seen[record.base or ""][log_id] if start else 0), "it begins where its base ends"
            held = entries[row["entry"]] if row["entry"] else b""
            source = self.texts[log_id]
            assert held == source[start:end], f"{log_id} in {record.id}"
            assert row["crc32"] == f"{zlib.crc32(source[:end]):08x}"
            ends[log_id] = end
            compared += len(held)
        for log_id, end in self._asked[record.id].items():
            assert ends[log_id] >= end, "what was appended before is in it"
        self._seen[record.id] = ends
        return compared


def opened(objects: Objects, record: BackupRecord) -> dict[str, bytes]:
    """The entries of a record's archive, which is as the record says."""
    assert (record.failed_msg, record.lease_until, record.read_back) == (None, None, None)
    data = objects.read(str(record.key))
    assert (len(data), zlib.crc32(data)) == (record.size, record.crc32)
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    assert len(archive.namelist()) == (record.logs or 0) + 1
    return {name: archive.read(name) for name in archive.namelist()}
