"""The function URLs of `make run`: the streaming functions over real HTTP, in the runtime that they have on AWS."""

import asyncio
import gzip
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import boto3
import httpx
import psutil
import pytest
from huaweicloudsdkcore.sdk_request import SdkRequest

from local import function_urls
from local.function_urls import FunctionUrls, event_for_url
from local.gateway import BODY_MAX
from local.sandbox import Sandboxes
from local.template import Template
from tests.calls import PROJECT, a_build
from tests.local.service import Service, eventually, running
from tests.signing import sdk_sign, stamp

PIECE = b"one and the same line of a log that is large\n" * 600_000
PIECES = 4
SMALL, LARGE, BROKEN, EMPTY = (a_build(f"streamed-{name}") for name in ("small", "large", "broken", "empty"))


@pytest.fixture(scope="module")
def service(service: Service) -> Service:
    with service.client() as client:
        append(service, client, SMALL, b"a line\n")
        for log_id in (LARGE, BROKEN):
            for number in range(PIECES):
                append(service, client, log_id, PIECE, number * len(PIECE))
    return service


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    headers = {"X-Auth-Token": service.demo["token"]}
    with httpx.Client(base_url=service.demo["streams"], headers=headers, trust_env=False, timeout=30) as made:
        yield made


def append(service: Service, client: httpx.Client, log_id: str, text: bytes, offset: int = 0) -> None:
    headers = {"Content-Type": "application/gzip"}
    body = gzip.compress(text, 1)
    answer = client.patch(path(service, log_id), params={"offset": offset}, content=body, headers=headers)
    assert answer.status_code == 202, answer.text


def path(service: Service, log_id: str) -> str:
    return f"/v1/{service.demo['project_id']}/logs/{log_id}"


def line_of(service: Service, log_id: str) -> dict[str, Any]:
    """The last line about a request for that log, {} where there is none yet."""
    printed = (service.directory / "functions.log").read_text().splitlines()
    lines = [json.loads(each) for each in printed if '"message":"request"' in each]
    return next((each for each in reversed(lines) if each["path"].endswith(log_id) and each["method"] == "GET"), {})


def test_an_answer_comes_chunked_and_leaves_a_line(service: Service, client: httpx.Client) -> None:
    with client.stream("GET", path(service, SMALL)) as answer:
        assert answer.read() == b"a line\n"
    assert answer.status_code == 200
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in answer.headers
    assert eventually(lambda: line_of(service, SMALL))
    line = line_of(service, SMALL)
    assert (line["ended"], line["route"], line["function"]) == ("complete", "$default", "read_log")


def test_a_caller_is_proved_by_a_signature_too(service: Service, client: httpx.Client) -> None:
    host = service.demo["streams"].removeprefix("http://")
    request = SdkRequest("GET", "http", host, path(service, SMALL), query_params=[], header_params={}, body=b"")
    request.header_params["X-Sdk-Date"] = stamp(time.time())
    signed = sdk_sign(request)
    answer = httpx.get(service.demo["streams"] + path(service, SMALL), headers=signed, trust_env=False)
    assert (answer.status_code, answer.content) == (200, b"a line\n")
    forged = signed | {"authorization": signed["authorization"][:-1] + "x"}
    refused = httpx.get(service.demo["streams"] + path(service, SMALL), headers=forged, trust_env=False)
    assert refused.status_code == 401


def test_a_client_that_leaves_ends_its_stream(service: Service, client: httpx.Client) -> None:
    with client.stream("GET", path(service, LARGE)) as answer:
        assert next(answer.iter_raw()).startswith(PIECE[:40])
    assert eventually(lambda: line_of(service, LARGE).get("ended") == "left")
    assert line_of(service, LARGE)["bytes_out"] < len(PIECE) * PIECES
    assert client.get(path(service, SMALL)).content == b"a line\n"


def test_what_breaks_in_mid_stream_breaks_off_at_the_client(service: Service, client: httpx.Client) -> None:
    s3, bucket = boto3.client("s3", endpoint_url=service.demo["emulator"]), "logkeep-local"
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix=f"logs/{PROJECT}/{BROKEN}@")["Contents"]]
    packs = sorted(key for key in keys if key.endswith(".pack.gz"))  # a pack holds two of its appends at most
    for key in (max(set(keys) - set(packs)), *packs[1:]):
        s3.delete_object(Bucket=bucket, Key=key)
    with client.stream("GET", path(service, BROKEN)) as answer:
        assert answer.status_code == 200
        chunks = answer.iter_raw()
        assert next(chunks).startswith(PIECE[:40])
        with pytest.raises(httpx.RemoteProtocolError):
            list(chunks)
    assert eventually(lambda: line_of(service, BROKEN).get("ended") == "failed")
    assert client.get(path(service, SMALL)).content == b"a line\n"


