"""Files over real HTTP, with curl as users have it: answered, redirected to, linked, built later, refused."""

import gzip
import hashlib
import io
import json
import random
import subprocess
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from huaweicloudsdkcore.sdk_request import SdkRequest

from logkeep.limits import STREAM_MAX
from tests.calls import a_build
from tests.examples import LONG
from tests.local.service import Service, eventually, running
from tests.signing import sdk_sign, stamp

MB = 1 << 20
PEAK_MAX = 256 * MB
RECORD = "d" * 36
SUB_JOB = "b" * 32


def lines(size: int, seed: int) -> bytes:
    """Text as builds print it, exactly `size` bytes of it."""
    chance = random.Random(seed)
    words = [chance.randbytes(4).hex().encode() for _ in range(500)]
    block = b"".join(
        b"2026-11-22 10:%02d:%02d.%03d INFO [worker-%d] c.e.Build - %s %d %s\n"
        % (n // 60 % 60, n % 60, n % 1000, n % 8, chance.choice(words), chance.getrandbits(40), words[n % 500])
        for n in range(MB // 70)
    )
    return (block * (size // len(block) + 1))[:size]


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as made:
        made.follow_redirects = False
        yield made


def path(service: Service, log_id: str) -> str:
    return f"/v1/{service.demo['project_id']}/logs/{log_id}"


def store(service: Service, client: httpx.Client, log_id: str, text: bytes, piece: int = MB) -> None:
    """Append in pieces, and seal."""
    for start in range(0, len(text), piece):
        body = text[start : start + piece]
        headers = {"Content-Type": "application/octet-stream"}
        answer = client.patch(path(service, log_id), params={"offset": start}, content=body, headers=headers)
        assert answer.status_code == 202, answer.text
    totals = {"bytes": len(text), "crc32": f"{zlib.crc32(text):08x}"}
    sealed = client.put(path(service, log_id), json=totals)
    assert sealed.json()["state"] == "sealed", sealed.text


def curl(service: Service, target: str, *options: str, at: str = "endpoint") -> bytes:
    """What curl writes; it fails where the server's answer is an error."""
    url = service.demo[at] + target
    token = f"X-Auth-Token: {service.demo['token']}"
    command = ["curl", "-sSf", "--noproxy", "*", "--max-time", "120", "-H", token, *options, url]
    return subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603 - curl, as a user calls it


SIZES = {"10 bytes": 10, "3 MB": 3_000_000} | ({"200 MB": STREAM_MAX} if LONG else {"40 MB": STREAM_MAX // 5})


@pytest.fixture(scope="module", params=SIZES)
def log(request: pytest.FixtureRequest, service: Service, client: httpx.Client) -> tuple[str, bytes]:
    """A sealed log, appended in 1 MB pieces."""
    log_id = f"build/{RECORD}/stage{list(SIZES).index(request.param) + 1}"
    text = lines(SIZES[request.param], seed=SIZES[request.param])
    store(service, client, log_id, text)
    return log_id, text


def same(received: bytes, text: bytes) -> bool:
    """Without the difference of two long texts in the report."""
    return (len(received), hashlib.sha256(received).digest()) == (len(text), hashlib.sha256(text).digest())


@pytest.mark.soak
def test_curl_gets_the_same_bytes_with_and_without_gzip(service, log) -> None:
    log_id, text = log
    assert same(curl(service, path(service, log_id), "--compressed", "-L"), text)
    assert same(curl(service, path(service, log_id), "-L"), text)


@pytest.mark.soak
def test_curl_gets_the_same_bytes_of_a_build_action(service, log) -> None:
    log_id, text = log
    target = f"/v1/log/{RECORD}/task-log?task_name={log_id.rpartition('/')[2]}"
    assert same(curl(service, target, "--compressed", "-L"), text)
    assert same(gzip.decompress(curl(service, target + "&compress=true", "-L")), text)


@pytest.mark.soak
def test_curl_gets_the_same_bytes_as_a_stream(service, log) -> None:
    log_id, text = log
    assert same(curl(service, path(service, log_id), "-N", at="streams"), text)
    target = f"/v1/log/{RECORD}/task-log?compress=true&task_name={log_id.rpartition('/')[2]}"
    assert same(gzip.decompress(curl(service, target, "-N", at="streams")), text)


@pytest.mark.soak
def test_every_function_stayed_below_its_memory(service, log) -> None:
    """Whatever the tests above made the functions do: each process may have been any of them."""
    peaks = []
    for process in psutil.Process(service.process.pid).children(recursive=True):
        status = Path(f"/proc/{process.pid}/status").read_text()
        if "leash.py" not in " ".join(process.cmdline()):  # that is the emulator
            peaks += [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")]
    assert peaks
    assert max(peaks) < PEAK_MAX


# The cases, one by one


@pytest.fixture(scope="module")
def large(service: Service, client: httpx.Client) -> tuple[str, bytes]:
    """A log that is too large for an answer, packed as well as raw."""
    text = random.Random(3).randbytes(6 * MB).hex().encode()
    store(service, client, f"build/{RECORD}/stage8", text, 4 * MB)
    return f"build/{RECORD}/stage8", text


def test_json_is_asked_for_by_accepting_it_and_nothing_else(service, client, large) -> None:
    log_id, text = large
    answer = client.get(path(service, log_id), headers={"Accept": "application/json"})
    told = answer.json()
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert told["filename"] == "stage8.log"
    assert (told["raw_size"], told["crc32"]) == (len(text), f"{zlib.crc32(text):08x}")
    assert told["content_type"].startswith("text/plain")
    fetched = httpx.get(told["url"], trust_env=False)
    assert fetched.content == text
    assert int(fetched.headers["Content-Length"]) == told["size"]
    assert client.get(path(service, log_id), headers={"Accept": "application/json, */*"}).status_code == 303


def test_a_small_file_is_in_the_answer_with_its_length(service, client) -> None:
    store(service, client, a_build("small"), b"small\n" * 1000)
    for encoding in ("gzip", "identity"):
        with client.stream("GET", path(service, a_build("small")), headers={"Accept-Encoding": encoding}) as answer:
            sent = b"".join(answer.iter_raw())
        assert answer.status_code == 200
        assert int(answer.headers["Content-Length"]) == len(sent)
        assert answer.headers["Vary"] == "Accept, Accept-Encoding"
        assert (gzip.decompress(sent) if encoding == "gzip" else sent) == b"small\n" * 1000


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_large_file_is_redirected_to_with_the_json_as_body(service, client, large, encoding) -> None:
    log_id, text = large
    answer = client.get(path(service, log_id), headers={"Accept-Encoding": encoding})
    assert answer.status_code == 303
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.json()["url"] == answer.headers["Location"]
    with httpx.stream("GET", answer.headers["Location"], trust_env=False) as fetched:
        assert fetched.headers.get("Content-Encoding") == ("gzip" if encoding == "gzip" else None)
        assert b"".join(fetched.iter_bytes()) == text


def test_a_signed_request_is_never_redirected(service, client, large) -> None:
    log_id, _ = large
    host = service.demo["endpoint"].removeprefix("http://")
    request = SdkRequest("GET", "http", host, path(service, log_id), query_params=[], header_params={}, body=b"")
    request.header_params["X-Sdk-Date"] = stamp(time.time())
    signed = sdk_sign(request)
    answer = client.get(path(service, log_id), headers=signed)
    assert answer.status_code == 413
    assert "Accept: application/json" in answer.json()["error_msg"]
    linked = client.get(path(service, log_id), headers=signed | {"Accept": "application/json"})
    assert linked.status_code == 200


def test_a_kuscia_log_that_is_too_large_is_told_in_kuscias_form(service, client) -> None:
    store(service, client, "task/large/0/c/0", random.Random(4).randbytes(6 * MB).hex().encode(), 4 * MB)
    answer = client.post(
        "/api/v1/log/task/query", json={"task_id": "large"}, headers={"Token": service.demo["kuscia_token"]}
    )
    assert answer.status_code == 200
    assert json.loads(answer.text)["status"]["code"] == 11101


def test_a_zip_is_spliced_and_linked_when_it_is_large(service, client) -> None:
    text = random.Random(5).randbytes(5 * MB).hex().encode()
    store(service, client, f"check/{SUB_JOB}/scan.log", text, 4 * MB)
    downloaded = curl(service, f"/v1/log-file?sub_job_id={SUB_JOB}", "-L")
    archive = zipfile.ZipFile(io.BytesIO(downloaded))
    assert archive.read(f"{SUB_JOB}/scan.log") == text


def test_what_is_not_built_in_time_is_built_by_a_worker(tmp_path: Path) -> None:
    """With no time at all for a request, every large file is the worker's."""
    with running(tmp_path, LOGKEEP_PARAMETERS="BuildSeconds=0") as service, service.client() as client:
        client.follow_redirects = False
        text = random.Random(6).randbytes(8 * MB).hex().encode()
        store(service, client, f"build/{RECORD}/stage1", text, 4 * MB)
        target = path(service, f"build/{RECORD}/stage1")
        later = client.get(target)
        assert later.status_code == 503
        assert int(later.headers["Retry-After"]) > 0
        assert set(later.json()) == {"error_code", "error_msg"}
        pending = client.get(target, headers={"Accept": "application/json"})
        assert (pending.status_code, pending.json().get("state")) in {(202, "building"), (200, None)}
        assert client.get(target).status_code in {303, 503}, "asking again is no second order"
        assert eventually(lambda: client.get(target).status_code == 303, 60)
        assert same(curl(service, target, "--compressed", "-L"), text)
        store(service, client, f"build/{RECORD}/stage2", b"DEBUG: the second stage\n")
        target = f"/v1/log/{RECORD}/download-log?log_level=DEBUG"
        assert client.get(target).status_code == 503
        assert eventually(lambda: client.get(target).status_code == 303, 60)
        assert same(curl(service, target, "--compressed", "-L"), text + b"\nDEBUG: the second stage\n")
