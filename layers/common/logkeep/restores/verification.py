"""Verifications of a backup's archives: requests, results, and the choice of samples."""

import random
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, Self

from isal import isal_zlib
from pydantic import BaseModel, ConfigDict, Field

from logkeep.backups.jobs import Job, Shown
from logkeep.downloads.archive import Entry, ZipLayout
from logkeep.logs.fragment import NotDeflate, inflated

FAILURES_MAX: Final = 20  # failures that a result names
SAMPLES: Final = 16  # files of a chain that are read, besides the manifests
SAMPLE_MAX: Final = 4 << 20  # packed bytes that are read of a file
SAMPLE_TEXT_MAX: Final = 256 << 20  # bytes of text that are inflated of a file; 4 MiB packed can be 4 GiB

type Mode = Literal["attributes", "sample", "full"]


class VerifyRequest(BaseModel):
    """How to verify. `attributes` compares sizes and checksums, `sample` also reads some files, `full` every byte."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = "sample"


class ShownVerification(Shown):
    """A result. `done` and `total` count bytes in mode full, else archives and files."""

    mode: Mode
    state: Literal["running", "passed", "failed"]
    total: int = 0
    done: int = 0
    bytes: int = 0  # that were read
    failures: list[str] = Field(default_factory=list)


class Verification(ShownVerification, Job):
    """A result, and from where a full one continues."""

    archive: int = 0  # in the chain, counted from the newest
    offset: int = 0  # in the archive
    crc32: int = 0  # of the archive up to `offset`

    @classmethod
    def begin(cls, mode: Mode, run: str, now: int) -> Self:
        return cls(mode=mode, state="running", run=run, started_at=now, updated_at=now)

    def failed(self, *failures: str) -> Self:
        """With more failures, each named once and at most FAILURES_MAX."""
        return self.model_copy(update={"failures": list(dict.fromkeys([*self.failures, *failures]))[:FAILURES_MAX]})

    def with_done(self, number: int, read: int = 0) -> Self:
        """With so many more done, for which so many bytes were read."""
        return self.model_copy(update={"done": self.done + number, "bytes": self.bytes + read})

    def ended(self, now: int, why: str | None = None) -> Self:
        result = self.failed(why) if why else self
        state = "failed" if result.failures else "passed"
        return result.model_copy(update={"state": state, "finished_at": now})

    def shown(self) -> ShownVerification:
        return ShownVerification.model_validate(self.model_dump())


class Sample(NamedTuple):
    """A file of an archive that is read."""

    archive: int  # in the chain, counted from the newest
    start: int  # of its packed bytes in the archive
    entry: Entry

    @property
    def size(self) -> int:
        """How many packed bytes of it are read."""
        return min(self.entry.packed, SAMPLE_MAX)

    def is_held_by(self, packed: bytes) -> bool:
        """Whether the first `size` packed bytes of the file are these.

        If the file is longer, this says only whether they can be inflated.
        """
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
    """The manifest of each archive, which is its first file, and SAMPLES other files. One layout is held at a time."""
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
