"""The local gateway over real HTTP, in front of a function that tells what it was called with."""

import base64
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn

from local.__main__ import listen
from local.gateway import BODY_MAX, Gateway
from local.sandbox import FunctionFailed, FunctionTimedOut
from local.template import Template

pytestmark = pytest.mark.unit

TEMPLATE = Template.load()


class Functions:
    """Stands where the sandboxes do: keeps the last event, and returns or raises what a test wants."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.event: dict[str, Any] = {}
        self.called = ""
        self.seconds = 0.0
        self.returns: Any = {"statusCode": 200}

    def invoke(self, function: Any, event: dict[str, Any], request_id: str, seconds: float) -> Any:
        self.called, self.event, self.seconds = function.name, event, seconds
        if isinstance(self.returns, Exception):
            raise self.returns
        return self.returns


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Functions, str]]:
    functions, listening = Functions(), listen(0)
    gateway = Gateway(TEMPLATE, functions)  # type: ignore[arg-type]  # a fake
    server = uvicorn.Server(uvicorn.Config(gateway, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield functions, f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture
def functions(served: tuple[Functions, str]) -> Functions:
    served[0].forget()
    return served[0]


@pytest.fixture
def client(served: tuple[Functions, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served[1], trust_env=False) as client:
        yield client


def test_an_event_has_the_fields_of_payload_2(functions, client):
    client.get("/v1/p/logs?prefix=build/", headers={"User-Agent": "test/1"})
    event = functions.event
    assert functions.called == "ListLogs"
    assert event["version"] == "2.0"
    assert event["routeKey"] == event["requestContext"]["routeKey"] == "GET /v1/{project_id}/logs"
    assert event["pathParameters"] == {"project_id": "p"}
    assert event["requestContext"]["stage"] == "$default"
    assert event["requestContext"]["http"] == {
        "method": "GET",
        "path": "/v1/p/logs",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "test/1",
    }
    assert "body" not in event
    assert event["isBase64Encoded"] is False


def test_a_path_is_decoded_once(functions, client):
    client.get("/v1/p/logs/build%2520/a%2Fb")
    assert functions.event["rawPath"] == "/v1/p/logs/build%20/a/b"
    assert functions.event["pathParameters"]["log_id"] == "build%20/a/b"


def test_a_query_is_handed_over_as_sent_and_joined_by_commas(functions, client):
    client.get("/v1/log-file?sub_job_id=a&sub_job_id=b%2Cc&empty=")
    assert functions.event["rawQueryString"] == "sub_job_id=a&sub_job_id=b%2Cc&empty="
    assert functions.event["queryStringParameters"] == {"sub_job_id": "a,b,c", "empty": ""}


def test_header_names_are_lower_case_repeated_ones_are_joined_and_cookies_apart(functions, client):
    client.get("/x", headers=[("X-Some", "1"), ("x-some", "2"), ("Cookie", "a=1; b=2")])
    assert functions.event["headers"]["x-some"] == "1,2"
    assert "cookie" not in functions.event["headers"]
    assert functions.event["cookies"] == ["a=1", "b=2"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/json; charset=utf-8", "application/xml"])
def test_a_text_body_is_a_string(functions, client, content_type):
    client.post("/x", content=b"gr\xc3\xbcn \xff", headers={"Content-Type": content_type})
    assert functions.event["body"] == "grün \ufffd"
    assert functions.event["isBase64Encoded"] is False


@pytest.mark.parametrize("content_type", ["application/octet-stream", "application/x-www-form-urlencoded", None])
def test_every_other_body_comes_in_base64(functions, client, content_type):
    client.post("/x", content=b"\x00\xff", headers={"Content-Type": content_type} if content_type else {})
    assert base64.b64decode(functions.event["body"]) == b"\x00\xff"
    assert functions.event["isBase64Encoded"] is True


@pytest.mark.parametrize("size", [BODY_MAX + 1, 5_000_000])  # more than a gateway takes; more than a Lambda does
def test_a_body_that_is_too_large_never_reaches_the_function(functions, client, size):
    answer = client.post("/x", content=b"x" * size, headers={"Content-Type": "application/octet-stream"})
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Entity Too Large"})
    assert not functions.called


def test_an_answer_keeps_its_status_headers_cookies_and_bytes(functions, client):
    functions.returns = {
        "statusCode": 202,
        "headers": {"Content-Type": "application/octet-stream", "X-Number": 7},
        "cookies": ["a=1; Secure", "b=2"],
        "body": base64.b64encode(b"\x00\xff").decode(),
        "isBase64Encoded": True,
    }
    answer = client.get("/x")
    assert (answer.status_code, answer.content) == (202, b"\x00\xff")
    assert (answer.headers["content-type"], answer.headers["x-number"]) == ("application/octet-stream", "7")
    assert answer.headers.get_list("set-cookie") == ["a=1; Secure", "b=2"]


def test_a_value_without_a_status_is_json(functions, client):
    functions.returns = {"a": 1}
    assert client.get("/x").json() == {"a": 1}


@pytest.mark.parametrize(
    ("returns", "status", "message"),
    [
        (FunctionTimedOut(29), 503, "Service Unavailable"),
        (FunctionFailed("ValueError", "x"), 500, "Internal Server Error"),
        ({"statusCode": 200, "body": "?", "isBase64Encoded": True}, 500, "Internal Server Error"),
    ],
)
def test_a_function_that_fails_is_answered_by_the_gateway(functions, client, returns, status, message):
    functions.returns = returns
    answer = client.get("/x")
    assert (answer.status_code, answer.json()) == (status, {"message": message})


def test_a_function_has_its_own_time_but_at_most_that_of_the_gateway(functions, client):
    client.get("/v1/p/logs")
    assert functions.seconds == 29
