"""Renders in the bucket, under renders/{project}/{identity} (docs/formats.md#renders).

They are built part by part, so that a build can be continued. A JSON file beside a render has its facts and is written
last: if it exists, the render is complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from botocore.exceptions import ClientError
from pydantic import BaseModel

from logkeep.aws import clients
from logkeep.aws.multipart import Making, Unfinished, UploadGone, assemble, discard
from logkeep.aws.objects import Bucket, is_absent
from logkeep.downloads.file_store import StoredFile
from logkeep.downloads.plan_store import Noting, note_owners, owners_folder
from logkeep.downloads.rendition import Rendition
from logkeep.extents import Extent, Facts
from logkeep.settings import settings

KEPT_DAYS: Final = 2  # then the bucket's lifecycle deletes a render
# The time of a worker and the minute after which Lambda calls another one. Later, requests build and order again.
ORDER_LIVES: Final = timedelta(minutes=16)


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
        """The facts of the render, None if it is not built or will soon be deleted."""
        stored = self._bucket.whole(self._key(rendition) + ".json")
        if stored is None:
            return None
        if datetime.now(UTC) - stored.modified > timedelta(days=KEPT_DAYS - 1):
            return None  # it may be deleted before a link to it expires
        found = _Sidecar.model_validate_json(stored.content)
        return Facts(found.size, found.raw_size, found.crc32)

    def build(self, rendition: Rendition, deadline: float, logs: Noting | None = None) -> Facts | Unfinished:
        """Build a render, or continue to, until the deadline (a time of time.monotonic()).

        `logs` has given the heads of its logs. Raises LogNotFound if one of them was deleted meanwhile.
        """
        key = self._key(rendition)
        if logs:
            note_owners(self._bucket, self._project, key, logs.given)
        try:
            facts = assemble(self._bucket, key, Making(rendition.make(), deadline), rendition.estimate)
        except UploadGone as gone:
            return self.find(rendition) or Unfinished(gone.new_parts)
        if isinstance(facts, Unfinished):
            return facts
        if logs:
            logs.check()
        sidecar = _Sidecar(**facts._asdict()).model_dump_json().encode()
        self._bucket.s3.put_object(Bucket=self._bucket.name, Key=f"{key}.json", Body=sidecar)
        return facts

    def remove(self, owner: str) -> None:
        """Remove all renders and plans of logs of an owner, one of whose logs was deleted."""
        folder = owners_folder(self._project, owner)
        for note in self._bucket.sizes(folder):
            key = f"renders/{self._project}/{note.removeprefix(folder).replace('~', '/')}"
            # The sidecar first: while it is there, readers take the render to be whole.
            self._bucket.delete_all([f"{key}.json", f"{key}.ordered"])
            discard(self._bucket, key)
            self._bucket.delete_all([note])

    def is_ordered(self, rendition: Rendition) -> bool:
        """Whether the render was ordered so recently that a worker may still be building it."""
        try:
            marker = self._bucket.s3.head_object(Bucket=self._bucket.name, Key=f"{self._key(rendition)}.ordered")
        except ClientError as error:
            if is_absent(error):
                return False
            raise
        return datetime.now(UTC) - marker["LastModified"] < ORDER_LIVES

    def mark_ordered(self, rendition: Rendition) -> None:
        """Note that a worker was ordered to build the render."""
        self._bucket.s3.put_object(Bucket=self._bucket.name, Key=f"{self._key(rendition)}.ordered", Body=b"")

    def stored(self, rendition: Rendition, facts: Facts) -> StoredFile:
        """A built render, as a file for clients."""
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
    """The renders of a project in this deployment."""
    return Renders(Bucket(clients.s3(), settings().bucket), project)
