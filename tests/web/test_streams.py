"""Answers of the streaming functions, as their runtime is handed them, and the same collected into one."""

import gzip
import io
import json
import logging
import os
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.emulator import values_of
from local.sample import write_credentials
from logkeep.apis.logs.codes import LOGKEEP
from logkeep.clock import Clock
from logkeep.downloads import http as files
from logkeep.identity.limiter_store import Limiter
from logkeep.limits import ANSWER_MAX
from logkeep.ndjson import with_heartbeats
from logkeep.web.app import App
from logkeep.web.entrypoints import entrypoint, stream_entrypoint
from tests.calls import (
    OTHER_PROJECT,
    PROJECT,
    RECORD,
    SUB_JOBS,
    Answer,
    Context,
    a_build,
    answer_of,
    append,
    call,
    event,
    log_request,
    read,
    seal,
    streamed,
)
from tests.conftest import TEMPLATE
from tests.signing import send_signed

pytestmark = pytest.mark.usefixtures("aws")
TEXT = b"2026-11-22 INFO a line of a log\n" * 1000


@pytest.fixture(autouse=True)
def unlimited(aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Limiter, "take", lambda *_: None)


type Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The lines that requests left."""
    (handler,) = (each for each in logging.getLogger("logkeep").handlers if type(each) is logging.StreamHandler)
    written = io.StringIO()
    before = handler.setStream(written)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines() if '"request"' in line]
    handler.setStream(before)


def a_log(log_id: str, **headers: Any) -> dict[str, Any]:
    return log_request("read_log", log_id, headers=headers)


# Files


def test_a_file_is_streamed_as_its_own_bytes_whatever_the_client_accepts() -> None:
    append(a_build("x"), TEXT)
    for encoding in ("gzip", "identity"):
        answer = streamed("read_log", a_log(a_build("x"), **{"accept-encoding": encoding}))
        assert (answer.status, answer.sent) == (200, TEXT)
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert 'filename="stage1.log"' in answer.headers["Content-Disposition"]
        assert not answer.headers.keys() & {"Content-Encoding", "Content-Length", "Transfer-Encoding"}


def test_a_gz_file_and_a_zip_are_streamed_as_they_are() -> None:
    append(f"build/{RECORD}/stage1", TEXT)
    for each in SUB_JOBS:
        append(f"check/{each}", TEXT)
    query = "task_name=stage1&compress=true"
    answer = streamed("download_build_log", event("download_build_log", rawQueryString=query))
    assert gzip.decompress(answer.sent) == TEXT
    assert answer.headers["Content-Type"] == "application/octet-stream"
    packed = streamed("download_check_logs", event("download_check_logs"))
    assert zipfile.ZipFile(io.BytesIO(packed.sent)).read(f"{SUB_JOBS[0]}.log") == TEXT


def test_an_empty_log_is_streamed_as_no_byte_at_all() -> None:
    append(a_build("x"), b"")
    answer = streamed("read_log", a_log(a_build("x"), **{"accept-encoding": "identity"}))
    assert (answer.status, answer.headers["Content-Length"], answer.sent) == (200, "0", b"")


def test_what_the_client_holds_is_not_sent_again() -> None:
    append(a_build("x"), TEXT)
    tag = streamed("read_log", a_log(a_build("x"))).headers["ETag"]
    again = streamed("read_log", a_log(a_build("x"), **{"if-none-match": tag}))
    assert (again.status, again.headers["ETag"], again.sent) == (304, tag, b"")
    plain = read(a_build("x"), **{"accept-encoding": "identity"})
    assert plain.headers["ETag"] == tag, "equal bytes, equal tags"


def test_json_is_a_link_on_the_stream_too() -> None:
    append(a_build("x"), TEXT)
    answer = streamed("read_log", a_log(a_build("x"), accept="application/json"))
    assert (answer.status, answer.json["raw_size"]) == (200, len(TEXT))


def test_what_is_too_large_to_be_streamed_is_redirected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "STREAM_MAX", len(TEXT) - 1)
    monkeypatch.setattr("logkeep.web.delivery.ANSWER_MAX", 10)
    append(a_build("x"), TEXT)
    assert streamed("read_log", a_log(a_build("x"))).status == 303


def test_a_signed_client_gets_what_no_redirect_would_bring_it(monkeypatch: pytest.MonkeyPatch) -> None:
    write_credentials(values_of(TEMPLATE, os.environ["AWS_ENDPOINT_URL"])["CredentialsKey"])
    monkeypatch.setattr("logkeep.web.delivery.ANSWER_MAX", 10)
    append(f"build/{RECORD}/stage1", TEXT)
    answer = streamed("download_build_log", send_signed("download_build_log", gateway="Function URL"))
    assert (answer.status, answer.sent) == (200, TEXT)


# Other answers


def test_refusals_have_the_service_s_shape_and_their_request_s_id() -> None:
    answer = streamed("read_log", event("read_log-no_token"))
    assert answer.status == 401
    assert set(answer.json) == {"error_code", "error_msg"}
    assert answer.headers["X-Request-Id"] == event("read_log-no_token")["requestContext"]["requestId"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1/{PROJECT}/logs/{a_build('x')}", 200),
        (f"/v1/{OTHER_PROJECT}/logs/{a_build('x')}", 403),
        ("/v1/%2e/logs/build/x/stage1", 400),
        (f"/v1/{PROJECT}/blogs/{a_build('x')}", 404),
        (f"/v1/{PROJECT}/x/logs/{a_build('x')}", 404),
    ],
)
@pytest.mark.parametrize("query", ["", "follow=true"])
def test_a_function_url_has_no_routes_and_its_paths_mean_the_same(path: str, status: int, query: str) -> None:
    append(a_build("x"), TEXT)
    seal(a_build("x"))
    request = event("read_log", rawPath=path, rawQueryString=query)
    del request["pathParameters"]
    assert streamed("read_log", request).status == status


def test_an_answer_without_a_body_has_white_space_for_one() -> None:
    """As docs/apis.md says of Kuscia: a 401 and a 400 are empty, but for a newline where answers stream."""
    for name, status in (("bad_token", 401), ("wrong_type", 400)):
        asked = event(f"query_task_log-{name}")
        answer = streamed("query_task_log", asked)
        assert (answer.status, answer.sent) == (status, b"\n")
        assert call("query_task_log", asked).sent == b""


# Of an app


class Broke(Exception):
    pass


class Chunks:
    """A body that tells whether it was released."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self.chunks = chunks
        self.released = False

    def made(self) -> Iterator[bytes]:
        self.kept = self._made()  # what nobody refers to would be closed by Python itself
        return self.kept

    def _made(self) -> Iterator[bytes]:
        try:
            for each in self.chunks:
                if isinstance(each, Exception):
                    raise each
                yield each
        finally:
            self.released = True


