"""`make ingest` against a service on a bad day; test_service.py has it against the real one."""

import gzip
import json
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from local import ingest
from local.ingest import PIECE, Target
from logkeep.logid import LogId

pytestmark = pytest.mark.unit


class BadDay(BaseHTTPRequestHandler):
    """Keeps a log, and does every request twice: the first time it refuses, or its answer is lost."""

    log: ClassVar[bytearray]
    requests: ClassVar[int]
    sealed: ClassVar[dict[str, object]]

    def do_PATCH(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        kind = self._misfortune()
        if isinstance(kind, int):
            self._answer(kind, {"error_msg": "later"})
            return
        offset = int(parse_qs(urlsplit(self.path).query)["offset"][0])
        text = gzip.decompress(body) if body else b""
        assert self.log[offset : offset + len(text)] in (b"", text)
        self.log[offset:] = text if text else self.log[offset:]
        if kind == "lost":
            self.close_connection = True  # without an answer
        else:
            self._answer(202, {"bytes": len(self.log), "crc32": f"{zlib.crc32(self.log):08x}"})

    def do_PUT(self) -> None:
        self.sealed.update(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self._answer(200, {"state": "sealed"})

    def _misfortune(self) -> int | str | None:
        kinds: list[int | str | None] = [503, None, "lost", None, 429, None, 500, None]
        BadDay.requests += 1
        return kinds[(BadDay.requests - 1) % len(kinds)]

    def _answer(self, status: int, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def target() -> Iterator[Target]:
    BadDay.log, BadDay.requests, BadDay.sealed = bytearray(), 0, {}
    server = HTTPServer(("127.0.0.1", 0), BadDay)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Target(f"http://127.0.0.1:{server.server_port}", "token", "project", LogId.parse("check/a"))
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_request_is_tried_again_until_it_is_answered(target, monkeypatch):
    monkeypatch.setattr(ingest, "_WAIT_MAX", 0.01)
    text = b"0123456789abcdef" * (PIECE // 16) + b"a second piece"
    assert ingest.ingest(BytesIO(text), len(text), target) == {"state": "sealed"}
    assert bytes(BadDay.log) == text
    assert BadDay.sealed == {"bytes": len(text), "crc32": f"{zlib.crc32(text):08x}"}
