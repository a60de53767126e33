"""Files made out of logs, kept under renders/{project}/{identity}, built part by part so that a build can be continued.

A small JSON beside a render says what it is and is written last: where it exists, the render is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from botocore.exceptions import ClientError
from pydantic import BaseModel

from logkeep.aws import clients
from logkeep.aws.multipart import Making, Unfinished, UploadGone, assemble
from logkeep.aws.objects import Bucket, is_absent
from logkeep.downloads.file_store import StoredFile
from logkeep.downloads.rendition import Rendition
from logkeep.extents import Extent, Facts
from logkeep.settings import settings

KEPT_DAYS: Final = 2  # by the bucket's lifecycle
ORDER_LIVES: Final = timedelta(minutes=16)  # as long as a message is hidden from a second worker


class _Sidecar(BaseModel):
    size: int
    raw_size: int
    crc32: int


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

    def build(self, rendition: Rendition, deadline: float) -> Facts | Unfinished:
        """Build a render, or continue one, until the deadline (time.monotonic())."""
        key = self._key(rendition)
        try:
            facts = assemble(self._bucket, key, Making(rendition.make(), deadline), rendition.estimate)
        except UploadGone as gone:
            return self.find(rendition) or Unfinished(gone.new_parts)
        if isinstance(facts, Unfinished):
            return facts
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

    def stored(self, rendition: Rendition, facts: Facts) -> StoredFile:
        """A built render, to be handed out."""
        return StoredFile(
            bucket=self._bucket,
            key=self._key(rendition),
            facts=facts,
            filename=rendition.filename,
            content_type=rendition.content_type,
            content_encoding=rendition.content_encoding,
        )

    def _key(self, rendition: Rendition) -> str:
        return f"renders/{self._project}/{rendition.identity}"


def renders(project: str) -> Renders:
    return Renders(Bucket(clients.s3(), settings().bucket), project)
