"""The agent's requests over HTTP, to a server that has a bad day."""

import gzip
import json
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from logkeep_agent import Refused
from logkeep_agent.service import Certificate, Gap, Later, Service

pytestmark = pytest.mark.unit


class Server(HTTPServer):
    """Gives the answers that it is told to, then a certificate of what it got."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, dict[str, str], bytes] | None] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_PATCH(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        text = gzip.decompress(body) if "gzip" in self.headers.get("content-encoding", "") else body
        told: dict[str, Any] = {"bytes": len(text), "crc32": f"{zlib.crc32(text):08x}"}
        planned = self.server.answers.pop(0) if self.server.answers else (202, {}, json.dumps(told).encode())
        if planned is None:
            return  # and closes
        status, headers, content = planned
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_PUT = do_PATCH

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def service(server) -> Service:
    return Service(f"http://127.0.0.1:{server.server_port}/", "project", "task/a b/0/c/0", lambda: "secret")


def test_a_piece_goes_out_packed_with_its_offset_and_the_token(server, service) -> None:
    told = service.append(7, b"text\n" * 100)
    assert told == Certificate(500, zlib.crc32(b"text\n" * 100))
    ((method, path, headers, body),) = server.requests
    assert method == "PATCH"
    assert urlsplit(path).path == "/v1/project/logs/task/a%20b/0/c/0"
    assert parse_qs(urlsplit(path).query) == {"offset": ["7"]}
    assert headers["x-auth-token"] == "secret"
    assert headers["content-type"] == "application/octet-stream"
    assert len(body) < 100


def test_a_seal_tells_bytes_and_crc32(server, service) -> None:
    service.seal(7, 255)
    method, _, _, body = server.requests[0]
    assert (method, json.loads(body)) == ("PUT", {"bytes": 7, "crc32": "000000ff"})


@pytest.mark.parametrize("told", ["3", "30"])
def test_the_interval_is_read(server, service, told) -> None:
    server.answers = [(200, {"Logkeep-Interval": told}, b'{"bytes": 0, "crc32": "00000000"}')]
    assert service.certificate().interval == float(told)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_later(server, service, status) -> None:
    server.answers = [(status, {"Retry-After": "7"}, b"<html>")]
    with pytest.raises(Later) as caught:
        service.append(0, b"x")
    assert caught.value.wait == 7


def test_a_connection_that_breaks_is_later(server, service) -> None:
    server.answers = [None, (200, {"Content-Length": "99"}, b'{"bytes"')]
    for _ in range(2):
        with pytest.raises(Later):
            service.append(0, b"x")


@pytest.mark.parametrize("body", [b"", b"<html>Welcome to our hotel</html>", b"[]", b"{}", b'{"bytes": "x"}', b"\xff"])
def test_an_answer_that_is_no_certificate_is_none(server, service, body) -> None:
    server.answers = [(200, {}, body)]
    with pytest.raises(Later):
        service.append(0, b"x")


def test_a_server_that_is_not_there_is_later() -> None:
    with pytest.raises(Later, match=r"^http://127.0.0.1:1 does not answer: \[Errno"):
        Service("http://127.0.0.1:1", "project", "check/a", lambda: "secret").certificate()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 415])
def test_a_refusal_is_told_in_the_service_s_words(server, service, status) -> None:
    server.answers = [(status, {}, b'{"error_code": "LOGKEEP.0409", "error_msg": "the log is sealed at 7 bytes"}')]
    with pytest.raises(Refused, match=f"{status}: the log is sealed at 7 bytes"):
        service.append(0, b"x")


def test_a_gap_is_told_apart(server, service) -> None:
    server.answers = [(416, {"Range": "bytes=0-4"}, b"{}")]
    with pytest.raises(Gap):
        service.append(9, b"x")


def test_a_deleted_log_is_no_gap_and_a_held_one_is_asked_for_where_it_ended(server, service) -> None:
    told: tuple[int, dict[str, str], bytes] = (
        410,
        {},
        b'{"error_code": "LOGKEEP.0410", "error_msg": "it was deleted"}',
    )
    server.answers = [told]
    with pytest.raises(Refused, match=r"it was deleted\. To ship the file as a new log, remove its state file"):
        service.append(9, b"x")
    server.answers = [told]
    with pytest.raises(Refused, match="deleted"):
        service.certificate(9)
    server.answers = [(416, {"Range": "bytes=0-4"}, b"{}")]
    assert service.certificate(9)
    assert [path.partition("?")[2] for _, path, _, _ in server.requests[-2:]] == ["offset=9", "offset=0"]


def test_no_redirect_gets_the_token(server, service) -> None:
    server.answers = [(307, {"Location": f"http://127.0.0.1:{server.server_port}/elsewhere"}, b"")]
    with pytest.raises(Refused):
        service.append(0, b"x")
    assert len(server.requests) == 1


@pytest.mark.parametrize("endpoint", ["", "127.0.0.1:80", "file:///etc/passwd", "ftp://host", "http://"])
def test_an_endpoint_that_is_none_is_refused(endpoint) -> None:
    with pytest.raises(Refused):
        Service(endpoint, "project", "check/a", lambda: "secret")


def test_a_new_log_is_told_the_zone_of_the_machine(server: Server) -> None:
    endpoint = f"http://127.0.0.1:{server.server_port}"
    Service(endpoint, "p", "build/b/1", lambda: "secret", "Asia/Shanghai").certificate()
    Service(endpoint, "p", "build/b/1", lambda: "secret").certificate()
    assert [headers.get("logkeep-timezone") for _, _, headers, _ in server.requests] == ["Asia/Shanghai", None]


def test_a_new_log_gets_its_labels_and_one_with_others_is_not_continued(server: Server) -> None:
    endpoint = f"http://127.0.0.1:{server.server_port}"
    service = Service(endpoint, "p", "app/b", lambda: "secret", labels={"service": "web", "city": "Köln, Ost 5%"})
    service.certificate()
    service.append(0, b"x")
    sent = [headers.get("logkeep-labels") for _, _, headers, _ in server.requests]
    assert sent == ["service=web,city=K%C3%B6ln%2C%20Ost%205%25", None]
    server.answers = [(409, {}, b'{"error_msg": "a log keeps the labels of its first append"}')]
    with pytest.raises(Refused, match="a log keeps the labels"):
        service.certificate()


def test_a_token_that_is_refused_is_waited_for_if_it_can_be_replaced(server: Server) -> None:
    tokens = ["expired", "new"]
    endpoint = f"http://127.0.0.1:{server.server_port}"
    service = Service(endpoint, "project", "check/a", lambda: tokens.pop(0), waits_for_token=True)
    server.answers = [(401, {}, b'{"error_msg": "the token has expired"}')]
    with pytest.raises(Later, match="401: the token has expired; another token is waited for"):
        service.append(0, b"x")
    assert service.append(0, b"x").bytes == 1
    assert [headers["x-auth-token"] for _, _, headers, _ in server.requests] == ["expired", "new"]


def test_another_log_of_the_project_is_another_address(server: Server, service: Service) -> None:
    service.at("check/b").append(0, b"x")
    service.append(0, b"x")
    assert [path.partition("?")[0].rpartition("logs/")[2] for _, path, _, _ in server.requests] == [
        "check/b", "task/a%20b/0/c/0"]  # fmt: skip
