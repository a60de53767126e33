"""Who is answered on this machine: no page of a browser, and nobody as someone else."""

import uuid
from collections.abc import Iterator, Mapping

import boto3
import httpx
import pytest

from local.emulator import physical_name
from local.guard import emulator_refusal, refusal
from logkeep.clock import now_ms
from logkeep.identity.credentials import user_id
from tests.examples import LONG
from tests.local.service import Service

SIGNED = {"authorization": "AWS4-HMAC-SHA256 Credential=test/…".replace("…", "x")}
PAGES = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost:3000"},
    {"origin": "http://127.0.0.1:8787.evil.example"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"host": "evil.example:8787"},
    {"host": "127.0.0.1.evil.example"},
    {"host": "localhost.evil.example:8787"},
    {"host": "evil.example@127.0.0.1"},
    {"host": "0.0.0.0:8787", "origin": "http://evil.example"},
    {"host": "localhost:8787", "origin": "http://localhost:8787.evil.example"},
    {"host": "[evil.example]:8787"},
    {"host": ""},
]
OURS = [
    {},
    {"host": "localhost:8787"},
    {"host": "LocalHost.:8787"},
    {"host": "[::1]:8787"},
    {"host": "host.docker.internal:8787"},
    {"host": "logkeep-local.localhost:8787"},
    {"host": "172.17.0.1:8787"},
    {"origin": "http://127.0.0.1:8787", "sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
]


def scope(method: str, path: str, headers: Mapping[str, str]) -> dict[str, object]:
    path, _, query = path.partition("?")
    sent = {"host": "127.0.0.1:8787", **headers}
    pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
    return {"type": "http", "scheme": "http", "method": method, "path": path, "query_string": query.encode(),
            "headers": pairs}  # fmt: skip


@pytest.mark.unit
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_page_is_not_answered_and_others_are(method: str) -> None:
    for headers in PAGES:
        assert refusal(scope(method, "/v3/projects", headers)), headers
        assert emulator_refusal(scope(method, "/bucket/key", headers | SIGNED)), headers
    for headers in OURS:
        assert refusal(scope(method, "/v3/projects", headers)) is None, headers
        assert emulator_refusal(scope(method, "/bucket/key", headers | SIGNED)) is None, headers


@pytest.mark.unit
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/"),
        ("PUT", "/bucket/key"),
        ("DELETE", "/bucket"),
        ("OPTIONS", "/bucket/key"),
        ("GET", "/?Action=DeleteQueue&QueueUrl=x"),
        ("GET", "/?QueueUrl=x&Actio%6e=DeleteQueue&X-Amz-Signature=x"),
        ("POST", "/_ministack/reset"),
        ("POST", "/_ministack/config"),
        ("GET", "/_ministack/sqs/messages"),
    ],
)
def test_the_emulator_takes_no_order_without_a_signature(method: str, path: str) -> None:
    assert emulator_refusal(scope(method, path, {}))
    assert emulator_refusal(scope("GET", "/bucket/key?X-Amz-Signature=x", {})) is None, "a link opens"
    assert emulator_refusal(scope("GET", "/_ministack/ready", {})) is None


@pytest.mark.unit
def test_a_repeated_header_is_none_that_is_allowed() -> None:
    asked = scope("GET", "/", {"origin": "http://127.0.0.1:8787"})
    assert refusal(asked) is None
    asked["headers"] = [*asked["headers"], (b"Origin", b"https://evil.example")]  # type: ignore[misc]  # a list
    assert refusal(asked)


def test_no_page_reaches_any_port_of_the_service(service: Service) -> None:
    demo = service.demo
    paths = {demo["endpoint"]: "/v3/projects", demo["emulator"]: "/logkeep-local"}
    paths[demo["streams"]] = f"/v1/{demo['project_id']}/logs/build/{demo['record_id']}/{demo['task_name']}"
    with httpx.Client(headers={"X-Auth-Token": demo["token"]}, trust_env=False, timeout=60) as client:
        for url, path in paths.items():
            assert client.get(url + path).status_code == 200
            for headers in (PAGES[0], PAGES[4], PAGES[6]):
                assert client.get(url + path, headers=headers).status_code == 403
                assert client.options(url + path, headers=headers).status_code == 403
        for headers in ({}, PAGES[0], {**SIGNED, **PAGES[0]}, SIGNED):
            assert client.post(f"{demo['emulator']}/_ministack/reset", headers=headers).status_code == 403
        assert client.get(f"{demo['endpoint']}/v3/projects").status_code == 200, "nothing was reset"


@pytest.fixture
def guesses(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.demo["endpoint"], trust_env=False, timeout=60) as client:
        yield client


@pytest.mark.soak
def test_who_forges_an_address_has_no_more_guesses(service: Service, guesses: httpx.Client) -> None:
    """In the suite the guesses of 127.0.0.1 are used up already: each costs half a second."""
    name = f"user-{uuid.uuid4()}"
    if not LONG:
        key = {"pk": {"S": f"guess/{user_id(name)}/127.0.0.1"}}
        boto3.client("dynamodb", endpoint_url=service.demo["emulator"]).put_item(
            TableName=physical_name("LimitsTable"), Item=key | {"full_at": {"N": str((now_ms() + 600_000) * 1000)}}
        )
    statuses = []
    for number in range(120 if LONG else 6):
        user = {"name": name, "domain": {"name": "x"}, "password": f"guess {number}"}
        login = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
        forged = f"198.51.100.{number}"
        headers = {"X-Forwarded-For": forged, "X-Real-IP": forged, "Forwarded": f"for={forged}"}
        statuses.append(guesses.post("/v3/auth/tokens", json=login, headers=headers).status_code)
    assert set(statuses) <= {401, 429}
    assert statuses.count(401) <= (60 if LONG else 0), "twenty, and one in two seconds"
