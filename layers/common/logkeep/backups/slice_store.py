"""What a backup takes of each log, and the rests of fragments in which the backup before ended.

A log may have been packed since then, so that its last fragment lies within a larger one. The rest of that is packed
anew, into an object at staging/{project}/{cluster}/{record}/{random} that the cut names.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from functools import partial
from typing import Final

from pydantic import BaseModel

from logkeep.aws.multipart import Unfinished
from logkeep.aws.objects import Bucket
from logkeep.backups.cuts import Cut, Mark, Rest, Slice, rest_after
from logkeep.logs.head import Head
from logkeep.logs.reader import LogReader

_NOTE: Final = "slices.json"


class Taken(BaseModel):
    """The slices of a backup whose time ran out while they were looked up."""

    base: str | None
    slices: list[Slice]


class SliceStore:
    """The slices of the backups of one project's cluster."""

    def __init__(self, bucket: Bucket, logs: LogReader, project: str, cluster: str) -> None:
        self._bucket = bucket
        self._logs = logs
        self._folder = f"staging/{project}/{cluster}"

    def collect(
        self, record_id: str, heads: Iterable[Head], base: Cut | None, deadline: float
    ) -> list[Slice] | Unfinished:
        """A slice of each log, in the order of the heads.

        At the deadline (time.monotonic()) it notes those that are done for the next call.
        """
        continued = base.record_id if base else None
        held = {each.log_id: each for each in base.logs} if base else {}
        looked_up = 0

        def rest_of(head: Head, mark: Mark) -> Rest | None:
            nonlocal looked_up
            looked_up += 1
            return rest_after(self._logs, head, mark, partial(self._stage, record_id))

        noted = self._noted(record_id)
        taken = {each.log_id: each for each in noted.slices} if noted and noted.base == continued else {}
        slices = []
        for head in heads:
            name = str(head.log_id)
            slices.append(taken.get(name) or Slice.of(head, held.get(name), rest_of))
            if looked_up and time.monotonic() > deadline:
                self._note(record_id, Taken(base=continued, slices=slices))
                return Unfinished(looked_up)
        return slices

    def discard(self, cut: Cut) -> None:
        """Remove the objects from which the archive of a cut was made."""
        staged = [each.staged for each in cut.logs if each.staged]
        if staged:
            self._bucket.delete(f"{self._folder}/{cut.record_id}/{_NOTE}")
        for each in staged:
            self._bucket.delete(each.key)

    def _stage(self, record_id: str, data: bytes) -> str:
        key = f"{self._folder}/{record_id}/{uuid.uuid4().hex}"
        self._bucket.s3.put_object(Bucket=self._bucket.name, Key=key, Body=data)
        return key

    def _note(self, record_id: str, taken: Taken) -> None:
        key, body = f"{self._folder}/{record_id}/{_NOTE}", taken.model_dump_json().encode()
        self._bucket.s3.put_object(Bucket=self._bucket.name, Key=key, Body=body)

    def _noted(self, record_id: str) -> Taken | None:
        stored = self._bucket.whole(f"{self._folder}/{record_id}/{_NOTE}")
        return Taken.model_validate_json(stored.content) if stored else None
