"""The memory needed to build a large download.

Each case runs in a process of its own, `python -m bench.memory CASE`.
"""

import io
import json
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench import PROJECT
from bench.measure import show
from bench.texts import log_text
from logkeep.aws import clients
from logkeep.aws.multipart import Unfinished
from logkeep.downloads.render_store import renders
from logkeep.downloads.rendition import Rendition, log_file, zip_file
from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.logs.store import LogStore, log_store
from logkeep.settings import settings

LOG: Final = LogId.parse("build/bench/large")
SIZE: Final = 200_000_000
APPEND: Final = 8 << 20
_FOREVER: Final = float("inf")


def memory() -> None:
    text = log_text(20_000_000) * (SIZE // 20_000_000)
    store = log_store(PROJECT)
    for start in range(0, SIZE, APPEND):
        piece = text[start : start + APPEND]
        store.append(LOG, lambda piece=piece: iter((piece,)), start)  # type: ignore[misc]  # bound by its default
    rows = []
    base = 0
    for case in CASES:
        measured = json.loads(
            subprocess.run([sys.executable, "-m", "bench.memory", case], check=True, stdout=subprocess.PIPE).stdout  # noqa: S603 - ourselves
        )
        base = base or measured["peak"]
        rows.append((case, measured["size"] / 1e6, measured["peak"] / 1e6, (measured["peak"] - base) / 1e6))
    show(
        f"Building a download of a log of {SIZE // 10**6} MB in S3, parts of 16 MiB: peak resident memory",
        ("", "MB of the file", "MB in total", "MB more than the first case"),
        rows,
    )


def _nothing(store: LogStore, head: Head) -> int:
    clients.s3().head_bucket(Bucket=settings().bucket)
    return 0


def _rendered(rendition: Callable[[LogStore, Head], Rendition]) -> Callable[[LogStore, Head], int]:
    def build(store: LogStore, head: Head) -> int:
        facts = renders(PROJECT).build(rendition(store, head), _FOREVER)
        if isinstance(facts, Unfinished):
            raise AssertionError("the file was not built")
        return facts.size

    return build


def _text_in_memory(store: LogStore, head: Head) -> int:
    text = b"".join(store.texts(head))
    clients.s3().put_object(Bucket=settings().bucket, Key="renders/in-memory.log", Body=text)
    return len(text)


def _zip_in_memory(store: LogStore, head: Head) -> int:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("large.log", "w") as entry:
        for text in store.texts(head):
            entry.write(text)
    clients.s3().put_object(Bucket=settings().bucket, Key="renders/in-memory.zip", Body=target.getvalue())
    return len(target.getvalue())


CASES: Final[dict[str, Callable[[LogStore, Head], int]]] = {
    "no file, only imports and clients": _nothing,
    "gzip": _rendered(lambda store, head: log_file(store, [head], "large.log", "text/plain", gzip=True)),
    "identity": _rendered(lambda store, head: log_file(store, [head], "large.log", "text/plain", gzip=False)),
    "zip": _rendered(lambda store, head: zip_file(store, [head], ["large.log"], "large.zip")),
    "identity, joined in memory": _text_in_memory,
    "zip, made by zipfile in memory": _zip_in_memory,
}


def peak() -> int:
    """The peak resident memory of this process, in bytes.

    On Linux ru_maxrss begins with the memory of the parent, because exec keeps it. VmHWM begins with zero.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS


if __name__ == "__main__":
    logs = log_store(PROJECT)
    made = CASES[sys.argv[1]](logs, logs.head(LOG))
    print(json.dumps({"size": made, "peak": peak()}))
