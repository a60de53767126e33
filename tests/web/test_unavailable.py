"""What callers are answered when AWS throttles, fails or does not answer for longer than botocore tries."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from botocore.retries.standard import ExponentialBackoff

from local.faults import refusal
from logkeep.aws import clients
from logkeep.aws.refusals import RETRY_AFTER
from tests.calls import a_build, append, event, log_request, send, streamed

pytestmark = [pytest.mark.usefixtures("aws"), pytest.mark.no_faults("puts its own")]
TEXT = random.Random(0).randbytes(16_000)  # so much, packed, that it lies in the bucket

type Sent = list[str]
# One function of each API, with the code that it has for what passes.
CODES = {
    "list_service_events": "ModelArts.2799",
    "download_build_log": "CB.00060100",
    "list_backup_records": "CSS.9999",
    "download_check_logs": "CC.00000000",
    "list_projects": "IAM.0503",
    "read_log": "LOGKEEP.0503",
    "append_log": "LOGKEEP.0503",
}


def throttle(request: Any) -> Any:
    return refusal(400, "dynamodb", "ProvisionedThroughputExceededException", request.url)


def slow_down(request: Any) -> Any:
    return refusal(503, "s3", "SlowDown", request.url)


def fail(request: Any) -> Any:
    return refusal(500, "dynamodb", "InternalServerError", request.url)


def close(request: Any) -> Any:
    raise ConnectionClosedError(endpoint_url=request.url)


def time_out(request: Any) -> Any:
    raise ReadTimeoutError(endpoint_url=request.url)


def refuse_connection(request: Any) -> Any:
    raise EndpointConnectionError(endpoint_url=request.url)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sent]:
    """Let every request of a service be answered so."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)

    def answer(client: Any, how: Callable[[Any], Any]) -> Sent:
        sent: Sent = []

        def refuse(request: Any, event_name: str, **_: Any) -> Any:
            sent.append(event_name.rpartition(".")[2])
            return how(request)

        client.meta.events.register("before-send", refuse)
        return sent

    return answer


@pytest.mark.parametrize("function", CODES)
def test_throttles_that_outlast_the_retries_are_a_503_in_the_service_s_shape(
    always: Callable[..., Sent], function: str
) -> None:
    sent = always(clients.dynamodb(), throttle)
    answer = send(function)
    assert len(sent) == 5, "as often as botocore tries"
    assert (answer.status, answer.headers["Retry-After"]) == (503, str(RETRY_AFTER))
    assert answer.json["error_code"] == CODES[function]
    assert "storage is busy" in answer.json["error_msg"]
    assert "Throughput" not in answer.json["error_msg"]


def test_kuscia_is_answered_in_its_own_shape(always: Callable[..., Sent]) -> None:
    always(clients.dynamodb(), throttle)
    answer = send("query_task_log")
    assert (answer.status, answer.headers["Retry-After"]) == (503, str(RETRY_AFTER))
    assert "storage is busy" in json.loads(answer.body)["status"]["message"]


@pytest.mark.parametrize("how", [fail, close, time_out, refuse_connection], ids=lambda how: how.__name__)
def test_what_fails_or_does_not_answer_is_a_503_too(always: Callable[..., Sent], how: Callable[[Any], Any]) -> None:
    always(clients.dynamodb(), how)
    answer = send("read_log")
    assert (answer.status, answer.headers["Retry-After"]) == (503, str(RETRY_AFTER))


def test_a_bucket_that_slows_down_is_a_503_and_nothing_is_written(always: Callable[..., Sent]) -> None:
    sent = always(clients.s3(), slow_down)
    answer = append(a_build("x"), TEXT)
    assert (answer.status, answer.json["error_code"], set(sent)) == (503, "LOGKEEP.0503", {"PutObject"})
    assert send("read_log").status == 404


def test_a_refusal_that_does_not_pass_is_an_internal_error(always: Callable[..., Sent]) -> None:
    always(clients.dynamodb(), lambda request: refusal(400, "dynamodb", "AccessDeniedException", request.url))
    answer = send("read_log")
    assert (answer.status, answer.json["error_code"]) == (500, "LOGKEEP.0500")
    assert "Retry-After" not in answer.headers


def test_a_stream_that_cannot_begin_is_a_503_and_no_broken_200(always: Callable[..., Sent]) -> None:
    assert append(a_build("x"), TEXT).status == 202
    always(clients.s3(), slow_down)
    answer = streamed("read_log", log_request("read_log", a_build("x")))
    assert (answer.status, answer.headers["Retry-After"]) == (503, str(RETRY_AFTER))
    assert answer.json["error_code"] == "LOGKEEP.0503"


def test_nothing_is_written_twice_when_the_answer_to_a_commit_is_lost_for_good(always: Callable[..., Sent]) -> None:
    assert append(a_build("x"), b"one\n").status == 202

    def commit_and_close(request: Any) -> Any:
        clients.dynamodb()._endpoint.http_session.send(request)  # type: ignore[attr-defined]  # botocore's own
        raise ConnectionClosedError(endpoint_url=request.url)

    dynamodb = clients.dynamodb()
    lost = [0]

    def lose(request: Any, **_: Any) -> Any:
        lost[0] += 1
        return commit_and_close(request) if lost[0] <= 5 else None

    dynamodb.meta.events.register("before-send.dynamodb.TransactWriteItems", lose)
    assert append(a_build("x"), b"two\n", 4).status == 503
    assert append(a_build("x"), b"two\n", 4).status == 200, "it was written by the first"
    assert streamed("read_log", log_request("read_log", a_build("x"))).sent == b"one\ntwo\n"


def test_the_events_of_the_table_above_are_there() -> None:
    assert all(event(name) for name in CODES)
