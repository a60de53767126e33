"""A project that sends too much over real HTTP, and another beside it."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
import httpx
import pytest

from local.emulator import physical_name
from local.sample import OTHER_TOKEN, TOKEN
from logkeep.clock import DAY
from logkeep.identity.credential_store import CredentialStore
from logkeep.identity.credentials import Kind, token_place
from logkeep.identity.limiter_store import FREE
from logkeep.web.cost import Use
from tests.calls import credential
from tests.examples import LONG
from tests.local.service import Service, running

RATE, BURST = 2, 20
EVENTS, STORM = (1000, 2000) if LONG else (60, 40)
PROCESSES = 8  # the gateway runs a function in as many processes as there are calls at once


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    parameters = f"ProjectRate={RATE} ProjectBurst={BURST}"
    with running(tmp_path_factory.mktemp("service"), LOGKEEP_PARAMETERS=parameters) as started:
        yield started


def client(service: Service, token: str) -> httpx.Client:
    return httpx.Client(base_url=service.demo["endpoint"], headers={"X-Auth-Token": token}, trust_env=False, timeout=30)


def test_a_noisy_project_is_held_to_its_limit_and_starves_nobody(service) -> None:
    started = time.monotonic()
    with client(service, TOKEN) as noisy, client(service, OTHER_TOKEN) as quiet, ThreadPoolExecutor(PROCESSES) as pool:
        storm = [pool.submit(noisy.get, "/v3/projects?name=x") for _ in range(300)]
        theirs = []
        while not all(each.done() for each in storm):
            theirs.append(quiet.get("/v3/projects?name=x").status_code)
            time.sleep(0.5)  # a rate that the project may have
        answers = [each.result() for each in storm]
    seconds = time.monotonic() - started
    statuses = Counter(each.status_code for each in answers)
    assert statuses.keys() == {200, 429}
    free = (PROCESSES + 1) * (FREE.burst + FREE.rate * seconds)
    assert BURST <= statuses[200] <= BURST + RATE * seconds + free
    assert theirs
    assert set(theirs) == {200}
    for refused in (each for each in answers if each.status_code == 429):
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.headers["X-Request-Id"]
        assert refused.json()["error_code"] == "APIGW.0308"
        assert f"limit:{BURST}, rate:{RATE} per second" in refused.json()["error_msg"]


@pytest.mark.soak
def test_a_project_of_costly_requests_leaves_the_others_their_share(service) -> None:
    """What counts is what they cost: of those that come at once, no more pass than the limit pays for."""
    table = boto3.client("dynamodb", endpoint_url=service.demo["emulator"])
    credentials = CredentialStore(table, boto3.client("kms"), physical_name("CredentialsTable"))
    credentials.put(token_place(Kind.TOKEN, "costly"), credential(project="c" * 32))
    now = int(time.time()) * 1000
    events = [{"occur_time": now - n * DAY, "event_type": "normal", "event_info": "x"} for n in range(EVENTS)]
    path = f"/v1/{'c' * 32}/services/dear/events"
    started = time.monotonic()
    with client(service, "costly") as costly, client(service, OTHER_TOKEN) as quiet, ThreadPoolExecutor(6) as pool:
        storm = [
            pool.submit(costly.post, path, json={"events": events}, headers={"Idempotency-Key": str(n)})
            for n in range(STORM)
        ]
        theirs = []
        while not all(each.done() for each in storm):
            theirs.append(quiet.get("/v3/projects?name=x").status_code)
            time.sleep(0.5)
        statuses = Counter(each.result().status_code for each in storm)
    seconds = time.monotonic() - started
    paid = (BURST + RATE * seconds + 7 * (FREE.burst + FREE.rate * seconds)) / units_of(EVENTS)
    assert statuses.keys() == {200, 429}
    assert statuses[200] <= paid + 1, "the last one goes below empty"
    assert set(theirs) == {200}


def units_of(events: int) -> int:
    """Of a request with so many events, each on a day of its own."""
    return min(BURST, Use(write_units=6 * events + 1).units)


def test_who_waits_as_told_is_answered_again(service) -> None:
    with client(service, TOKEN) as noisy:
        for _ in range(100):
            answer = noisy.get("/v3/projects")
            if answer.status_code == 429:
                break
        assert answer.status_code == 429
        wait = int(answer.headers["Retry-After"])
        assert wait <= 2
        time.sleep(wait)
        assert noisy.get("/v3/projects").status_code == 200
