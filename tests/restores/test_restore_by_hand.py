"""docs/restore-by-hand.md does what it says, with the programs that it names."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from logkeep.logid import LogId
from logkeep.logs.pack_store import packer
from logkeep.logs.store import log_store
from tests.calls import CLUSTER, PROJECT
from tests.restores.test_store import LOG, append, back_up, held, log_id

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def commands(root: Path) -> tuple[str, str, str]:
    """What the document has its reader do: unzip, join, check."""
    found = re.findall(r"```sh\n(.*?)```", (root / "docs" / "restore-by-hand.md").read_text(), re.DOTALL)
    _fetch, unzip, join, check = found
    return unzip, join, check


def shell(command: str, folder: Path) -> str:
    bash = shutil.which("bash") or ""
    ran = subprocess.run([bash, "-euc", command], cwd=folder, capture_output=True, text=True, check=True)  # noqa: S603 - as its reader does
    return ran.stdout


def pack(of: LogId) -> None:
    store = log_store(PROJECT)
    assert packer(PROJECT).pack(store.head(of), time.monotonic() + 60)


def test_unzip_and_cat_give_the_logs_of_every_backup(logs, store, objects, commands, tmp_path: Path) -> None:
    states = {}
    for id in ("full", "second", "third"):
        append(logs, LOG, f"INFO of {id}\n".encode() * 100)
        append(logs, log_id("node-1/anew"), f"WARN of {id}\n".encode() * 50)
        append(logs, log_id(f"node-2/{id}"), b"INFO once\n")
        append(logs, log_id("node-2/empty"), b"")
        if id == "second":
            pack(log_id("node-1/anew"))
        back_up(store, id)
        states[id] = held(logs)
    unzip, join, check = commands
    for length, id in enumerate(states, 1):
        folder = tmp_path / id
        folder.mkdir()
        chain = list(states)[:length]
        for each in chain:
            (folder / f"{each}.zip").write_bytes(objects.read(store.record(each).key))
        names = " ".join(f"{each}.zip" for each in chain)
        assert "set -- full.zip second.zip third.zip " in unzip
        shell(unzip.replace("full.zip second.zip third.zip", names), folder)
        rows = {each["id"]: each for each in json.loads((folder / "logs" / "manifest.json").read_text())["logs"]}
        assert rows.keys() == {f"cluster/{CLUSTER}/{rest}" for rest in states[id]}
        for rest, (text, certificate) in states[id].items():
            shell(join.replace("node-1/instance", rest), folder)
            assert (folder / "instance.log").read_bytes() == text
            size, crc32 = shell(check, folder).split()
            row = rows[f"cluster/{CLUSTER}/{rest}"]
            assert (int(size), crc32) == (row["bytes"], row["crc32"]) == (certificate.bytes, certificate.crc32)
    assert len(list((tmp_path / "third" / "logs" / "node-1" / "instance").iterdir())) == 3, "it is a chain"
    assert len(list((tmp_path / "third" / "logs" / "node-1" / "anew").iterdir())) == 3, "packed, but no whole log again"
