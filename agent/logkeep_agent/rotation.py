"""The files after the one that is being shipped. They are held open, so that deletion does not lose their bytes."""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from logkeep_agent import Refused
from logkeep_agent.files import PACKED, Place, Source, Unreadable
from logkeep_agent.names import Entry, Family
from logkeep_agent.state import Left, Mark, State

_OPEN_MAX: Final = 64  # waiting files that are held open; more are opened when their turn comes
_SECOND: Final = 10**9  # some programs keep only the seconds of a time


class Rotation:
    """The files after the one that is being shipped from a path, oldest first, in `waiting`."""

    def __init__(self, family: Family, report: Callable[[str], None]) -> None:
        self.family, self._report = family, report
        self._reported: set[object] = set()
        self.waiting: list[Source] = []
        self.has_older = False  # than the first that `since` found: none before that one is missing

    def look(self, source: Source, begun: int, left: Collection[Source] = ()) -> None:
        """Open the files that came after the source since the last look. Shipping it was begun at a time in epoch ns.

        Those that were left came before it.
        """
        with suppress(OSError):  # it was renamed, and the next file does not exist yet
            found = self.family.path.stat()
            if not self.waiting and (found.st_dev, found.st_ino) == source.identity:
                return
        entries = self.family.chain(source.member, begun)
        places = {entry.identity: index for index, entry in enumerate(entries)}
        for each in (source, *self.waiting):
            if each.identity in places:
                each.path = entries[places[each.identity]].path
        # Files that are gone from the directory are the oldest ones; they can still be read.
        gone = [each for each in self.waiting if each.identity not in places]
        if source.identity in places:
            following = entries[places[source.identity] + 1 :]
        else:
            # One that waits may have been copied and emptied meanwhile: its copy comes before it.
            after = self._after(entries, (gone or [source])[-1].modified)
            known = {each.identity for each in self.waiting}
            following = [each for each in entries if each.identity in known or each in after]
        before = {each.identity for each in left}
        following = [entry for entry in following if entry.identity not in before]
        opened = self._open(following[: max(0, _OPEN_MAX - len(gone))], [source, *gone])
        if opened is not None:
            self._replace([*gone, *opened])
            self._name_missing(source.member)

    def since(self, state: State) -> bool:
        """Open the files after the shipped one, if it is gone. False if there are none."""
        entries = self._without(state, self.family.chain(_member(state), state.begun))
        after = self._after(entries, state.begun)
        self.has_older = bool(after) and entries[0] != after[0]
        self._replace(self._open(after[:_OPEN_MAX], []) or [])
        if self.waiting and state.member:
            self._name_missing(Path(state.member))
        return bool(self.waiting)

    def holder(self, state: State, end: Mark) -> Source | None:
        """The file with which the log ends: the one with the state's inode, or a copy of it, also a compressed one."""
        sent = max(0, end.bytes - state.base.bytes)
        entries = self.family.of_identity((state.device, state.inode), _member(state))
        if not (sent or state.first or state.last or state.next):
            # It has only its inode. If it was emptied since, a copy of what it held comes before it.
            family = self._without(state, self.family.chain(_member(state), state.begun))
            before = family[: next((n for n, each in enumerate(family) if each in entries), 0)]
            if self._after(before, state.begun):
                return None
        else:
            entries += self._copies(_member(state), state.begun, state.written)

        def is_it(source: Source) -> bool:
            start = state.start - state.last.size
            is_sent = source.crc32(sent, state.base.crc32, state.start) == max(end, state.base, key=_bytes).crc32
            is_sent = is_sent and source.has(state.next, state.start)
            return is_sent and source.has(state.first) and source.has(state.last, start)

        return self._first(entries, is_it)

    def copy_of(self, source: Source, place: Place, begun: int, crc32: int, start: int) -> Source | None:
        """A copy of a file that was truncated. `crc32` is that of its bytes from `start` to the place."""
        entries = self._copies(source.member, begun, 0)
        size = place.position - start

        def is_it(found: Source) -> bool:
            return found.has(place.first) and found.crc32(size, start=start) == crc32 and place.ends(found)

        return self._first([each for each in entries if each.identity != source.identity], is_it)

    def left(self, left: Left, member: Path, late: int) -> Source | None:
        """A file that was left, if it still is what it was, or a compressed copy. `late` bytes more of it were sent."""

        def is_it(source: Source) -> bool:
            if source.crc32(late, start=left.position) is None or not source.has(left.first):
                return False
            return source.has(left.last, left.position - left.last.size)

        entries = self.family.of_identity((left.device, left.inode), Path(left.path))
        if left.first.size:
            packed = self.family.chain(member, copies=True)
            entries += [each for each in packed if PACKED.search(each.path.name) and each not in entries]
        return self._first(entries, is_it)

    def copy_before(self, source: Source, begun: int, is_known: Callable[[Source], bool]) -> Source | None:
        """The oldest file that was written since a time in epoch ns and comes before an own one that was emptied."""
        entries = self.family.chain(source.member, begun)
        before = entries[: next((n for n, each in enumerate(entries) if each.identity == source.identity), 0)]
        return self._first([each for each in before if each.modified > begun], lambda found: not is_known(found))

    def is_rotated(self, source: Source) -> bool:
        """Whether the file has the name of a rotated one."""
        return any(each.identity == source.identity for each in self.family.chain(source.member))

    def close(self) -> None:
        self._replace([])

    def _without(self, state: State, entries: Sequence[Entry]) -> list[Entry]:
        left = {(each.device, each.inode) for each in state.left}
        return [entry for entry in entries if entry.identity not in left]

    def _copies(self, member: Path | None, begun: int, written: int) -> list[Entry]:
        entries = self.family.chain(member, begun, copies=True)
        return [each for each in entries if each.modified // _SECOND >= written // _SECOND]

    def _first(self, entries: Sequence[Entry], is_it: Callable[[Source], bool]) -> Source | None:
        for entry in entries:
            source = None
            with suppress(Refused, Unreadable):  # if it is damaged
                source = self._opened(entry)
                if source and is_it(source):
                    return source
            if source:
                source.close()
        return None

    def _after(self, entries: Sequence[Entry], time: int) -> list[Entry]:
        own = self.family.member
        return [entry for entry in entries if entry.path == own or entry.modified > time]

    def _open(self, entries: Sequence[Entry], known: Sequence[Source]) -> list[Source] | None:
        """Open their files. None if a name belongs to another file by now; the next look will find it."""
        have = {source.identity: source for source in self.waiting}
        opened: list[Source] = []
        for entry in entries:
            try:
                source = have.get(entry.identity) or self._opened(entry)
            except Unreadable as reason:
                plain = PACKED.sub("", str(entry.path))
                if not any(plain in {str(each.path), each.name.removesuffix(" (deleted)")} for each in known):
                    self._say(entry.identity, f"LOST: {entry.path} cannot be read, because {reason}; it was not sent")
                continue
            if not source:
                for each in opened:
                    if each not in self.waiting:
                        each.close()
                return None
            opened.append(source)
        return opened

    def _opened(self, entry: Entry) -> Source | None:
        """Raises Unreadable."""
        try:
            return entry.open()
        except OSError as error:
            self._say(entry.identity, f"{entry.path}: {error.strerror}; the files after it wait until it can be read")
            return None

    def _name_missing(self, member: Path) -> None:
        have = {each.member for each in self.waiting}
        for path in self.family.missing(member):
            if path not in have:
                self._say(path, f"LOST: {path} is gone, which came after {member}; it was not sent")

    def _say(self, about: object, message: str) -> None:
        if about not in self._reported:
            self._reported.add(about)
            self._report(message)

    def _replace(self, waiting: list[Source]) -> None:
        for source in self.waiting:
            if source not in waiting:
                source.close()
        self.waiting = waiting


def _member(state: State) -> Path | None:
    return Path(state.member) if state.member else None


def _bytes(mark: Mark) -> int:
    return mark.bytes
