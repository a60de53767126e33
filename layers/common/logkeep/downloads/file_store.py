"""Files in the bucket that are given to clients: as content, or as a link."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from logkeep.aws.download_role import download_signer
from logkeep.aws.objects import Bucket
from logkeep.extents import Facts, ObjectRange
from logkeep.web.delivery import Link

LINK_SECONDS: Final = 15 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """An object in the bucket, and how a client is to receive it."""

    bucket: Bucket
    key: str
    facts: Facts
    filename: str
    content_type: str
    content_encoding: str | None = None

    def content(self) -> Iterator[bytes]:
        """The object's bytes."""
        return self.bucket.read([ObjectRange(self.key, 0, self.facts.size)])

    def link(self) -> Link:
        """A presigned URL that works for LINK_SECONDS."""
        expires_at = int(time.time()) + LINK_SECONDS
        parameters = {
            "Bucket": self.bucket.name,
            "Key": self.key,
            "ResponseContentType": self.content_type,
            "ResponseContentDisposition": disposition(self.filename),
            "ResponseCacheControl": "private, max-age=900",
        }
        if self.content_encoding:
            parameters["ResponseContentEncoding"] = self.content_encoding
        signer = download_signer(self.key)
        return Link(
            url=signer.generate_presigned_url("get_object", Params=parameters, ExpiresIn=LINK_SECONDS),
            expires_at=expires_at * 1000,
            size=self.facts.size,
            raw_size=self.facts.raw_size,
            crc32=f"{self.facts.crc32:08x}",
            filename=self.filename,
            content_type=self.content_type,
            content_encoding=self.content_encoding,
        )


def disposition(filename: str) -> str:
    """The value of a Content-Disposition header that every client understands (RFC 6266)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