def test_errors_and_empty_answers_are_those_of_the_api(service: Service, client: httpx.Client) -> None:
    unknown = client.get(path(service, a_build("unknown")))
    assert (unknown.status_code, unknown.json()["error_code"]) == (404, "LOGKEEP.0404")
    tag = client.get(path(service, SMALL)).headers["etag"]
    held = client.get(path(service, SMALL), headers={"If-None-Match": tag})
    assert (held.status_code, held.content) == (304, b"")
    with service.client() as api:
        append(service, api, EMPTY, b"")
    empty = client.get(path(service, EMPTY))
    assert (empty.status_code, empty.content, empty.headers["content-length"]) == (200, b"", "0")
    assert "transfer-encoding" not in empty.headers
    assert client.get("/v3").status_code == 404, "what does not stream is not here"
    assert client.post("/api/v1/log/task/query", content=bytes(BODY_MAX + 1)).status_code == 413


def test_many_streams_go_at_once(service: Service, client: httpx.Client) -> None:
    async def read_all() -> list[bytes]:
        async with httpx.AsyncClient(headers=client.headers, trust_env=False, timeout=30) as many:
            url = service.demo["streams"] + path(service, SMALL)
            return [each.content for each in await asyncio.gather(*(many.get(url) for _ in range(6)))]

    assert asyncio.run(read_all()) == [b"a line\n"] * 6


def test_more_streams_than_are_bounded_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_urls, "STREAMS_AT_ONCE", 0)

    async def ask() -> int:
        with Sandboxes({}) as sandboxes:
            urls: Any = FunctionUrls(Template.load(), sandboxes)
            transport = httpx.ASGITransport(app=urls)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asking:
                return (await asking.get("/v1/p/logs/build/x/stage1")).status_code

    assert asyncio.run(ask()) == 429


def test_many_that_come_at_once_start_no_more_than_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_urls, "STREAMS_AT_ONCE", 2)

    async def start(*_: object) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr("local.function_urls._Runtime.start", start)
    template = Template.load()

    async def ask() -> int:
        with Sandboxes({}) as sandboxes:
            urls = FunctionUrls(template, sandboxes)
            function = template.functions["ReadLogStream"]
            return sum(each is not None for each in await asyncio.gather(*(urls._free(function) for _ in range(9))))

    assert asyncio.run(ask()) == 2


def test_a_stream_is_fast_for_six_megabytes_and_slow_from_there_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Lambda is. Without a rate it is never held up."""
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(round(seconds, 1))

    async def stream(rate: float) -> None:
        pace = function_urls._Pace(rate)
        for size in (1_000_000, 5_000_000, 1_000_000, 3_000_000):
            await pace.sent(size)

    monkeypatch.setattr(asyncio, "sleep", wait)
    asyncio.run(stream(0))
    assert waited == []
    asyncio.run(stream(function_urls.RATE))
    assert waited == [0.5, 2.0]


def test_the_event_is_that_of_a_function_url() -> None:
    scope = {
        "method": "GET",
        "raw_path": b"/v1/p/logs/build/a%20b/c",
        "query_string": b"follow=true&cursor=a%2Bb",
        "headers": [(b"Host", b"127.0.0.1:8788"), (b"X-Auth-Token", b"t")],
        "http_version": "1.1",
        "scheme": "http",
    }
    event = event_for_url(scope, b"")
    assert (event["version"], event["routeKey"]) == ("2.0", "$default")
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/v1/p/logs/build/a%20b/c"
    assert event["rawQueryString"] == "follow=true&cursor=a%2Bb"
    assert event["requestContext"]["routeKey"] == "$default"
    assert event["requestContext"]["domainName"] == "127.0.0.1:8788"
    assert "pathParameters" not in event


def runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_a_stream_that_is_open_does_not_hold_the_service_up(tmp_path) -> None:
    with running(tmp_path) as service:
        with service.client() as api:
            append(service, api, LARGE, PIECE)
        children = psutil.Process(service.process.pid).children(recursive=True)
        headers = {"X-Auth-Token": service.demo["token"]}
        url = service.demo["streams"] + path(service, LARGE)
        with httpx.stream("GET", url, headers=headers, trust_env=False) as answer:
            next(answer.iter_raw())
            children += psutil.Process(service.process.pid).children(recursive=True)
            began = time.monotonic()
            assert service.stop() == 0
        assert time.monotonic() - began < 10
        assert eventually(lambda: not any(map(runs, children)))
