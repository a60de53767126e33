"""Backing up a cluster, compared with downloading and zipping its logs; and restoring it.

Each case runs in a process of its own, `python -m bench.backing_up CASE`.
"""

import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import boto3

from admin.counts import BACKUP_REQUESTS_GB
from bench import PROJECT, prices
from bench.measure import confirm, show, times
from bench.memory import peak
from bench.meter import Meter
from bench.texts import log_text
from logkeep.aws import clients
from logkeep.backups.lease_store import Leases
from logkeep.backups.records import Status
from logkeep.backups.runs import backup_runs
from logkeep.backups.store import backup_store
from logkeep.clock import now_ms
from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.logs.store import LogStore, log_store
from logkeep.restores.plan import RestoreRequest
from logkeep.restores.store import restores
from logkeep.settings import settings

SMALL_LOGS: Final = 10_000
FEW_LOGS: Final = 1_000  # small logs of the cluster that is restored
SMALL_SIZE: Final = 3_000
LARGE_LOGS: Final = 4
LARGE_SIZE: Final = 500_000_000
APPEND: Final = 8 << 20
PART: Final = 16 << 20
SMALL: Final = "small"
FEW: Final = "few"
LARGE: Final = "large"
_FOREVER: Final = 1e6  # seconds
_LARGE_NAME: Final = f"{LARGE_LOGS} logs of {LARGE_SIZE // 10**6} MB"
_WRITES: Final = ("PutObject", "UploadPart", "UploadPartCopy")

type Made = tuple[int, int, int]  # bytes of the file that a case makes, of its text, and of disk used


def backing_up() -> None:
    store = log_store(PROJECT)
    started = time.monotonic()
    _append_small(store, SMALL, SMALL_LOGS)
    _append_small(store, FEW, FEW_LOGS)
    _append_large(store)
    prepared = time.monotonic() - started
    base = _measured("nothing")["peak"]
    rows: list[tuple[object, ...]] = []
    costs: list[tuple[object, ...]] = []

    def run(name: str, case: str) -> float:
        """Run a case and add its rows. Returns its speed in bytes of text per second."""
        measured = _measured(case)
        speed: float = measured["text"] / measured["seconds"]
        memory, disk = (measured["peak"] - base) / 1e6, measured["disk"] / 1e6
        cpu = measured["cpu"] / (measured["text"] / prices.GB)
        rows.append((name, measured["text"] / 1e6, measured["size"] / 1e6, speed / 1e6, cpu, memory, disk))
        costs.append(_cost(name, measured))
        if case == f"backup {LARGE}":
            sent = sum(measured["requests"].get(each, 0) for each in prices.S3_CALLS)
            confirm("requests of S3 for a GB", sent / (measured["text"] / prices.GB), BACKUP_REQUESTS_GB, within=0.1)
        return speed

    for name, cluster in ((_small(SMALL_LOGS), SMALL), (_LARGE_NAME, LARGE)):
        ratio = run(f"{name}: backup", f"backup {cluster}") / run(f"{name}: download and zip", f"zip {cluster}")
        rows.append((f"{name}: speed of the backup by comparison", "", "", times(ratio), "", "", ""))
    _measured(f"backup {FEW}")
    for name, cluster in ((_small(FEW_LOGS), FEW), (_LARGE_NAME, LARGE)):
        run(f"{name}: restore", f"restore {cluster}")
    show(
        f"Backing up a cluster, with verification; downloading every log and zipping it with zipfile -6, without; "
        f"restoring (appending the logs took {prepared:.0f} s)",
        ("", "MB of text", "MB of archive", "MB/s of text", "CPU s per GB", "MB of memory", "MB of disk"),
        rows,
    )
    show(
        "The same: requests and list price",
        ("", "S3: read", "written or copied", "other", "DynamoDB: read units", "write units", "cents per GB of text"),
        costs,
    )
    print(
        "  Only one of the large logs is downloaded and zipped. S3 reports the checksum of an archive in parts. The\n"
        "  emulator does not, so the archive is read back here: these requests are not counted, but the time is."
    )


def _small(logs: int) -> str:
    return f"{logs:,} logs of {SMALL_SIZE / 1000:g} kB"


def _cost(name: str, measured: dict[str, Any]) -> tuple[object, ...]:
    requests: Counter[str] = Counter(measured["requests"])
    read, written = requests["GetObject"], sum(requests[each] for each in _WRITES)
    return (
        name,
        read,
        written,
        sum(requests[each] for each in prices.S3_CALLS) - read - written,
        measured["read_units"],
        measured["write_units"],
        100 * measured["dollars"] / (measured["text"] / prices.GB),
    )


