"""The events of services that a backup takes: read from the table and stored packed before a cut names them.

Every worker stores objects of its own at staging/{project}/{cluster}/{record}/{random}, so no worker overwrites an
object that another one has named. Objects that no cut names expire by the bucket's lifecycle.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pydantic import BaseModel, Field

from logkeep.aws.multipart import Unfinished
from logkeep.aws.objects import Bucket
from logkeep.backups.cuts import Cut
from logkeep.backups.event_files import OVERLAP, PIECES_MAX, EventFile, Piece, in_order, pack_lines
from logkeep.clock import now_ms
from logkeep.errors import TooLarge
from logkeep.events.segments import PackedSegment
from logkeep.events.store import event_store

_NOTE: Final = "collected.json"


class Collected(BaseModel):
    """The event files of a backup as far as they were read. Times are in epoch milliseconds."""

    created_at: int  # before the first was read: an event received later is in this backup or in the next one
    base: str | None
    files: list[EventFile]
    current: int = 0  # index of the file that is being read
    read_to: str | None = Field(default=None, alias="behind")  # the last segment of it that was read

    @classmethod
    def begin(cls, services: Iterable[str], base: Cut | None) -> Collected:
        """Nothing read yet. A service that the base does not hold is read from its first event."""
        held = {each.service for each in base.events} if base else set()
        since = base.created_at - OVERLAP if base else None
        files = [EventFile(service=each, since=since if each in held else None) for each in services]
        return cls(created_at=now_ms(), base=base.record_id if base else None, files=files)

    @property
    def pieces(self) -> int:
        return sum(len(each.pieces) for each in self.files)


class EventFileStore:
    """The event files of the backups of one project's cluster."""

    def __init__(self, bucket: Bucket, project: str, cluster: str) -> None:
        self._bucket = bucket
        self._project = project
        self._folder = f"staging/{project}/{cluster}"

    def collect(
        self, record_id: str, services: Sequence[str], base: Cut | None, deadline: float
    ) -> Collected | Unfinished:
        """Store the events of services. At the deadline (time.monotonic()) note the progress for the next call.

        Raises TooLarge if there are more objects than a cut can name.
        """
        if not services:
            return Collected.begin((), base)
        collected = self._noted(record_id)
        if collected is None or collected.base != (base.record_id if base else None):
            collected = Collected.begin(services, base)
        segments = 0
        while collected.current < len(collected.files):
            reading = self._read(record_id, collected, deadline)
            segments += reading.segments
            if reading.timed_out:
                if segments:
                    self._note(record_id, collected)
                return Unfinished(segments)
            collected.current, collected.read_to = collected.current + 1, None
        return collected

    def discard(self, cut: Cut) -> None:
        """Remove the objects from which the archive of a cut was made."""
        if cut.events:
            self._bucket.delete(f"{self._folder}/{cut.record_id}/{_NOTE}")
        for file in cut.events:
            for piece in file.pieces:
                self._bucket.delete(piece.key)

    def _read(self, record_id: str, collected: Collected, deadline: float) -> _Reading:
        """Continue the current file, a piece at a time."""
        file = collected.files[collected.current]
        store = event_store(self._project, file.service)
        start = collected.read_to or store.first_kept(collected.created_at)
        reading = _Reading(in_order(store, start), deadline)
        for packed in pack_lines(reading, file.since):
            if collected.pieces >= PIECES_MAX:
                raise TooLarge(f"the events of service {file.service} do not fit into one backup")
            key = f"{self._folder}/{record_id}/{uuid.uuid4().hex}"
            self._bucket.s3.put_object(Bucket=self._bucket.name, Key=key, Body=packed.data)
            file.pieces.append(Piece.of(key, packed))
        collected.read_to = reading.read_to or start
        return reading

    def _note(self, record_id: str, collected: Collected) -> None:
        key, body = f"{self._folder}/{record_id}/{_NOTE}", collected.model_dump_json(by_alias=True).encode()
        self._bucket.s3.put_object(Bucket=self._bucket.name, Key=key, Body=body)

    def _noted(self, record_id: str) -> Collected | None:
        stored = self._bucket.whole(f"{self._folder}/{record_id}/{_NOTE}")
        return Collected.model_validate_json(stored.content) if stored else None


class _Reading:
    """Segments until a deadline (time.monotonic()); counts those that were consumed."""

    def __init__(self, segments: Iterator[PackedSegment], deadline: float) -> None:
        self._segments = segments
        self._deadline = deadline
        self.read_to: str | None = None  # the last segment that was consumed
        self.segments = 0
        self.timed_out = False

    def __iter__(self) -> Iterator[PackedSegment]:
        for each in self._segments:
            if time.monotonic() > self._deadline:
                self.timed_out = True
                return
            yield each
            self.read_to, self.segments = each.at, self.segments + 1
