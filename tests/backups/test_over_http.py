"""A cluster's backup over real HTTP: made, downloaded, verified and restored by make run's own workers."""

import io
import random
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.downloads.test_over_http import curl, store
from tests.local.service import Service, eventually

CLUSTER = "a-large-cluster"
TEXT = random.Random(7).randbytes(5 << 20).hex().encode()


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as made:
        made.follow_redirects = False
        yield made


def logs_of(service: Service, cluster: str) -> str:
    return f"/v1.0/{service.demo['project_id']}/clusters/{cluster}/logs"


@pytest.fixture(scope="module")
def record(service: Service, client: httpx.Client) -> str:
    """The address of a backup that is too large for an answer."""
    store(service, client, f"cluster/{CLUSTER}/node-1/instance", TEXT, 4 << 20)
    logs = logs_of(service, CLUSTER)
    client.post(
        f"{logs}/open", json={"agency": "a", "log_base_path": "css/log", "log_bucket": "logkeep-local"}
    ).raise_for_status()
    client.post(f"{logs}/collect").raise_for_status()

    def ended() -> bool:
        return bool(client.get(f"{logs}/records?status=NOT_FAIL").json()["clusterLogRecord"][0]["finishedAt"])

    assert eventually(ended, 60)
    (found,) = client.get(f"{logs}/records").json()["clusterLogRecord"]
    assert found["status"] == "SUCCESS"
    return f"{logs}/records/{found['id']}"


def test_a_large_archive_is_redirected_to_linked_and_never_redirected_to_for_the_sdk(service, client, record) -> None:
    answer = client.get(f"{record}/archive")
    assert (answer.status_code, answer.json()["url"]) == (303, answer.headers["Location"])
    archive = zipfile.ZipFile(io.BytesIO(curl(service, f"{record}/archive", "-L")))
    (name,) = (each for each in archive.namelist() if each != "manifest.json")
    assert archive.read(name) == TEXT
    told = client.get(f"{record}/archive", headers={"Accept": "application/json"}).json()
    fetched = httpx.get(told["url"], trust_env=False)
    assert (len(fetched.content), f"{zlib.crc32(fetched.content):08x}") == (told["size"], told["crc32"])
    assert f'filename="{told["filename"]}"' in fetched.headers["Content-Disposition"]
    assert told["filename"] == record.rpartition("/")[2] + ".zip"


def test_the_archive_of_the_sample_is_in_the_answer(service, tmp_path: Path) -> None:
    logs = logs_of(service, service.demo["cluster_id"])
    data = curl(service, f"{logs}/records/{service.demo['backup_id']}/archive")
    assert len(zipfile.ZipFile(io.BytesIO(data)).namelist()) == 9


def test_it_is_verified_and_restored_by_workers(service, client, record) -> None:
    assert client.post(f"{record}/verify").json()["state"] == "passed"
    assert client.post(f"{record}/verify", json={"mode": "full"}).status_code == 202
    assert eventually(lambda: client.get(record).json()["verification"]["state"] == "passed", 60)
    planned = client.post(f"{record}/restore", json={"prefix": "copy-", "dry_run": True}).json()
    assert (planned["counts"], planned["bytes"]) == ({"new": 1}, len(TEXT))
    assert client.post(f"{record}/restore", json={"prefix": "copy-"}).status_code == 202
    assert eventually(lambda: client.get(record).json()["restore"]["state"] == "done", 60)
    restored = f"/v1/{service.demo['project_id']}/logs/cluster/copy-{CLUSTER}/node-1/instance"
    assert curl(service, restored, "--compressed", "-L") == TEXT
