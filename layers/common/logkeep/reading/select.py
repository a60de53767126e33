"""The lines of a log that a query wants. What cannot hold any is not read; what is lost is named, and passed.

A line belongs to the fragment in which it ends, because its level is counted there. Memory holds a few fragments,
whatever the size of the log.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Final, Literal, NamedTuple

from logkeep.errors import Corrupt
from logkeep.limits import FRAGMENT_MAX
from logkeep.logs.fragment import Fragment
from logkeep.logs.head import Head
from logkeep.logs.reader import LogReader, Row
from logkeep.reading.blocks import LINE_MAX, Block, Run, Scope, beginning, is_known
from logkeep.reading.query import Lines, Query
from logkeep.reading.rows import Entry, Gap, Guarded, Rows, entry_at, entry_where

_WINDOW_MIN: Final = FRAGMENT_MAX  # bytes of text that are read together: little at first, then more
_WINDOW_MAX: Final = 64 * FRAGMENT_MAX
_WINDOW_BACK: Final = 8 * FRAGMENT_MAX  # these are held, because their order is turned round
_HELD_MAX: Final = 8 << 20  # bytes of text before a line in which its context is looked for
_PASSED_MAX: Final = 1000  # rows between two looks at the time
_NEVER: Final = -(1 << 62)


class Place(NamedTuple):
    """Where reading continues, and what is wanted there."""

    offset: int  # a byte of the log
    after: int = 0  # lines of context that are left
    printed: int | None = None  # where the lines end that were wanted before; None: there were none
    inside: bool = False  # the rest of the line is wanted


class Found(NamedTuple):
    """Lines of a block in a row, and why they are wanted."""

    block: Block
    begin: int
    end: int
    reason: Literal["match", "before", "after", "rest"]
    left: int = 0  # lines of context that are wanted from `begin` on

    @property
    def offset(self) -> int:
        return self.block.offset + self.begin

    @property
    def stop(self) -> int:
        return self.block.offset + self.end

    def place(self, at: int, query: Query) -> Place:
        """Where reading continues if it is interrupted at a place of the block, up to which lines were answered."""
        inside = self.reason == "rest" if at == self.begin else not self.block.text.endswith(b"\n", 0, at)
        left = self.left
        if self.reason == "match":
            left = query.after_lines if at > self.begin else self.left
        elif self.reason == "after":
            left -= self.block.newlines(self.begin, at) + inside
        place = self.block.offset + at
        return Place(place, max(0, left), place if query.has_context else None, inside)


class _Step(NamedTuple):
    """A row, with its text if that is read."""

    row: Fragment
    text: bytes | None
    time: int | None  # in force where the row begins
    known: bool  # whether its levels and times can be relied on
    is_cut: bool = False  # only the line that is open where it begins is there


class Selection:
    """One reading of what a query wants of a log; iterate once. Afterwards, `place` is where the next one continues.

    `is_over`: nothing more is wanted of what the log held when its head was read.
    """

    def __init__(
        self,
        reader: LogReader,
        head: Head,
        query: Query,
        is_late: Callable[[], bool],
        *,
        place: Place | None = None,
        needs_times: bool = False,
        is_final: bool = True,
    ) -> None:
        """`is_final`: a last line without a newline is a line, not the beginning of one that is still to come.

        It is late only after some progress.
        """
        self.matched = 0  # lines, or log records
        self.scanned = 0  # bytes of text
        self.gaps: list[Gap] = []
        self.is_over = False
        self.is_short = False  # there was no time to look for all that `tail` wants
        self.place = place or Place(0)
        self._reached = head.end  # a byte, to which going backward has come
        self._given = place
        self._reader = reader
        self._head = head
        self._query = query
        self._is_late = is_late
        self._needs_times = needs_times or query.has_window
        self._is_final = is_final
        self._scope = Scope(query, has_times=head.greatest_time is not None)
        # Context is taken of what has these times, whatever its level.
        self._around = Scope(
            Query.model_construct(since=query.since, until=query.until), has_times=self._scope.has_times
        )
        self._lines = query.lines or Lines(1, None)
        self._matches_from = self.place.offset  # a byte: what matches before it is not wanted
        self._low = self.place.printed or 0  # a byte: what is before it was printed, or is not wanted
        self._stopped = False
        self._forget()

    def __iter__(self) -> Iterator[Found | Gap]:
        return self._descend() if self._query.order == "desc" else self._ascend()

    # Where it begins.

    def _entry(self) -> Entry:
        head, query = self._head, self._query
        if self._given:
            return entry_at(self._reader, head, self._given.offset)
        if query.tail is not None:
            if not query.tail:
                return self._nothing()
            if query.level is not None or query.grep is not None or query.has_window or query.before_lines:
                return self._entry_of_tail(query.tail)
            last = min(head.all_lines, self._lines.last or head.all_lines)
            self._lines = Lines(max(self._lines.first, last - query.tail + 1), last)
            return self._entry_of_line(from_end=True)
        if self._lines.first > 1:
            return self._entry_of_line()
        if query.since is not None and self._scope.has_times:
            return self._entry_of_time(query.since)
        return entry_at(self._reader, head, 0)

    def _nothing(self) -> Entry:
        self.place = Place(self._head.end)
        return Entry(self._head.end, iter(()), [])

    def _entry_of_line(self, *, from_end: bool = False) -> Entry:
        wanted = self._lines.first - 1  # newlines before the first line
        if wanted >= self._head.all_lines:
            return self._nothing()
        if not wanted:
            return entry_at(self._reader, self._head, 0)
        bounds = (0, self._head.lines)
        return entry_where(
            self._reader, self._head, lambda each: each.line + each.lines, wanted, bounds, from_end=from_end
        )

    def _entry_of_time(self, since: int) -> Entry:
        head = self._head
        if head.newest_time is None or head.newest_time < since:
            # Nothing is known of the time of a last line without a newline.
            return entry_at(self._reader, head, head.end - 1) if head.scan_state.open_line else self._nothing()
        bounds = (since if head.least_time is None else head.least_time, head.newest_time)
        return entry_where(
            self._reader, head, lambda each: _NEVER if each.newest_time is None else each.newest_time, since, bounds
        )

    def _entry_of_tail(self, count: int) -> Entry:
        """Where the last `count` of what matches begins."""
        left, offset = count, self._head.end

        def is_before(counted: int) -> bool:
            return counted < left

        for found, runs in self._backward(self._head.end, is_before):
            if isinstance(found, int):
                left -= found
                offset = self._reached
            elif isinstance(found, Block):
                for run in reversed(runs):
                    offset = found.offset + (run.begin if run.units <= left else self._last(found, run, left))
                    left -= min(run.units, left)
                    if not left:
                        break
            if not left:
                break
            if self._is_late():
                self.is_short = True
                break
        self._matches_from = offset if not left or self.is_short else 0
        return entry_at(self._reader, self._head, self._matches_from)

    def _last(self, block: Block, run: Run, count: int) -> int:
        """Where the last `count` units of a run begin."""
        if self._query.counts_records:
            return [span.begin for span in block.spans if span.starts and run.begin <= span.begin < run.end][-count]
        at = run.end - block.text.endswith(b"\n", run.begin, run.end)
        for _ in range(count):
            at = block.text.rfind(b"\n", run.begin, at)
        return run.begin if at < 0 else at + 1

    # Forward.

    def _ascend(self) -> Iterator[Found | Gap]:
        for step in self._steps(self._entry()):
            if isinstance(step, Gap):
                self.gaps.append(step)
                self._leave(step.offset + step.size)
                yield step
            elif step.text is None:
                self._leave(step.row.end)
            else:
                yield from self._of_step(step)
            # A line that is open where a row ends begins in it: then the row is no progress.
            if self.is_over or self._stopped or (self.place != (self._given or Place(0)) and self._is_late()):
                return
        self.is_over = True
        if self._is_final or not self._carry:
            self.place = self.place._replace(offset=max(self.place.offset, self._head.end))

    def _forget(self) -> None:
        self._carry = b""  # the beginning of the line that is open where the next row begins
        self._carry_inside = False  # its beginning was a block of its own, or is lost
        self._carried_to = -1  # the row, by its offset, to which it belongs
        self._history: deque[Block] = deque()  # the blocks before the place, for context
        self._held = 0  # bytes of them

    def _leave(self, offset: int) -> None:
        """Continue at a row without the text before it."""
        self._forget()
        self.place = Place(offset, self.place.after, self.place.printed)

    def _steps(self, entry: Entry) -> Iterator[_Step | Gap]:
        """The rows in order: with text, without if they were counted or passed; or what is lost."""
        time = entry.time(self._reader, self._head) if self._needs_times else None
        earlier = entry.earlier[-1].fragment if entry.earlier else None
        rows = Guarded(self._reader, self._head, entry)
        window = _WINDOW_MIN
        while (row := rows.peek()) is not None:
            if isinstance(row, Gap):
                rows.take()
                earlier = None
                yield row
                continue
            if self._is_past(row.fragment):
                return
            batch: list[Row] = []
            steps: list[_Step] = []
            size = 0
            while isinstance(row, Row) and size < window:
                each = row.fragment
                known = is_known(each, earlier, self._head.end)
                passes = self._passes(each, time, known=known)
                if (passes or self._counts(each, time, known=known)) and batch:
                    break
                rows.take()
                steps.append(_Step(each, None, time, known))
                earlier, time = each, time if each.last_time is None else each.last_time
                if passes or self._counts(each, steps[-1].time, known=known):
                    self.matched += 0 if passes else self._count_of(each)
                    break
                batch.append(row)
                size += each.raw
                row = rows.peek() if size < window else None
            if not batch:
                yield from steps
                continue
            window = min(4 * window, _WINDOW_MAX)
            for step, text in zip(steps, texts_of(self._reader, batch), strict=True):
                each = step.row
                if text is not None:
                    self.scanned += len(text)
                    yield step._replace(text=text[: self._head.end - each.offset])
                    continue
                if self._carry and each.lines and self._carried_to == each.offset:
                    yield step._replace(text=b"", known=False, is_cut=True)
                yield Gap(each.offset, each.raw)

    def _is_past(self, each: Fragment) -> bool:
        return self._lines.last is not None and each.line >= self._lines.last

    def _passes(self, each: Fragment, time: int | None, *, known: bool) -> bool:
        """Whether a row need not be read for what it holds."""
        if self._is_past(each) or each.line + each.lines < self._lines.first - 1:
            return True
        if self.place.inside or (self.place.after and not self._query.count):
            return False
        return self._scope.holds_none(each, time, is_known=known)

    def _counts(self, each: Fragment, time: int | None, *, known: bool) -> bool:
        """Whether only the number of what matches in a row is wanted, and that is known without its text."""
        return (
            self._query.count
            and self._query.limit is None
            and each.offset >= max(self.place.offset, self._matches_from)
            and self._is_countable(each, time, known=known)
        )

    def _is_countable(self, each: Fragment, time: int | None, *, known: bool) -> bool:
        return (
            known
            and self._query.grep is None
            and (self._lines.first == 1 or each.line >= self._lines.first)
            and (self._lines.last is None or each.line + each.lines <= self._lines.last)
            and self._scope.holds_all(each, time, is_known=known)
        )

    def _count_of(self, each: Fragment) -> int:
        levels = self._query.levels
        return each.lines if levels is None else sum(each.levels[level] for level in levels)

    def _of_step(self, step: _Step) -> Iterator[Found]:
        block = self._block(step)
        if block is None:
            return
        each, given = step.row, self._given
        if given and given.offset == each.offset and not given.inside:
            self._matches_from = min(self._matches_from, block.offset)  # the line that is open there was not looked at
        begin, end = self._bounds(block)
        if begin:
            self._low = max(self._low, block.offset + begin)
        begin = max(self._low, self._matches_from, block.offset) - block.offset
        if begin >= len(block.text):
            if self._query.before_lines:
                self._remember(block)
            return
        yield from self._of_block(block, min(begin, end), end, known=step.known)
        if self._stopped:
            return
        if end < len(block.text):
            self.is_over = True
            self.place = Place(block.offset + end, 0, self.place.printed)
            return
        # Of a line without a newline that was printed, the rest is wanted, too.
        inside = not block.text.endswith(b"\n") and self._low == block.end
        self.place = self.place._replace(offset=max(self.place.offset, block.end), inside=inside)
        if self._query.before_lines:
            self._remember(block)

    def _block(self, step: _Step) -> Block | None:
        """The lines that end in a row."""
        each, text = step.row, step.text or b""
        prefix, inside = self._prefix(each)
        whole = prefix + text if prefix else text
        is_end = step.is_cut or (self._is_final and each.offset + len(text) >= self._head.end)
        cut = len(whole) if is_end else whole.rfind(b"\n") + 1
        self._carry_inside = False
        if len(whole) - cut > LINE_MAX:
            inside = inside and not cut
            cut, self._carry_inside = len(whole), True
        elif not cut:
            self._carry_inside = inside
        self._carry, self._carried_to = whole[cut:], each.end
        return self._block_of(whole[:cut], each, len(prefix), step.time, inside=inside) if cut else None

    def _block_of(self, text: bytes, each: Fragment, before: int, time: int | None, *, inside: bool) -> Block:
        arrived = None if self._scope.has_times else each.received_at
        basis = self._head.time_basis(each.received_at)
        return Block(text, each.offset - before, each.line, each, time, basis, arrived, inside)

    def _prefix(self, each: Fragment) -> tuple[bytes, bool]:
        """The beginning of the line that is open where a row begins, and whether that begins even earlier."""
        if self._carried_to == each.offset:
            return self._carry, self._carry_inside
        known = beginning(each)
        return self._read_beginning(each) if known is None else (known, False)

    def _read_beginning(self, each: Fragment) -> tuple[bytes, bool]:
        read = b""
        try:
            for row in self._reader.rows_back(self._head, each.offset):
                text = self._reader.text(row)[: each.offset - row.fragment.offset]
                self.scanned += len(text)
                line = text.rfind(b"\n") + 1
                read = text[line:] + read
                if line:
                    return read, False
                if len(read) > LINE_MAX:
                    return read, True
        except Corrupt:
            return read, True
        return read, False

    def _bounds(self, block: Block) -> tuple[int, int]:
        """Where the lines of a block begin and end that have a wanted number."""
        text, begin, end = block.text, 0, len(block.text)
        if self._lines.first - 1 > block.line:
            begin = _after_lines(text, 0, self._lines.first - 1 - block.line)
        if self._lines.last is not None and self._lines.last <= block.line + block.row.lines:
            end = _after_lines(text, begin, self._lines.last - max(block.line, self._lines.first - 1))
        return begin, max(begin, end)

    def _of_block(self, block: Block, begin: int, end: int, *, known: bool) -> Iterator[Found]:
        query = self._query
        if self.place.inside:
            rest = block.text.find(b"\n", begin) + 1 or len(block.text)
            if begin < rest:
                yield Found(block, begin, rest, "rest", self.place.after)
            begin = self._print(block, rest)
            if block.text.endswith(b"\n", 0, rest):
                self.place = self.place._replace(inside=False)
        at, is_cut = begin, False
        for run in self._scope.runs(block, begin, end, is_known=known):
            if self.place.after:
                at = yield from self._after(block, at, run.begin, known=known)
            if query.limit is not None and self.matched >= query.limit:
                self._stop_at(block, at, end)
                return
            if query.limit is not None and self.matched + run.units > query.limit:
                run, is_cut = self._first(block, run, query.limit - self.matched), True
            self.matched += run.units
            at = run.end
            if not query.count:
                if query.before_lines:
                    yield from self._before(block, run.begin, known=known)
                yield Found(block, run.begin, run.end, "match", self.place.after)
                self._print(block, run.end)
                self.place = self.place._replace(after=query.after_lines)
            if is_cut:
                self._stop_at(block, at, end)
                return
        if self.place.after:
            at = yield from self._after(block, at, end, known=known)
        if query.limit is not None and self.matched >= query.limit and not self.place.after:
            self._stop_at(block, at, end)

    def _stop_at(self, block: Block, at: int, end: int) -> None:
        """There are as many as are wanted."""
        self._stopped = True
        self.is_over = at >= end and (end < len(block.text) or block.end >= self._head.end)
        self.place = Place(block.offset + at, 0, self.place.printed)

    def _first(self, block: Block, run: Run, count: int) -> Run:
        """The first `count` units of a run, which has more."""
        if self._query.counts_records:
            starts = [span.begin for span in block.spans if span.starts and run.begin <= span.begin < run.end]
            return Run(run.begin, starts[count], count)
        return Run(run.begin, _after_lines(block.text, run.begin, count), count)

    def _print(self, block: Block, at: int) -> int:
        """Lines up to a place were answered."""
        self._low = block.offset + at
        if self._query.has_context:
            self.place = self.place._replace(printed=self._low)
        return at

    # Context.

    def _after(self, block: Block, begin: int, end: int, *, known: bool) -> Generator[Found, None, int]:
        """The lines of context between two places, as many as are wanted. Returns where they end."""
        at = begin
        for first, stop in self._around.window(block, begin, end, is_known=known):
            left = self.place.after
            if not left:
                break
            at = min(_after_lines(block.text, first, left), stop)
            if not self._query.count:
                yield Found(block, first, at, "after", left)
            self._print(block, at)
            self.place = self.place._replace(after=left - block.lines(first, at))
        return at

    def _before(self, block: Block, end: int, *, known: bool) -> Iterator[Found]:
        """The lines of context before a place."""
        wanted: list[Found] = []
        left = self._back(block, end, self._query.before_lines, wanted, known=known)
        if left and self._low < block.offset:
            for each in self._earlier(block):
                left = self._back(each, len(each.text), left, wanted, known=False)
                if not left or each.offset <= self._low:
                    break
        yield from reversed(wanted)

    def _back(self, block: Block, end: int, left: int, wanted: list[Found], *, known: bool) -> int:
        """Take the last lines before a place of a block; how many more are wanted then."""
        begin = max(0, self._low - block.offset, self._bounds(block)[0])
        for first, stop in reversed(self._around.window(block, begin, end, is_known=known)):
            at = stop
            while left and at > first:
                at = block.text.rfind(b"\n", first, at - 1) + 1 or first
                left -= 1
            if at < stop:
                wanted.append(Found(block, at, stop, "before"))
        return left

    def _remember(self, block: Block) -> None:
        self._history.append(block)
        self._held += len(block.text)
        while self._held > _HELD_MAX or len(self._history) > self._query.before_lines:
            self._held -= len(self._history.popleft().text)

    def _earlier(self, block: Block) -> Iterator[Block]:
        """The blocks before one, the last first."""
        offset = block.offset
        for each in reversed(self._history):
            if each.end != offset:
                break
            yield each
            offset = each.offset
        if offset > self._low:
            read = 0
            for found, _ in self._backward(offset, lambda _: False, scope=self._around):
                if isinstance(found, Block):
                    yield found
                    read += len(found.text)
                    if read > _HELD_MAX:
                        return
                elif isinstance(found, Gap):
                    return

    # Backward.

    def _descend(self) -> Iterator[Found | Gap]:
        end = self._head.end if self._given is None else min(self._given.offset, self._head.end)
        query = self._query
        for found, runs in self._backward(end, lambda _: query.count and query.limit is None):
            if isinstance(found, int):
                self.matched += found
                self.place = Place(self._reached)
            elif isinstance(found, Gap):
                self.gaps.append(found)
                self.place = Place(found.offset)
                yield found
            else:
                for run in reversed(runs):
                    for begin, stop, count in reversed(self._units(found, run)):
                        self.matched += count
                        self.place = Place(found.offset + begin)
                        if not query.count:
                            yield Found(found, begin, stop, "match")
                        if query.limit is not None and self.matched >= query.limit:
                            self.is_over = self.place.offset == 0
                            return
                self.place = Place(found.offset)
            if self._is_late():
                return
        self.is_over = True
        self.place = Place(0)

    def _units(self, block: Block, run: Run) -> list[tuple[int, int, int]]:
        """The lines of a run, or its records, each with what it counts."""
        if self._query.counts_records:
            return [
                (max(span.begin, run.begin), min(span.end, run.end), int(span.starts))
                for span in block.spans
                if span.begin < run.end and run.begin < span.end
            ]
        units, at = [], run.begin
        while at < run.end:
            stop = _after_lines(block.text, at, 1)
            units.append((at, stop, 1))
            at = stop
        return units

    def _backward(
        self, end: int, may_count: Callable[[int], bool], *, scope: Scope | None = None
    ) -> Iterator[tuple[Block | Gap | int, Sequence[Run]]]:
        """The blocks of [0, end) from the last one on, with what is wanted of them.

        In their place, what is lost; or, if `may_count` says so, how much a row holds. Now and then 0, for a look at
        the time.
        """
        scope = scope or self._scope
        since, reads_all = self._query.since, scope is self._around
        rows = Rows(self._reader.rows_back(self._head, end))
        window = _WINDOW_MIN
        while True:
            batch: list[Row] = []
            steps: list[_Step] = []
            size, counted, lost, passed, is_end = 0, None, None, 0, False
            try:
                while size < window and passed < _PASSED_MAX:
                    row = rows.peek()
                    is_end = (
                        row is None
                        or row.fragment.line + row.fragment.lines < self._lines.first - 1
                        or (
                            since is not None
                            and scope.is_before(row.fragment, since)
                            and (row.fragment.ends_line or row.fragment.end < end)
                        )
                    )
                    if row is None or is_end:
                        break
                    each = row.fragment
                    earlier = rows.before()
                    rows.take()
                    time = rows.time() if self._needs_times else None
                    known = is_known(each, earlier, self._head.end)
                    if self._is_past(each) or scope.holds_none(each, time, is_known=known):
                        if batch:
                            break
                        passed += 1
                        continue
                    if not reads_all and each.end <= end and self._is_countable(each, time, known=known):
                        count = self._count_of(each)
                        if may_count(count + sum(step.row.lines for step in steps)):
                            counted = count
                            break
                    batch.append(row)
                    steps.append(_Step(each, None, time, known))
                    size += each.raw
            except Corrupt:
                lost = rows.at if rows.at is not None else end
            window = min(4 * window, _WINDOW_BACK)
            for step, text in zip(steps, reversed(list(texts_of(self._reader, list(reversed(batch))))), strict=True):
                if text is None:
                    yield Gap(step.row.offset, step.row.raw), ()
                    continue
                self.scanned += len(text)
                block = self._block_before(step._replace(text=text), end)
                if block is not None:
                    begin, stop = self._bounds(block)
                    runs = () if reads_all else scope.runs(block, begin, stop, is_known=step.known)
                    yield block, runs
            if lost is not None:
                yield Gap(0, lost), ()
                return
            if is_end:
                return
            if counted is not None or not batch:
                self._reached = end if rows.at is None else rows.at
                yield counted or 0, ()

    def _block_before(self, step: _Step, end: int) -> Block | None:
        """The lines that end in a row, and before a byte of the log."""
        each = step.row
        text = (step.text or b"")[: end - each.offset]
        known = beginning(each)
        prefix, inside = self._read_beginning(each) if known is None else (known, False)
        is_end = self._is_final and each.offset + len(text) >= self._head.end
        whole = prefix + text
        cut = len(whole) if is_end else whole.rfind(b"\n") + 1
        return self._block_of(whole[:cut], each, len(prefix), step.time, inside=inside) if cut else None


def texts_of(reader: LogReader, rows: Sequence[Row]) -> Iterator[bytes | None]:
    """The text of each row; None where it is missing or does not match its checksum."""
    done = 0
    try:
        for text in reader.texts_of(rows):
            yield text
            done += 1
    except Corrupt:
        for row in rows[done:]:
            yield _text(reader, row)


def _text(reader: LogReader, row: Row) -> bytes | None:
    try:
        return reader.text(row)
    except Corrupt:
        return None


def _after_lines(text: bytes, begin: int, count: int) -> int:
    """Where the first `count` lines from a place on end."""
    for _ in range(count):
        begin = text.find(b"\n", begin) + 1
        if not begin:
            return len(text)
    return begin
