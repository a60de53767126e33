"""Reads a file as it grows, ahead of what is sent, so that little is lost when the file is emptied."""

import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from itertools import count
from typing import Final

from logkeep_agent.clock import Clock
from logkeep_agent.files import HOLE, Place, Source, hole_in
from logkeep_agent.lines import Lines
from logkeep_agent.rotation import Rotation
from logkeep_agent.state import Mark, Print, State

PIECE: Final = 4_000_000  # bytes; a request may have 4 MiB, and gzip makes what it cannot compress a little longer
_COARSE: Final = 20_000_000  # ns; systems date files by a clock that ticks less often
_LEFT_MAX: Final = 8  # rotated files that are watched for late text
_DONE_MAX: Final = 16  # files whose compressed copies are known again
_MERGED_MAX: Final = 1 << 18  # bytes; so much is joined in memory

_numbers = count()


class Run:
    """Bytes of a file that come one after the other in the log, unless late text of another file comes between them."""

    def __init__(self, source: Source, place: Place, begun: int, lines: Lines | None = None) -> None:
        self.number = next(_numbers)
        self.source, self.begun, self.written = source, begun, source.modified
        self.place, self.lines = place, lines or Lines()  # up to which it was read
        self.crc32, self.crc_from = 0, place.position
        self.sent, self.sent_lines = place, self.lines  # up to which it was sent
        self.start, self.last, self.base, self.is_joined = place.position, place.last, Mark(), False
        self.next = source.next(place.position)  # what came first when this was begun, also if it is not sent yet
        self.joins: Run | None = None  # the run whose half line it continues
        self.nul_until = 0
        self.is_first = False  # nothing of this path comes before it that was not read
        self.is_over = False  # it is compressed, and was read to its end

    def grow(self, text: bytes) -> None:
        self.place, self.lines = self.place.grown(text), self.lines.grown(text)
        self.crc32 = zlib.crc32(text, self.crc32)

    def rebase(self, base: Mark, is_joined: bool) -> None:
        """What follows is sent from a place in the log that is not where the last piece of this run ended.

        `is_joined`: the line before that place is the file's own.
        """
        if self.start != self.sent.position:
            self.next = Print()
        self.start, self.last, self.base, self.is_joined = self.sent.position, self.sent.last, base, is_joined


@dataclass(frozen=True)
class Chunk:
    """Text that was read and waits to be sent; then its run was sent up to the place."""

    run: Run
    main: Run  # the run that was read when it came; another one than `run` if the text came late
    text: bytes
    place: Place
    lines: Lines
    day: str


