"""Objects built by multipart upload. The finished parts are the checkpoint from which a later call continues.

Two builders of one object share its first upload and write equal parts, which does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from botocore.exceptions import ClientError

from logkeep.aws.objects import Bucket, is_absent
from logkeep.aws.parts import Copy, Upload, part_size_for, plan
from logkeep.errors import Corrupt
from logkeep.extents import Extent, Facts

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

type _Part = dict[str, str]  # ETag, and ChecksumCRC32 if S3 says one

_UPLOAD_GONE: Final = "NoSuchUpload"


class Unfinished(NamedTuple):
    """A build that ran out of time after it wrote `new_parts` parts."""

    new_parts: int


class UploadGone(Exception):
    """Another builder completed or removed the shared upload; this one had written `new_parts` parts."""

    def __init__(self, new_parts: int) -> None:
        super().__init__("the upload is gone")
        self.new_parts = new_parts


class TimeUp(Exception):
    """The deadline has passed."""


class Making:
    """The extents of a file as they are made; `facts` is set once they are consumed.

    Iterating raises TimeUp after `deadline`, which is in seconds of time.monotonic().
    """

    def __init__(self, making: Generator[Extent, None, Facts], deadline: float) -> None:
        self._making = making
        self._deadline = deadline
        self.facts = Facts(0, 0, 0)

    def __iter__(self) -> Iterator[Extent]:
        while time.monotonic() <= self._deadline:
            try:
                yield next(self._making)
            except StopIteration as end:
                self.facts = end.value
                return
        raise TimeUp


def assemble(bucket: Bucket, key: str, making: Making, estimate: int) -> Facts | Unfinished:
    """Build an object, or continue to build it, until the deadline. `estimate` is its size in bytes or more.

    Raises UploadGone if another builder was faster.
    """
    parts = plan(making, part_size_for(estimate))
    uploaded: list[int] = []
    try:
        first, second = next(parts, None), next(parts, None)
        if second is None and not isinstance(first, Copy):
            body = b"".join(bucket.read(first.extents)) if first else b""
            bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=body)
        else:
            _upload(bucket, key, chain((part for part in (first, second) if part), parts), uploaded)
    except TimeUp:
        return Unfinished(len(uploaded))
    except ClientError as error:
        if error.response["Error"]["Code"] != _UPLOAD_GONE:
            raise
        # Another builder completed it. Or we did: its answer was lost, and the repeated request finds the upload gone.
        if making.facts.size and bucket.size(key) == making.facts.size:
            return making.facts
        raise UploadGone(len(uploaded)) from error
    return making.facts


def discard(bucket: Bucket, key: str) -> None:
    """Remove an object and its unfinished uploads."""
    bucket.s3.delete_object(Bucket=bucket.name, Key=key)
    abort(bucket, key)


def abort(bucket: Bucket, key: str) -> None:
    """Remove the unfinished uploads of an object; the object itself stays."""
    for upload_id in _unfinished_uploads(bucket, key):
        with suppress(bucket.s3.exceptions.NoSuchUpload):
            bucket.s3.abort_multipart_upload(Bucket=bucket.name, Key=key, UploadId=upload_id)


def _upload(bucket: Bucket, key: str, parts: Iterable[Upload | Copy], uploaded: list[int]) -> None:
    """Upload the missing parts in order, add their numbers to `uploaded`, and complete the upload."""
    upload_id, done = _join_or_create(bucket, key)
    finished: list[CompletedPartTypeDef] = []
    for number, part in enumerate(parts, 1):
        if number not in done:
            done[number] = _put_part(bucket, key, upload_id, number, part)
            uploaded.append(number)
        finished.append({"PartNumber": number, **done[number]})  # type: ignore[typeddict-item]  # as S3 named them
    bucket.s3.complete_multipart_upload(
        Bucket=bucket.name, Key=key, UploadId=upload_id, MultipartUpload={"Parts": finished}
    )


def _join_or_create(bucket: Bucket, key: str) -> tuple[str, dict[int, _Part]]:
    """The oldest upload of a key, or a new one, and its finished parts by number."""
    s3, name = bucket.s3, bucket.name
    uploads = _unfinished_uploads(bucket, key)
    if not uploads:
        # S3 computes the checksum of the whole from those of its parts, including parts that it copies itself.
        new = s3.create_multipart_upload(Bucket=name, Key=key, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
        return new["UploadId"], {}
    upload_id = uploads[0]
    pages = s3.get_paginator("list_parts").paginate(Bucket=name, Key=key, UploadId=upload_id)
    return upload_id, {part["PartNumber"]: _part(part) for page in pages for part in page.get("Parts", [])}


def _part(answer: Mapping[str, Any]) -> _Part:
    """What completes an upload: the ETag, and the checksum if S3 says one."""
    return {name: answer[name] for name in ("ETag", "ChecksumCRC32") if name in answer}


def _unfinished_uploads(bucket: Bucket, key: str) -> list[str]:
    """The ids of a key's uploads, oldest first."""
    found = bucket.s3.list_multipart_uploads(Bucket=bucket.name, Prefix=key).get("Uploads", [])
    uploads = sorted((each["Initiated"], each["UploadId"]) for each in found if each["Key"] == key)
    return [upload_id for _, upload_id in uploads]


def _put_part(bucket: Bucket, key: str, upload_id: str, number: int, part: Upload | Copy) -> _Part:
    """Upload or copy one part. Raises Corrupt if the object to copy is missing."""
    target = {"Bucket": bucket.name, "Key": key, "UploadId": upload_id, "PartNumber": number}
    if isinstance(part, Upload):
        body = b"".join(bucket.read(part.extents))
        return _part(bucket.s3.upload_part(**target, Body=body))  # type: ignore[arg-type]  # built as a dict
    source = part.source
    try:
        answer = bucket.s3.upload_part_copy(
            **target,  # type: ignore[arg-type]  # built as a dict
            CopySource={"Bucket": bucket.name, "Key": source.key},
            CopySourceRange=f"bytes={source.start}-{source.start + source.size - 1}",
        )
    except ClientError as error:
        if is_absent(error):
            raise Corrupt(f"the object {source.key} is missing") from error
        raise
    return _part(answer["CopyPartResult"])
