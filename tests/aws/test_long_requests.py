"""S3 may take its time for what it copies and joins, and for nothing else."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from logkeep.aws import clients

pytestmark = pytest.mark.unit

SLOW = 0.6  # seconds
SHORT = Config(connect_timeout=3, read_timeout=0.2, retries={"mode": "standard", "max_attempts": 1})
ANSWERS = {
    "GET": b"text",
    "PUT": b"<CopyPartResult><ETag>e</ETag></CopyPartResult>",
    "POST": b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>",
}


class Slow(BaseHTTPRequestHandler):
    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(SLOW)
        body = ANSWERS[self.command]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = answer

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that does not wait hangs up
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(clients, "_CONFIG", SHORT)
        clients.s3.cache_clear()
        yield clients.s3()
        clients.s3.cache_clear()
        server.shutdown()


def test_a_copy_and_the_end_of_an_upload_may_take_longer_than_other_requests(s3: Any) -> None:
    place = {"Bucket": "b", "Key": "k", "UploadId": "u"}
    copied = s3.upload_part_copy(**place, PartNumber=1, CopySource={"Bucket": "b", "Key": "from"})
    assert copied["CopyPartResult"]["ETag"] == "e"
    assert s3.complete_multipart_upload(**place, MultipartUpload={"Parts": []})["ETag"] == "e"
    with pytest.raises(ReadTimeoutError):
        s3.get_object(Bucket="b", Key="k")


def test_it_is_given_up_some_time(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_LONG_TIMEOUT", (3, 0.2))
    with pytest.raises(ReadTimeoutError):
        s3.complete_multipart_upload(Bucket="b", Key="k", UploadId="u", MultipartUpload={"Parts": []})