class Reader:
    """Follows one file and those after it. What it has read waits in `chunks`."""

    def __init__(
        self,
        rotation: Rotation,
        report: Callable[[str], None],
        clock: Clock,
        *,
        settle: float,
        ahead: int,
        zone: tzinfo | None,
    ) -> None:
        """`ahead` is a number of bytes. A log a day has days in `zone`, if not None."""
        self._rotation, self._report, self._clock = rotation, report, clock
        self._settle, self._ahead, self._zone = settle, ahead, zone
        self.run: Run | None = None
        self.left: list[Run] = []
        self.chunks: deque[Chunk] = deque()
        self.flight = 0  # chunks that are being sent, or may have been: there was no answer
        self.size = 0  # of all chunks
        self.day = ""
        self.is_ending = False
        self._last: Run | None = None  # whose text was read last
        self._is_open = False  # whether it ended within a line
        self._done: deque[tuple[Print, int, Place, int]] = deque(maxlen=_DONE_MAX)
        self._read_at = 0.0  # when the file was last read to its end

    def begin(self, run: Run, end: Mark, day: str) -> None:
        self.run, self._last, self._is_open, self.day = run, run, end.is_open, day
        self._read_at = self._clock.monotonic()

    def now(self) -> int:
        """The time, in epoch ns, that no file written from now on is dated before."""
        return self._clock.wall() - _COARSE

    def day_of(self, source: Source) -> str:
        """The day that text of a file belongs to: that on which it was last written, but no earlier than the last."""
        if not self._zone:
            return ""
        written = datetime.fromtimestamp(min(source.modified, self._clock.wall()) / 1e9, UTC)
        return max(self.day, written.astimezone(self._zone).strftime("%Y-%m-%d"))

    def read(self) -> bool:
        """Read some text, or turn to the next file. False if there is nothing to do, or too much waits to be sent."""
        run = self.run
        if not run or self.size >= self._ahead:
            return False
        if self._read_late(run):
            return True
        if not run.place.position and not run.is_first and self._is_after_copy(run):
            return True
        # Of a few NUL bytes it could not be seen whether they begin a hole.
        piece = run.source.read(run.place.position, max(HOLE, min(PIECE, self._ahead - self.size)))
        if not run.place.is_in(run.source):
            self.run = self._rewritten(run)
            return True
        if piece and self._take(run, piece):
            return True
        self._read_at = self._clock.monotonic()
        waiting = self._rotation.waiting
        if not waiting or not self._is_settled(run.source):
            return False
        following = waiting.pop(0)
        if self._is_done(run, following):
            following.close()
            return True
        self._leave(run)
        self.run = self._next(run, following)
        return True

    def close(self) -> None:
        for run in (*self.left, *([self.run] if self.run else [])):
            run.source.close()
        self.run, self.left, self.size, self.flight = None, [], 0, 0
        self.chunks.clear()

    def late(self, main: Run) -> list[Run]:
        """The files that were left before a run was begun."""
        return [run for run in self.left if run.number < main.number]

    # Text

    def _take(self, run: Run, piece: bytes) -> bool:
        """Put a piece in line, or skip the NUL bytes that it begins with. False if nothing but these follows."""
        hole = hole_in(piece, at_start=run.place.position == 0)
        if hole is None:
            # A run of NUL bytes at the end may become a hole.
            self._put(run, run, piece.rstrip(b"\0") or piece)
            return True
        if hole:
            self._put(run, run, piece[:hole])
            return True
        position = run.place.position
        run.nul_until = run.source.after_nul(max(position, run.nul_until))
        if not run.source.read(run.nul_until, 1):
            return False
        self._report(f"skips {run.nul_until - position} NUL bytes of {run.source.name} at byte {position}: a hole")
        self.run = Run(run.source, Place.of(run.source, run.nul_until), run.begun, run.lines)
        return True

    def _read_late(self, main: Run) -> bool:
        """Read what was written to a file after the next one had been begun."""
        for run in list(self.left):
            if run.is_over or (run.source.size == run.place.position and not run.source.is_packed):
                continue
            piece = run.source.read(run.place.position, min(PIECE, self._ahead - self.size))
            if not run.place.is_in(run.source):
                self.left.remove(run)
                run.source.close()
                continue
            run.is_over = run.source.is_packed and not piece
            is_ending = self.is_ending or run.source.is_packed
            text = piece if is_ending else piece[: piece.rfind(b"\n") + 1]
            if text and (self.is_ending or self._last is run or not self._is_open):
                self._report(f"sends {len(text)} bytes that were written late to {run.source.name}")
                self._put(run, main, text)
                return True
        return False

    def _put(self, run: Run, main: Run, text: bytes) -> None:
        day = self.day_of(run.source)
        if day != self.day and self._is_open and self._last is run:  # the rest of a line belongs to its beginning
            size = text.find(b"\n") + 1 or len(text)
            self._put_of_day(run, main, text[:size], self.day)
            text = text[size:]
        if text:
            self._put_of_day(run, main, text, day)

    def _put_of_day(self, run: Run, main: Run, text: bytes, day: str) -> None:
        run.grow(text)
        self.day, self._last, self._is_open = day, run, not text.endswith(b"\n")
        self.size += len(text)
        chunk = Chunk(run, main, text, run.place, run.lines, day)
        if len(self.chunks) > self.flight:
            last = self.chunks[-1]
            is_small = len(last.text) + len(text) <= min(PIECE, _MERGED_MAX)
            if is_small and (last.run, last.main, last.day) == (run, main, day):
                self.chunks[-1] = replace(chunk, text=last.text + text)
                return
        self.chunks.append(chunk)

    # Files

    def _is_settled(self, source: Source) -> bool:
        """Whether a rotated file is complete."""
        waiting = self._rotation.waiting
        if len(waiting) > 1 or source.is_packed:
            return True
        # While the writer has not noticed the rotation, it writes to the old file, and the new one is empty.
        return waiting[0].size > 0 and self._clock.wall() - source.modified >= self._settle * 1e9

    def _is_done(self, run: Run, following: Source) -> bool:
        """Whether a compressed file is one that was read. Its time is no proof, because not all programs keep it."""
        if not following.is_packed:
            return False
        read = (run.place.first, run.crc_from, run.place, run.crc32)
        return any(
            upto.position
            and following.has(first)
            and following.has(upto.last, upto.position - upto.last.size)
            and following.crc32(upto.position - start, start=start) == crc32
            for first, start, upto, crc32 in (read, *self._done)
        )

    def _is_after_copy(self, run: Run) -> bool:
        """Whether a file was emptied before anything of it was read, and a copy holds that. Then that is read first."""
        source = run.source
        if source.is_packed or source.path != self._rotation.family.member or not source.size:
            return False
        run.is_first = True
        have = {each.source.identity for each in self.left}
        copy = self._rotation.copy_before(
            source, run.begun, lambda found: found.identity in have or self._is_done(run, found)
        )
        if not copy:
            return False
        source.close()
        self.run = Run(copy, Place(), run.begun)
        return True

    def _leave(self, run: Run) -> None:
        self._done.append((run.place.first, run.crc_from, run.place, run.crc32))
        if run.nul_until > run.place.position:
            self._report(f"skips {run.nul_until - run.place.position} NUL bytes at the end of {run.source.name}")
            run.source.close()
        elif run.source.is_packed:
            run.source.close()
        else:
            self.left.append(run)
        for old in self.left[:-_LEFT_MAX]:
            self.left.remove(old)
            old.source.close()

    def _next(self, run: Run, following: Source) -> Run:
        # An editor removes the old file. The new one may have been rotated since.
        is_removed = run.source.path == run.source.member and not self._rotation.is_rotated(run.source)
        is_long = following.is_packed or 2 * following.size >= run.place.position
        if is_removed and is_long and (edited := self.edited(following, run.lines, run)):
            return edited
        is_last = not self._rotation.waiting
        # Until some of it was sent, a compressed copy of it counts as a file after it.
        return Run(following, Place(), self.now() if is_last else following.modified - 1)

    def edited(self, source: Source, lines: Lines, before: Run | None = None) -> Run | None:
        """Continue a file after lines that were sent before an editor wrote it anew. None if it is another text.

        `before` is the run that read them.
        """
        found = lines.place_in(source.blocks)
        if found is None:
            return None
        position, is_joined = found
        self._report(f"{source.name} was edited: what was sent of it is not sent again; continues with byte {position}")
        run = Run(source, Place.of(source, position), self.now(), lines)
        run.joins = (before or run) if is_joined else None
        return run

    def _rewritten(self, run: Run) -> Run:
        """The file was truncated, or written anew. A copy of it may hold what was not read."""
        source, place = run.source, run.place
        copy = self._rotation.copy_of(source, place, run.begun, run.crc32, run.crc_from)
        if copy:
            self._report(f"continues with byte {place.position} of {copy.path}, a copy of {source.name}")
            run.source.close()
            run.source = copy
            return run
        ago = self._clock.monotonic() - self._read_at
        self._report(
            f"LOST: {source.name} was truncated, and there is no copy of it; "
            f"what was written after byte {place.position}, which was read {ago:.1f} seconds ago, was not sent"
        )
        return Run(source, Place(), self.now())


def run_of(source: Source, state: State, position: int, end: Mark) -> Run:
    """Continue a file at the place that a state names."""
    run = Run(source, Place.of(source, position), state.begun)
    run.start, run.last, run.base, run.written = state.start, state.last, state.base, state.written
    run.next = state.next or run.next if position == state.start else Print()
    run.lines = run.sent_lines = state.lines_after if end == state.after else state.lines_before
    if end.bytes > state.base.bytes or state.joined:
        run.joins = run
    return run
