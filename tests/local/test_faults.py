"""`make run FAULTS=seed`: the service works, and its requests to AWS met faults."""

import json
from collections import Counter

import httpx

from tests.calls import a_build
from tests.local.service import eventually, running

TEXT = b"2026-11-22 INFO a line of a log\n"


def patiently(client: httpx.Client, method: str, path: str, **request: bytes | dict[str, int]) -> httpx.Response:
    for _ in range(20):
        answer = client.request(method, path, **request)  # type: ignore[arg-type]  # content and params
        if answer.status_code != 503 or "retry-after" not in answer.headers:
            break
    return answer


def test_a_service_whose_requests_meet_faults_loses_nothing(tmp_path) -> None:
    with running(tmp_path, FAULTS="7") as service, service.client() as client:
        assert "FAULTS=7 gives the same ones" in service.output
        path = f"/v1/{service.demo['project_id']}/logs/{a_build('faulty')}"
        for number in range(20):
            query = {"offset": number * len(TEXT)}
            assert patiently(client, "PATCH", path, params=query, content=TEXT).status_code in {200, 202}
        assert patiently(client, "GET", path).content == TEXT * 20
        log = service.directory / "functions.log"
        assert eventually(lambda: '"fault"' in log.read_text())
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    met = Counter(line["fault"] for line in lines if line["message"] == "fault")
    assert sum(met.values()) > 3
    assert len(met) > 1
