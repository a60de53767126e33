"""Ships a file as it grows, and the files after it, so that the log holds each byte once and in order."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from itertools import islice
from pathlib import Path
from typing import Final

from logkeep_agent import Refused, reading
from logkeep_agent.clock import TICK, Clock
from logkeep_agent.files import Place, Source
from logkeep_agent.names import Family
from logkeep_agent.reading import Chunk, Reader, Run, run_of
from logkeep_agent.rotation import Rotation
from logkeep_agent.service import Certificate, Gap, Later, Service
from logkeep_agent.state import Left, Mark, State

# Seconds without an answer after which the agent gives up, with --once, and after a signal.
ONCE_PATIENCE: Final = 300.0
STOP_PATIENCE: Final = 10.0
_INTERVAL: Final = (3.0, 30.0)  # seconds between two requests, at least and at most
_BACK_OFF_MAX: Final = 30.0  # seconds
_WAIT_MAX: Final = 300.0  # seconds, even if the service asks for more
_REPORT_AGAIN: Final = 60.0  # seconds after which it is reported again that the service does not answer
_OTHERS: Final = "someone else writes to this log"


@dataclass(frozen=True)
class Options:
    once: bool = False  # end when everything that is there was sent
    seal: bool = False  # seal the log at the end
    append: bool = False  # ship the file after what the log already holds
    interval: float | None = None  # seconds between two requests; None: as the service asks
    settle: float = 5.0  # seconds without a new byte after which a rotated file is complete
    ahead: int = 16_000_000  # bytes that are read before they can be sent
    rotated: tuple[Path, ...] = ()  # directories to which files are rotated, beside their own
    zone: tzinfo | None = None  # of the days of a log a day
    log_id: Callable[[str], str] | None = None  # the id of a day's log (2026-11-22); None: one log
    discard: bool = False  # remove files that were sent


class Shipper:
    """Ships one path. `stopping` may be set at any time: then it sends what is there and ends.

    So may `is_complete`, when nothing more will be written; then it ends as if with Options.once.
    """

    def __init__(
        self,
        service: Service,
        path: Path,
        state: Path,
        options: Options,
        report: Callable[[str], None],
        clock: Clock | None = None,
    ) -> None:
        self._service, self._path, self._state_path, self._options = service, path, state, options
        self._report = report
        self._clock = clock or Clock()
        self._rotation = Rotation(Family(path, options.rotated), report)
        self._reader = Reader(
            self._rotation,
            report,
            self._clock,
            settle=options.settle,
            ahead=options.ahead,
            zone=options.zone if options.log_id else None,
        )
        self.stopping = False
        self.is_complete = False
        self._stopped_at: float | None = None
        self._end = Mark()  # of the log
        self._day = ""  # of the log
        self._main: Run | None = None  # the run that the state names
        self._last: Run | None = None  # whose text is at the end of the log
        self._found: Source | None = None  # the first file, until the service has answered where the log ends
        self._found_at = 0  # epoch ns
        self._due = 0.0  # when to send the next request
        self._failures = 0  # since the last answer
        self._reported_at = 0.0
        self._waits_for_file = False

    @property
    def identities(self) -> set[tuple[int, int]]:
        """The files that are held open."""
        run, found = self._reader.run, self._found
        sources = [*([run.source] if run else []), *([found] if found else []), *self._rotation.waiting]
        return {each.identity for each in sources + [left.source for left in self._reader.left]}

    def run(self) -> bool:
        """Ship until there is nothing left to do. Returns whether everything was sent. Raises Refused."""
        answered = self._clock.monotonic()
        was_stopping, stopped = False, self._clock.monotonic()
        while True:
            now = self._clock.monotonic()
            if not self._failures:
                answered = now
            if self.stopping and not was_stopping:
                stopped = answered = self._due = now
                was_stopping = True
            ending = self._is_ending()
            self._read()
            if now >= self._due or (not self._failures and (ending or self._is_behind())):
                try:
                    if self._advance():
                        continue
                    if ending and not self._must_wait(now - stopped):
                        self._finish()
                        return True
                except Later as later:
                    self._put_off(later)
            patience = STOP_PATIENCE if self.stopping else ONCE_PATIENCE
            if ending and self._failures and now >= answered + patience:
                return False
            self._clock.sleep(TICK)

    def close(self) -> None:
        self._rotation.close()
        self._reader.close()
        if self._found:
            self._found.close()
        self._found = self._main = self._last = None

    def _is_ending(self) -> bool:
        return self._options.once or self.stopping or self.is_complete

    # Reading

    def _read(self) -> None:
        """Read what was written since the last look, also while a request is under way."""
        run = self._reader.run
        if run:
            self._look(run)
        elif self._found:
            self._rotation.look(self._found, self._found_at)
        self._reader.is_ending = self._is_ending() and not self._rotation.waiting
        while self._reader.read():
            if self._reader.run and self._reader.run is not run:
                run = self._reader.run
                self._look(run)

    def _look(self, run: Run) -> None:
        self._rotation.look(run.source, run.begun, [each.source for each in self._reader.left])

    def _meanwhile(self) -> None:
        """Raises Later if the agent is to end and has waited long enough."""
        self._read()
        if not self.stopping:
            return
        now = self._clock.monotonic()
        self._stopped_at = self._stopped_at or now
        if now >= self._stopped_at + STOP_PATIENCE:
            raise Later("the service does not answer in time")

    def _ask(self, call: Callable[[], Certificate]) -> Certificate:
        return self._clock.during(call, self._meanwhile)

    # Sending

    def _advance(self) -> bool:
        """Send a piece; False if there is nothing to do yet. Raises Later."""
        if not self._reader.run:
            return self._resume()
        if self._reader.chunks:
            self._send()
            return True
        if self._main is not self._reader.run:
            self._adopt(self._reader.run)
        return self._reader.read()

    def _send(self) -> None:
        chunks = self._next_chunks()
        run, main, last = chunks[0].run, chunks[0].main, chunks[-1]
        if last.day != self._day:
            self._turn_to(last.day, main)
        if self._main is not main:
            self._adopt(main)
        # Half a line, and then another file: without a line's end, its first record would be part of that line.
        glue = b"\n" if self._end.is_open and not self._is_of(run) else b""
        if self._last is not run or main is not run:
            main.rebase(self._end.plus(glue) if main is run else self._end, self._is_of(main))
        text = glue + b"".join(chunk.text for chunk in chunks)
        after = self._end.plus(text)
        self._save(main, after, last)
        # Until there is an answer, the same text is sent, so that the log ends before or after it, as the state says.
        self._reader.flight = len(chunks)
        try:
            certificate = self._ask(lambda: self._service.append(self._end.bytes, text))
        except Gap as gap:
            self.close()  # and find the place again
            raise Later(f"{gap}; the log holds less than the service certified") from gap
        self._reader.flight = 0
        self._answered()
        if Mark(certificate.bytes, certificate.crc32) != after:
            raise Refused(
                f"{self._service.log_id} holds {certificate.bytes} bytes, but {after.bytes} were sent: {_OTHERS}"
            )
        if glue:
            self._report(f"{self._service.log_id} ended within a line, which was ended at byte {self._end.bytes}")
        self._end, self._last = after, run
        run.sent, run.sent_lines = last.place, last.lines
        for _ in chunks:
            self._reader.size -= len(self._reader.chunks.popleft().text)
        self._due = self._clock.monotonic() + self._interval(certificate)

    def _is_of(self, run: Run) -> bool:
        """Whether the line at the end of the log is one that a run continues."""
        return self._last is not None and self._last in {run, run.joins}

    def _next_chunks(self) -> list[Chunk]:
        if self._reader.flight:
            return list(islice(self._reader.chunks, self._reader.flight))
        chunks: list[Chunk] = []
        size = 0
        for chunk in self._reader.chunks:
            size += len(chunk.text)
            is_next = not chunks or (chunks[0].run, chunks[0].main, chunks[0].day) == (chunk.run, chunk.main, chunk.day)
            if not is_next or (chunks and size > reading.PIECE):
                break
            chunks.append(chunk)
        return chunks

    def _adopt(self, main: Run) -> None:
        """Everything before a run was sent. Its place is saved to disk before any of it is sent."""
        before = self._main
        self._main = main
        main.rebase(self._end, self._is_of(main))
        self._save(main, self._end, None)
        position = main.sent.position
        what = f"continues with byte {position} of" if position else "begins with"
        self._report(f"{what} {main.source.path} at byte {self._end.bytes} of {self._service.log_id}")
        if self._options.discard and before and before.source.path != before.source.member:
            before.source.path.unlink(missing_ok=True)

    def _save(self, main: Run, after: Mark, piece: Chunk | None) -> None:
        """Write the state down, before a piece is sent that ends with the given one."""
        late = piece.run if piece and piece.run is not main else None
        left = sorted(self._reader.late(main), key=lambda each: each is not late)
        device, inode = main.source.identity
        is_own = piece and not late
        State(
            project=self._service.project,
            log_id=self._service.log_id,
            day=self._day,
            path=str(main.source.path),
            member=str(main.source.member),
            device=device,
            inode=inode,
            begun=main.begun,
            written=main.written,
            start=main.start,
            base=main.base,
            before=self._end,
            after=after,
            first=(piece.place if piece and is_own else main.sent).first,
            last=main.last,
            next=main.next,
            lines_before=main.sent_lines,
            lines_after=piece.lines if piece and is_own else main.sent_lines,
            left=tuple(map(_left, left)),
            late=piece.place.position - late.sent.position if piece and late else 0,
            joined=main.is_joined,
        ).save(self._state_path)

    def _turn_to(self, day: str, main: Run) -> None:
        """Begin the log of a day. The one before is complete. Raises Later, or Refused if the log holds something."""
        if self._options.seal and self._day:
            self._ask(lambda: self._service.seal(self._end.bytes, self._end.crc32))
        service = self._service.at(self._log_id(day))
        certificate = self._ask(service.certificate)
        self._answered()
        if certificate.bytes and not self._options.append:
            raise Refused(f"{service.log_id} holds {certificate.bytes} bytes already. To ship after them, use --append")
        self._service, self._day, self._last = service, day, None
        self._end = Mark(certificate.bytes, certificate.crc32)
        self._adopt(main)

    def _log_id(self, day: str) -> str:
        return self._options.log_id(day) if self._options.log_id else self._service.log_id

    def _interval(self, certificate: Certificate) -> float:
        """Seconds until the next request."""
        least, most = _INTERVAL
        if self._options.interval is not None:
            return self._options.interval
        return most if certificate.interval is None else max(least, min(most, certificate.interval))

    def _is_behind(self) -> bool:
        """Whether more waits than one request carries."""
        run = self._reader.run
        if not run:
            return False
        return run.source.is_packed or len(self._rotation.waiting) > 1 or self._reader.size >= reading.PIECE

    def _put_off(self, later: Later) -> None:
        self._failures += 1
        most = min(_BACK_OFF_MAX, 0.5 * 2 ** min(self._failures, 10))
        now = self._clock.monotonic()
        self._due = now + max(min(later.wait, _WAIT_MAX), random.uniform(most / 2, most))  # noqa: S311 - jitter, no secret
        if self._failures == 1 or now >= self._reported_at + _REPORT_AGAIN:
            self._reported_at = now
            self._report(f"{later}; will try again")

    def _answered(self) -> None:
        if self._failures:
            self._report(f"the service answers again, after {self._failures} tries")
        self._failures = 0

    def _must_wait(self, stopped_for: float) -> bool:
        """Whether an agent that should end must stay, because the next file has text and this one may still grow.

        One that was stopped waits some seconds for it.
        """
        wanted = self._options.once or self._options.seal or self.is_complete
        return bool(self._left) and (wanted or stopped_for < STOP_PATIENCE)

    @property
    def _left(self) -> list[Source]:
        """The files with text that come after the one that is being shipped."""
        return [source for source in self._rotation.waiting if source.size]

    def _finish(self) -> None:
        """Everything was sent: seal the log if that was asked for. Raises Later."""
        if not self._reader.run:
            if self._options.once:
                raise Refused(f"{self._path}: no such file")
            return
        # A day's log is sealed when the next one begins.
        is_sealed = self._options.seal and not self._day
        if is_sealed:
            self._ask(lambda: self._service.seal(self._end.bytes, self._end.crc32))
        done = "is sealed" if is_sealed else "is up to date"
        self._report(f"{self._service.log_id} {done}: {self._end.bytes} bytes, crc32 {self._end.crc32:08x}")
        for source in self._left:
            self._report(f"{source.path} was not sent yet; start again to send it")

    # Finding the place

    def _resume(self) -> bool:
        """Find the file and the position in it with which the log ends; False while there is no file. Raises Later."""
        state = State.load(self._state_path)
        if not state and not self._find():
            return False
        if state or self._found:
            self._day = state.day if state else self._reader.day_of(self._found) if self._found else ""
            self._service = self._service.at(self._log_id(self._day))
        held = state.after.bytes if state else 0
        certificate = self._ask(lambda: self._service.certificate(held))
        self._answered()
        self._end = Mark(certificate.bytes, certificate.crc32)
        if not state:
            return self._start()
        self._check(state)
        self._end = state.at(self._end)
        run = self._held(state) or self._edited(state)
        if not run:
            if not self._rotation.since(state):
                self._due = self._clock.monotonic() + self._interval(certificate)
                return False
            self._report_gone(state)
            run = Run(source := self._rotation.waiting.pop(0), Place(), source.modified - 1)
            self._begin(run, None)
            return True
        was_late = state.late and self._end == state.after
        self._begin(run, None if was_late else run.joins)
        return True

    def _report_gone(self, state: State) -> None:
        gone = state.path or "the file that was being shipped"
        if not (state.first or state.next):
            # It was empty when it was last seen, so a compressed or edited copy cannot be recognized.
            waiting = self._rotation.waiting
            is_known = self._rotation.has_older or (state.device, state.inode) in {each.identity for each in waiting}
            doubt = "" if is_known else f"LOST: unless {waiting[0].path} is a copy of it, it was not sent: "
            self._report(f"{doubt}{gone} is gone or was emptied; continues with {waiting[0].path}, the oldest since")
            return
        self._report(
            f"LOST: {gone} is gone or was overwritten, and there is no copy of it; "
            f"what it held beyond byte {self._end.bytes} of the log was not sent"
        )

    def _check(self, state: State) -> None:
        """Raises Refused if the state is for something else."""
        if (state.project, state.log_id) != (self._service.project, self._service.log_id):
            raise Refused(f"{self._state_path} is for {state.log_id}; name another state file with --state")
        if self._end.bytes < min(state.base.bytes, state.before.bytes):
            raise Refused(
                f"{state.log_id} holds {self._end.bytes} bytes, but the file that is being shipped began at byte "
                f"{state.base.bytes}: the log lost what was sent before. "
                f"To ship the file anew, remove {self._state_path}"
            )

    def _held(self, state: State) -> Run | None:
        """Continue the file that holds the end of the log, with the files before it that may still grow."""
        was_late = state.late and self._end == state.after
        upto = state.before if was_late else self._end
        source = self._rotation.holder(state, upto)
        if not source and upto not in (state.base, state.before, state.after):
            raise Refused(f"no file holds the end of {state.log_id}: {_OTHERS}, or the file was changed")
        for index, each in enumerate(state.left):
            late = state.late if was_late and index == 0 else 0
            if found := self._rotation.left(each, Path(state.member or self._path), late):
                self._reader.left.append(Run(found, Place.of(found, each.position + late), 0))
        if not source:
            return None
        position = state.start + max(0, upto.bytes - state.base.bytes)
        return run_of(source, state, position, self._end)

    def _edited(self, state: State) -> Run | None:
        """Continue the file that an editor has put in the place of the shipped one; it may be rotated by now."""
        if self._end not in (state.before, state.after):
            return None
        lines = state.lines_after if self._end == state.after else state.lines_before
        if not self._rotation.since(state):
            return None
        following = self._rotation.waiting[0]
        if following.identity == (state.device, state.inode):
            return None
        if run := self._reader.edited(following, lines):
            self._rotation.waiting.pop(0)
        return run

    def _find(self) -> bool:
        """Whether the first file exists. It is held open until the service has answered where the log ends."""
        try:
            member = self._rotation.family.member
            if not self._found:
                self._found, self._found_at = Source(member, member), self._reader.now()
        except FileNotFoundError:
            if not self._waits_for_file and not self._options.once:
                self._report(f"{self._path} does not exist yet; waiting for it")
            self._waits_for_file = True
        return self._found is not None

    def _start(self) -> bool:
        """Begin without a state, if the log is empty or holds the beginning of this file. Raises Refused if not."""
        source = self._found
        if not source:
            return False
        begun = source.modified - 1 if self._rotation.waiting else self._found_at
        if self._options.append or not self._end.bytes:
            run = Run(source, Place(), begun)
        elif source.crc32(self._end.bytes) == self._end.crc32:
            run = Run(source, Place.of(source, self._end.bytes), begun)
            run.joins = run
        else:
            raise Refused(
                f"{self._service.log_id} holds {self._end.bytes} bytes, and {self._path} does not begin with them. "
                "To ship the file after them, use --append"
            )
        self._found, run.is_first = None, True
        self._begin(run, run.joins)
        return True

    def _begin(self, run: Run, last: Run | None) -> None:
        """`last` is the run whose text is at the end of the log."""
        self._last = last
        self._reader.begin(run, self._end, self._day)
        self._adopt(run)


def _left(run: Run) -> Left:
    device, inode = run.source.identity
    return Left(str(run.source.path), device, inode, run.sent.position, run.sent.first, run.sent.last)
