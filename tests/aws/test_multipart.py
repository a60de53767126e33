"""Uploads in parts, as they are sent: what S3 needs to join them, and what it says when it lost the answer."""

import base64
import re
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from isal import isal_zlib

from local.faults import answer_with
from logkeep.aws import clients, parts
from logkeep.aws.multipart import Making, UploadGone, assemble
from logkeep.aws.objects import Bucket
from logkeep.extents import Extent, Facts, ObjectRange
from logkeep.settings import settings
from tests.faults import Killed, answering, counted, killed, lost

pytestmark = [pytest.mark.usefixtures("aws"), pytest.mark.no_faults("names the requests and puts its own faults")]
PART = 1024
TEXTS = [bytes([letter]) * PART for letter in b"abc"]
_PART = re.compile(rb"<Part>(.*?)</Part>", re.DOTALL)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """The emulator takes parts of any size."""
    monkeypatch.setattr(parts, "PART_SIZE", PART)
    monkeypatch.setattr(parts, "PART_MIN", 1)
    return Bucket(clients.s3(), settings().bucket)


def made(*extents: Extent) -> Making:
    def make() -> Generator[Extent, None, Facts]:
        yield from extents
        return Facts(len(extents) * PART, len(extents) * PART, 0)

    return Making(make(), time.monotonic() + 60)


def of(*extents: Extent) -> tuple[Making, int]:
    return made(*extents), len(extents) * PART


@contextmanager
def completed(*, accepted: bool = False) -> Iterator[list[bytes]]:
    """The parts that are named where an upload is completed, in XML as it is sent.

    On request it is accepted without the emulator, which does not know the checksums of parts that it copied.
    """
    sent: list[bytes] = []

    def note(request: Any, **_: Any) -> Any:
        sent.extend(_PART.findall(request.body))
        body = b"<CompleteMultipartUploadResult><Key>made</Key></CompleteMultipartUploadResult>"
        return answer_with(200, request.url, body, "application/xml") if accepted else None

    clients.s3().meta.events.register("before-send.s3.CompleteMultipartUpload", note)
    try:
        yield sent
    finally:
        clients.s3().meta.events.unregister("before-send.s3.CompleteMultipartUpload", note)


@contextmanager
def with_checksums_of_copies(*texts: bytes) -> Iterator[None]:
    """S3 says the checksum of a part that it copied, the emulator does not."""
    left = list(texts)

    def add(request: Any, **_: Any) -> Any:
        answer = clients.s3()._endpoint.http_session.send(request)  # type: ignore[attr-defined]  # botocore's own
        said = b"<ChecksumCRC32>%b</ChecksumCRC32></CopyPartResult>" % crc32_of(left.pop(0))
        body = answer.content.replace(b"</CopyPartResult>", said)
        return answer_with(answer.status_code, answer.url, body, "application/xml")

    clients.s3().meta.events.register("before-send.s3.UploadPartCopy", add)
    try:
        yield
    finally:
        clients.s3().meta.events.unregister("before-send.s3.UploadPartCopy", add)
    assert not left


def crc32_of(text: bytes) -> bytes:
    return base64.b64encode(isal_zlib.crc32(text).to_bytes(4, "big"))


def assert_checksums(sent: list[bytes], *texts: bytes) -> None:
    assert len(sent) == len(texts)
    for number, (part, text) in enumerate(zip(sent, texts, strict=True), 1):
        assert b"<PartNumber>%d</PartNumber>" % number in part
        assert b"<ETag>" in part
        assert b"<ChecksumCRC32>%b</ChecksumCRC32>" % crc32_of(text) in part


def test_parts_that_were_sent_are_named_with_their_checksums(bucket: Bucket) -> None:
    with completed() as sent:
        assemble(bucket, "made", *of(*TEXTS))
    assert_checksums(sent, *TEXTS)


def test_parts_that_s3_copied_are_named_with_their_checksums(bucket: Bucket) -> None:
    bucket.s3.put_object(Bucket=bucket.name, Key="source", Body=b"".join(TEXTS))
    ranges = [ObjectRange("source", 2 * PART, PART), ObjectRange("source", 0, PART)]
    with with_checksums_of_copies(TEXTS[2], TEXTS[0]), completed(accepted=True) as sent:
        assemble(bucket, "made", *of(*ranges))
    assert_checksums(sent, TEXTS[2], TEXTS[0])


def test_parts_that_an_earlier_worker_sent_are_named_with_their_checksums(bucket: Bucket) -> None:
    with killed(clients.s3(), "CompleteMultipartUpload", after=False), pytest.raises(Killed):
        assemble(bucket, "made", *of(*TEXTS))
    with completed() as sent, counted() as counts:
        assemble(bucket, "made", *of(*TEXTS))
    assert (counts["ListParts"], counts["UploadPart"]) == (1, 0)
    assert_checksums(sent, *TEXTS)


@pytest.mark.parametrize("repeated", ["InternalError", "NoSuchUpload"])
def test_an_upload_that_was_completed_is_complete_even_if_s3_lost_the_answer(bucket: Bucket, repeated: str) -> None:
    with lost(clients.s3(), "CompleteMultipartUpload", repeated=repeated) as sent:
        facts = assemble(bucket, "made", *of(*TEXTS))
    assert len(sent) > 1
    assert facts == Facts(3 * PART, 3 * PART, 0)
    assert b"".join(bucket.read([ObjectRange("made", 0, 3 * PART)])) == b"".join(TEXTS)


def test_an_error_in_a_200_is_no_success(bucket: Bucket) -> None:
    """S3 answers 200 before it has joined the parts; the error comes in the body."""
    with lost(clients.s3(), "CompleteMultipartUpload", first="InternalError") as sent:
        assemble(bucket, "made", *of(*TEXTS))
    assert len(sent) == 2
    assert bucket.size("made") == 3 * PART


def test_an_upload_that_is_gone_and_left_no_object_is_begun_anew(bucket: Bucket) -> None:
    with (
        answering(clients.s3(), "CompleteMultipartUpload", "NoSuchUpload", times=1),
        pytest.raises(UploadGone) as gone,
    ):
        assemble(bucket, "made", *of(*TEXTS))
    assert gone.value.new_parts == 3
