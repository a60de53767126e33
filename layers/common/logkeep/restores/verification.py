"""Whether the archives of a backup still hold what they should: requests and results."""

import random
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple, Self

from isal import isal_zlib
from pydantic import BaseModel, ConfigDict, Field

from logkeep.backups.jobs import Job
from logkeep.downloads.archive import Entry, ZipLayout
from logkeep.logs.fragment import NotDeflate, inflated

FAILURES_MAX: Final = 20
SAMPLES: Final = 16  # files of a chain that are read
SAMPLE_MAX: Final = 4 << 20  # packed bytes that are read of one
SAMPLE_TEXT_MAX: Final = 256 << 20  # bytes of text that are inflated of one; 4 MB may hold a thousand times that

type Mode = Literal["attributes", "sample", "full"]


class VerifyRequest(BaseModel):
    """attributes: that the archives are there, of their sizes and checksums; sample: besides, some files of them are
    read; full: every byte is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = "sample"


class Verification(Job):
    """What was found. Of a full one `done` and `total` count bytes, else archives and files."""

    mode: Mode
    state: Literal["running", "passed", "failed"]
    total: int = 0
    done: int = 0
    bytes: int = 0  # that were read
    failures: list[str] = Field(default_factory=list)
    # Where a full one goes on: in which archive, counted from the newest, behind so many bytes of that CRC-32
    archive: int = 0
    offset: int = 0
    crc32: int = 0

    @classmethod
    def begin(cls, mode: Mode, run: str, now: int) -> Self:
        return cls(mode=mode, state="running", run=run, started_at=now, updated_at=now)

    def failed(self, *failures: str) -> Self:
        """With what is wrong besides, in words, each once."""
        return self.model_copy(update={"failures": list(dict.fromkeys([*self.failures, *failures]))[:FAILURES_MAX]})

    def with_done(self, number: int, read: int = 0) -> Self:
        return self.model_copy(update={"done": self.done + number, "bytes": self.bytes + read})

    def ended(self, now: int, why: str | None = None) -> Self:
        told = self.failed(why) if why else self
        state = "failed" if told.failures else "passed"
        return told.model_copy(update={"state": state, "finished_at": now})

    def shown(self) -> dict[str, Any]:
        return self.model_dump(exclude={"run", "archive", "offset", "crc32"})


class Sample(NamedTuple):
    """A file of an archive, which is counted from the newest of a chain."""

    archive: int
    start: int  # of its packed bytes
    entry: Entry

    @property
    def size(self) -> int:
        """Packed bytes of it that are read."""
        return min(self.entry.packed, SAMPLE_MAX)

    def is_held_by(self, packed: bytes) -> bool:
        """Whether these bytes, the first `size` of the file, are its own; of a longer one, whether they inflate."""
        whole = self.size == self.entry.packed
        if whole and isal_zlib.crc32(packed) != self.entry.packed_crc32:
            return False
        if not self.entry.is_deflated:
            return True
        raw, crc32 = 0, 0
        try:
            for text in inflated([packed]):
                raw, crc32 = raw + len(text), isal_zlib.crc32(text, crc32)
                if raw > SAMPLE_TEXT_MAX:
                    return True
        except NotDeflate:
            return False
        return not whole or (raw, crc32) == (self.entry.raw, self.entry.crc32)


def sampled(layouts: Iterable[ZipLayout], chance: random.Random) -> list[Sample]:
    """The first file of each archive, which is its manifest, and SAMPLES others of all; holds one layout at a time."""
    first: list[Sample] = []
    others: list[Sample] = []
    seen = 0
    for number, layout in enumerate(layouts):
        for index, entry in enumerate(layout.entries):
            sample = Sample(number, layout.content_start(index), entry)
            if index == 0:
                first.append(sample)
                continue
            seen += 1  # each is kept with the same chance (Vitter's algorithm R)
            if len(others) < SAMPLES:
                others.append(sample)
            elif (place := chance.randrange(seen)) < SAMPLES:
                others[place] = sample
    return [*first, *others]
