"""Files made out of logs, kept under renders/{project}/{identity}, built part by part so that a build can be continued.

A small JSON beside a render says what it is and is written last: where it exists, the render is whole. Finished parts
of an upload are its checkpoint; two builders of one render upload equal parts to one upload, which does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from botocore.exceptions import ClientError
from pydantic import BaseModel

from logkeep.aws import clients
from logkeep.aws.download_role import download_signer
from logkeep.aws.objects import Bucket, is_absent
from logkeep.delivery import Link
from logkeep.parts import Copy, Extent, ObjectRange, Upload, part_size_for, plan
from logkeep.rendition import Facts, Rendition
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

LINK_SECONDS: Final = 15 * 60
KEPT_DAYS: Final = 2  # by the bucket's lifecycle
ORDER_LIVES: Final = timedelta(minutes=16)  # as long as a message is hidden from a second worker
_UPLOAD_GONE: Final = "NoSuchUpload"


class _Sidecar(BaseModel):
    size: int
    raw_size: int
    crc32: int


class Unfinished(NamedTuple):
    """A build that ran out of time, behind so many new parts."""

    new_parts: int


class TimeUp(Exception):
    pass


class Making:
    """The extents of a rendition, made until a deadline: then TimeUp is raised. Once consumed, its facts."""

    def __init__(self, rendition: Rendition, deadline: float) -> None:
        self._making = rendition.make()
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


class Renders:
    """The renders of one project."""

    def __init__(self, bucket: Bucket, project: str) -> None:
        self._bucket = bucket
        self._project = project

    def read(self, extents: Iterable[Extent]) -> Iterator[bytes]:
        return self._bucket.read(extents)

    def find(self, rendition: Rendition) -> Facts | None:
        """What was built of a rendition, None if it was not."""
        try:
            answer = self._bucket.s3.get_object(Bucket=self._bucket.name, Key=self._key(rendition) + ".json")
        except ClientError as error:
            if is_absent(error):
                return None
            raise
        if datetime.now(UTC) - answer["LastModified"] > timedelta(days=KEPT_DAYS - 1):
            return None  # it may be gone before a link to it is
        found = _Sidecar.model_validate_json(answer["Body"].read())
        return Facts(found.size, found.raw_size, found.crc32)

    def content(self, rendition: Rendition, facts: Facts) -> Iterator[bytes]:
        """The bytes of a built render."""
        return self.read([ObjectRange(self._key(rendition), 0, facts.size)])

    def build(self, rendition: Rendition, deadline: float) -> Facts | Unfinished:
        """Build a render, or continue one, until the deadline (time.monotonic())."""
        key = self._key(rendition)
        making = Making(rendition, deadline)
        parts = plan(making, part_size_for(rendition.estimate))
        uploaded: list[int] = []
        try:
            first, second = next(parts, None), next(parts, None)
            if second is None and not isinstance(first, Copy):
                body = b"".join(self.read(first.extents)) if first else b""
                self._bucket.s3.put_object(Bucket=self._bucket.name, Key=key, Body=body)
            else:
                self._upload(key, chain((part for part in (first, second) if part), parts), uploaded)
        except TimeUp:
            return Unfinished(len(uploaded))
        except ClientError as error:
            if error.response["Error"]["Code"] != _UPLOAD_GONE:
                raise
            # Another builder has completed the upload that this one shared.
            return self.find(rendition) or Unfinished(len(uploaded))
        facts = making.facts
        sidecar = _Sidecar(**facts._asdict()).model_dump_json().encode()
        self._bucket.s3.put_object(Bucket=self._bucket.name, Key=f"{key}.json", Body=sidecar)
        return facts

    def is_ordered(self, rendition: Rendition) -> bool:
        """Whether the queue was asked for the render so lately that it may still be at it."""
        try:
            marker = self._bucket.s3.head_object(Bucket=self._bucket.name, Key=f"{self._key(rendition)}.ordered")
        except ClientError as error:
            if is_absent(error):
                return False
            raise
        return datetime.now(UTC) - marker["LastModified"] < ORDER_LIVES

    def mark_ordered(self, rendition: Rendition) -> None:
        self._bucket.s3.put_object(Bucket=self._bucket.name, Key=f"{self._key(rendition)}.ordered", Body=b"")

    def link(self, rendition: Rendition, facts: Facts) -> Link:
        """A link to a built render, which lives LINK_SECONDS."""
        expires_at = int(time.time()) + LINK_SECONDS
        parameters = {
            "Bucket": self._bucket.name,
            "Key": self._key(rendition),
            "ResponseContentType": rendition.content_type,
            "ResponseContentDisposition": disposition(rendition.filename),
            "ResponseCacheControl": "private, max-age=900",
        }
        if rendition.content_encoding:
            parameters["ResponseContentEncoding"] = rendition.content_encoding
        return Link(
            url=download_signer().generate_presigned_url("get_object", Params=parameters, ExpiresIn=LINK_SECONDS),
            expires_at=expires_at * 1000,
            size=facts.size,
            raw_size=facts.raw_size,
            crc32=f"{facts.crc32:08x}",
            filename=rendition.filename,
            content_type=rendition.content_type,
            content_encoding=rendition.content_encoding,
        )

    def _upload(self, key: str, parts: Iterable[Upload | Copy], uploaded: list[int]) -> None:
        """Upload what is missing of the parts, in order, note which, and complete the upload."""
        upload_id, done = self._begin(key)
        finished: list[CompletedPartTypeDef] = []
        for number, part in enumerate(parts, 1):
            if number not in done:
                done[number] = self._put_part(key, upload_id, number, part)
                uploaded.append(number)
            finished.append({"PartNumber": number, "ETag": done[number]})
        self._bucket.s3.complete_multipart_upload(
            Bucket=self._bucket.name, Key=key, UploadId=upload_id, MultipartUpload={"Parts": finished}
        )

    def _begin(self, key: str) -> tuple[str, dict[int, str]]:
        """The upload of a key that was begun first, or a new one, and the ETags of its finished parts."""
        s3, name = self._bucket.s3, self._bucket.name
        begun = s3.list_multipart_uploads(Bucket=name, Prefix=key).get("Uploads", [])
        uploads = sorted((each["Initiated"], each["UploadId"]) for each in begun if each["Key"] == key)
        if not uploads:
            return s3.create_multipart_upload(Bucket=name, Key=key)["UploadId"], {}
        upload_id = uploads[0][1]
        pages = s3.get_paginator("list_parts").paginate(Bucket=name, Key=key, UploadId=upload_id)
        return upload_id, {part["PartNumber"]: part["ETag"] for page in pages for part in page.get("Parts", [])}

    def _put_part(self, key: str, upload_id: str, number: int, part: Upload | Copy) -> str:
        where = {"Bucket": self._bucket.name, "Key": key, "UploadId": upload_id, "PartNumber": number}
        if isinstance(part, Upload):
            body = b"".join(self.read(part.extents))
            return self._bucket.s3.upload_part(**where, Body=body)["ETag"]  # type: ignore[arg-type]  # built as a dict
        source = part.source
        answer = self._bucket.s3.upload_part_copy(
            **where,  # type: ignore[arg-type]  # built as a dict
            CopySource={"Bucket": self._bucket.name, "Key": source.key},
            CopySourceRange=f"bytes={source.start}-{source.start + source.size - 1}",
        )
        return answer["CopyPartResult"]["ETag"]

    def _key(self, rendition: Rendition) -> str:
        return f"renders/{self._project}/{rendition.identity}"


def renders(project: str) -> Renders:
    return Renders(Bucket(clients.s3(), settings().bucket), project)


def disposition(filename: str) -> str:
    """A Content-Disposition that every client understands (RFC 6266)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
