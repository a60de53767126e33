"""A project that sends too much over real HTTP, and another beside it."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from local.sample import OTHER_TOKEN, TOKEN
from logkeep.identity.limiter_store import FREE
from tests.local.service import Service, running

RATE, BURST = 2, 20
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
