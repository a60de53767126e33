"""Objects in the bucket: extents read as one stream, sizes, checksums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from itertools import batched
from typing import TYPE_CHECKING, Final, NamedTuple

from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError
from isal import isal_zlib

from logkeep.errors import Corrupt
from logkeep.extents import Extent, ObjectRange, merged

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK: Final = 1 << 20  # bytes
_GET_MAX: Final = 16 << 20  # bytes of one request: joining ranges reads that far ahead in the extents
_DELETED_AT_ONCE: Final = 1000  # the most that S3 takes
_ATTEMPTS: Final = 3
_BROKEN_OFF: Final = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
_ABSENT: Final = {"NoSuchKey", "404"}


def is_absent(error: ClientError) -> bool:
    """Whether S3 says that there is no such object."""
    return error.response["Error"]["Code"] in _ABSENT


class Whole(NamedTuple):
    """A small object."""

    content: bytes
    modified: datetime


class Bucket:
    def __init__(self, s3: S3Client, name: str) -> None:
        self.s3 = s3
        self.name = name

    def read(self, extents: Iterable[Extent]) -> Iterator[bytes]:
        """The bytes of extents, those of objects in chunks of at most 1 MiB. Adjacent ranges cost one request.

        Raises Corrupt if an object is missing or too short.
        """
        for extent in merged(extents, _GET_MAX):
            if isinstance(extent, ObjectRange):
                yield from self._range(extent)
            else:
                yield extent

    def _range(self, source: ObjectRange) -> Iterator[bytes]:
        position, end = source.start, source.start + source.size
        for attempt in range(_ATTEMPTS):
            try:
                answer = self.s3.get_object(Bucket=self.name, Key=source.key, Range=f"bytes={position}-{end - 1}")
                with closing(answer["Body"]) as body:
                    for chunk in body.iter_chunks(_CHUNK):
                        yield chunk
                        position += len(chunk)
                return
            except ClientError as error:
                if is_absent(error):
                    raise Corrupt(f"the object {source.key} is missing") from error
                if error.response["Error"]["Code"] == "AccessDenied":
                    # What S3 says of a missing object to a role that may not list the bucket.
                    raise Corrupt(f"the object {source.key} is missing, or may not be read") from error
                if error.response["Error"]["Code"] == "InvalidRange":
                    raise Corrupt(f"the object {source.key} ends before byte {position}") from error
                raise
            except _BROKEN_OFF:
                # botocore retries requests, but not a body that breaks off: continue from there.
                if attempt == _ATTEMPTS - 1:
                    raise

    def whole(self, key: str) -> Whole | None:
        """A small object in one piece; None if there is none."""
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = self.s3.get_object(Bucket=self.name, Key=key)
                with closing(answer["Body"]) as body:
                    return Whole(body.read(), answer["LastModified"])
            except ClientError as error:
                if is_absent(error):
                    return None
                raise
            except _BROKEN_OFF:
                if attempt == _ATTEMPTS:
                    raise

    def crc32(self, source: ObjectRange, before: int = 0) -> int:
        """The CRC-32 of a range; with `before`, of the bytes with that CRC-32 followed by the range."""
        for chunk in self.read([source]):
            before = isal_zlib.crc32(chunk, before)
        return before

    def size(self, key: str) -> int | None:
        """Bytes of an object; None if there is none."""
        try:
            return self.s3.head_object(Bucket=self.name, Key=key)["ContentLength"]
        except ClientError as error:
            if is_absent(error):
                return None
            raise

    def sizes(self, prefix: str) -> dict[str, int]:
        """The keys that begin with a prefix, with the sizes of their objects in bytes."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", [])}

    def delete_all(self, keys: Iterable[str]) -> None:
        """Remove objects. Raises OSError if S3 leaves some."""
        for batch in batched(keys, _DELETED_AT_ONCE, strict=False):
            answer = self.s3.delete_objects(
                Bucket=self.name, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
            )
            if errors := answer.get("Errors"):
                raise OSError(f"{len(errors)} objects are left, the first with {errors[0].get('Code')}")

    def delete(self, key: str) -> None:
        """Remove an object that nothing refers to. A failure is ignored: the object only takes space."""
        with suppress(ClientError):
            self.s3.delete_object(Bucket=self.name, Key=key)