def app_of(body: Chunks) -> App:
    app = App(LOGKEEP, "show_api_versions")
    app.get("/v3")(lambda: app.stream("text/plain", body.made(), {"X-Own": "1"}))
    return app


def asked(handler: Any) -> Any:
    return handler(event("show_api_versions"), Context())


def collected(body: Chunks) -> Answer:
    return answer_of(asked(entrypoint(app_of(body))))


def test_a_body_of_chunks_is_collected_into_one_answer() -> None:
    body = Chunks(b"one\n", b"", b"two\n")
    answer = collected(body)
    assert (answer.status, answer.sent, answer.headers["X-Own"]) == (200, b"one\ntwo\n", "1")
    assert body.released


def test_a_body_that_does_not_fit_is_refused() -> None:
    body = Chunks(b"x" * ANSWER_MAX, b"y", b"z")
    assert collected(body).status == 413
    assert body.released


def test_a_body_that_breaks_while_it_is_collected_is_an_ordinary_error() -> None:
    body = Chunks(b"one\n", Broke())
    answer = collected(body)
    assert (answer.status, answer.json["error_code"]) == (500, "LOGKEEP.0500")
    assert body.released


def test_what_breaks_before_the_first_chunk_is_an_ordinary_error_of_a_stream_too() -> None:
    body = Chunks(Broke())
    answer = asked(stream_entrypoint(app_of(body)))
    assert (answer.status, json.loads(b"".join(answer.chunks))["error_code"]) == (500, "LOGKEEP.0500")
    assert body.released


def test_a_stream_that_waits_and_ends_without_content_has_white_space() -> None:
    """Its head is out when it begins to wait, so that its length cannot say that nothing comes."""
    seconds = iter(range(100))
    clock = Clock(now=lambda: next(seconds) / 100)
    assert list(with_heartbeats(iter([b"", b""]), clock)) == [b"", b"", b"\n"]
    assert list(with_heartbeats(iter([b"", b"x"]), clock)) == [b"", b"x"]
    assert list(with_heartbeats(iter(()), clock)) == []


def test_an_answer_streams_for_longer_than_a_gateway_waits() -> None:
    seconds = []
    app = App(LOGKEEP, "show_api_versions")

    @app.get("/v3")
    def answer() -> Any:
        seconds.append((app.streams, app.seconds))
        return app.stream("text/plain", iter(()))

    asked(entrypoint(app))
    asked(stream_entrypoint(app))
    assert seconds == [(False, pytest.approx(25, abs=1)), (True, 600)]


# The line


def test_the_line_of_a_stream_tells_its_bytes_and_how_it_ended(lines: Lines) -> None:
    body = Chunks(b"one\n", b"two\n")
    made = asked(stream_entrypoint(app_of(body)))
    assert not lines(), "it is not over"
    assert b"".join(made.chunks) == b"one\ntwo\n"
    (line,) = lines()
    assert (line["status"], line["ended"], line["bytes_out"], line["errors"]) == (200, "complete", 8, 0)
    assert collected(Chunks(b"one\n")).sent
    assert "ended" not in lines()[-1]


def test_a_client_that_left_is_told_in_the_line(lines: Lines) -> None:
    for taken in (0, 1):
        body = Chunks(b"one\n", b"two\n")
        made = asked(stream_entrypoint(app_of(body)))
        for _ in range(taken):
            next(made.chunks)
        made.chunks.close()
        assert body.released
        line = lines()[-1]
        assert (line["ended"], line["bytes_out"], line["errors"]) == ("left", 4 * taken, 0)
    assert len(lines()) == 2


def test_a_failure_in_mid_stream_is_an_error_in_the_line(lines: Lines) -> None:
    body = Chunks(b"one\n", Broke())
    made = asked(stream_entrypoint(app_of(body)))
    assert next(made.chunks) == b"one\n"
    with pytest.raises(Broke):
        next(made.chunks)
    (line,) = lines()
    assert (line["ended"], line["bytes_out"], line["errors"]) == ("failed", 4, 1)
    assert body.released


def test_every_streaming_function_leaves_one_line(lines: Lines) -> None:
    append(a_build("x"), TEXT)
    streamed("read_log", a_log(a_build("x")))
    (*_, line) = lines()
    assert (line["function"], line["bytes_out"], line["ended"]) == ("read_log", len(TEXT), "complete")


def test_what_goes_wrong_before_the_first_byte_is_an_answer_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "log_store", lambda _: 1 / 0)
    assert streamed("read_log", a_log(a_build("x"))).status == 500