def _append_small(store: LogStore, cluster: str, logs: int) -> None:
    text = log_text(SMALL_SIZE * 100)

    def append(number: int) -> None:
        start = number % 97 * SMALL_SIZE
        piece = text[start : start + SMALL_SIZE]
        _append(store, LogId.parse(f"cluster/{cluster}/node-{number}/instance"), piece, 0)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, range(logs)))


def _append_large(store: LogStore) -> None:
    text = log_text(20_000_000)
    for number in range(LARGE_LOGS):
        log_id, end = LogId.parse(f"cluster/{LARGE}/node-{number}/instance"), 0
        while end < LARGE_SIZE:
            start = end % (len(text) - APPEND)
            end = _append(store, log_id, text[start : start + min(APPEND, LARGE_SIZE - end)], end)


def _append(store: LogStore, log_id: LogId, piece: bytes, offset: int) -> int:
    return store.append(log_id, lambda: iter((piece,)), offset)[0].end


def _measured(case: str) -> dict[str, Any]:
    """Run a case in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "bench.backing_up", *case.split()], check=True, stdout=subprocess.PIPE)  # noqa: S603 - ourselves
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


# The cases, each in a process of its own


def _nothing() -> Made:
    clients.s3().head_bucket(Bucket=settings().bucket)
    return 0, 1, 0


def _backup(cluster: str) -> Made:
    store = backup_store(PROJECT, cluster)
    store.enable()
    Leases(store).start(store.cluster(log_store(PROJECT)).new_record(cluster, now_ms(), "Manual"), now_ms())
    backup_runs(PROJECT, cluster).resume(_FOREVER)
    (record,) = store.records()
    if record.status is not Status.SUCCESS:
        raise AssertionError(record.failed_msg)
    return record.size or 0, record.raw_size or 0, 0


def _restore(cluster: str) -> Made:
    (record,) = backup_store(PROJECT, cluster).records()
    found = restores(PROJECT, cluster)
    report, _ = found.begin(record.id, RestoreRequest(prefix="again-"), now_ms())
    found.resume(record.id, report.run, time.monotonic() + _FOREVER)
    (record,) = backup_store(PROJECT, cluster).records()
    if (record.restore or {})["state"] != "done":
        raise AssertionError(record.restore)
    return record.size or 0, record.raw_size or 0, 0


def _zip(cluster: str) -> Made:
    logs = log_store(PROJECT)
    heads: Iterator[Head] = logs.heads(f"cluster/{cluster}")
    if cluster == LARGE:
        heads = iter([next(heads)])
    text = 0
    with tempfile.TemporaryFile() as target:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for head in heads:
                with archive.open(f"{head.log_id}.log", "w", force_zip64=True) as entry:
                    for piece in logs.texts(head):
                        entry.write(piece)
                        text += len(piece)
        size = target.tell()
        target.seek(0)
        _upload(target, f"renders/{cluster}.zip")
    return size, text, size


def _upload(source: Any, key: str) -> None:
    s3, place = clients.s3(), {"Bucket": settings().bucket, "Key": key}
    upload = s3.create_multipart_upload(**place)["UploadId"]  # type: ignore[arg-type]  # built as a dict
    parts: list[Any] = []
    while body := source.read(PART):
        number = len(parts) + 1
        tag = s3.upload_part(**place, UploadId=upload, PartNumber=number, Body=body)["ETag"]  # type: ignore[arg-type]
        parts.append({"PartNumber": number, "ETag": tag})
    s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})  # type: ignore[arg-type]


CASES: Final[dict[str, Callable[..., Made]]] = {
    "nothing": _nothing,
    "backup": _backup,
    "zip": _zip,
    "restore": _restore,
}


def _main(case: str, *arguments: str) -> None:
    read_back = [0]

    def count(params: Any, **_: Any) -> None:
        read_back[0] += case == "backup" and params["Key"].startswith("backups/")

    clients.s3().meta.events.register("provide-client-params.s3.GetObject", count)
    started, cpu = time.monotonic(), time.process_time()
    with Meter(boto3.client("dynamodb")).counting() as meter:
        size, text, disk = CASES[case](*arguments)
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    meter.requests["GetObject"] -= read_back[0]
    sums = {"requests": meter.requests, "dollars": meter.dollars}
    units = {"read_units": meter.read_units, "write_units": meter.write_units}
    measured = {"size": size, "text": text, "disk": disk, "seconds": seconds, "cpu": cpu, "peak": peak()}
    print(json.dumps(measured | sums | units))


if __name__ == "__main__":
    _main(*sys.argv[1:])
