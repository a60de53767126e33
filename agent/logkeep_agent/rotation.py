"""The files after the one that is being shipped. They are held open, so that deletion does not lose their bytes."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from logkeep_agent import Refused
from logkeep_agent.files import Entry, First, Source, chain, of_identity, real
from logkeep_agent.state import Mark, State

_OPEN_MAX: Final = 64  # waiting files that are held open; more are opened when their turn comes


class Rotation:
    """The files after the one that is being shipped from a path, oldest first, in `waiting`."""

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        self._path, self._report = path, report
        self._unreadable: set[Path] = set()
        self.waiting: list[Source] = []

    def look(self, source: Source) -> None:
        """Open the files that came after the source since the last look."""
        try:
            found = self._path.stat()
        except OSError:
            return  # it was renamed, and the next file does not exist yet
        if not self.waiting and (found.st_dev, found.st_ino) == source.identity:
            return
        entries = chain(self._path)
        places = {entry.identity: index for index, entry in enumerate(entries)}
        # Files that are gone from the directory are the oldest ones; they can still be read.
        gone = [each for each in self.waiting if each.identity not in places]
        if source.identity in places:
            following = entries[places[source.identity] + 1 :]
        elif len(gone) < len(self.waiting):
            following = entries[places[self.waiting[len(gone)].identity] :]
        else:
            following = self._after(entries, (gone or [source])[-1].modified)
        opened = self._open(following[: max(0, _OPEN_MAX - len(gone))])
        if opened is not None:
            self._replace([*gone, *opened])

    def since(self, time: int) -> bool:
        """Open the files written after a time (epoch ns), if the shipped file is gone. False if there are none."""
        self._replace(self._open(self._after(chain(self._path), time)[:_OPEN_MAX]) or [])
        return bool(self.waiting)

    def holder(self, state: State, end: Mark, first: First) -> Source | None:
        """The file with which the log ends: the one with the state's inode, or a copy of it, also a compressed one.

        It must begin with `first`, by which it is recognized even if nothing of it was sent.
        """
        sent = end.bytes - state.base.bytes
        identity, second = (state.device, state.inode), 10**9  # some programs keep only the seconds of a time
        entries = of_identity(self._path, identity)
        if sent or first.size:
            entries += [each for each in chain(self._path) if each.modified // second >= state.written // second]
        for entry in entries:
            source = self._opened(entry)
            with suppress(Refused):  # if it is damaged
                if source and source.crc32(sent, state.base.crc32) == end.crc32 and first.begins(source):
                    return source
            if source:
                source.close()
        return None

    def close(self) -> None:
        self._replace([])

    def _after(self, entries: Sequence[Entry], time: int) -> list[Entry]:
        own = real(self._path)
        return [entry for entry in entries if entry.path == own or entry.modified > time]

    def _open(self, entries: Sequence[Entry]) -> list[Source] | None:
        """Open their files. None if a name belongs to another file by now; the next look will find it."""
        have = {source.identity: source for source in self.waiting}
        opened: list[Source] = []
        for entry in entries:
            source = have.get(entry.identity) or self._opened(entry)
            if not source:
                for each in opened:
                    if each not in self.waiting:
                        each.close()
                return None
            opened.append(source)
        return opened

    def _opened(self, entry: Entry) -> Source | None:
        try:
            return entry.open()
        except OSError as error:
            if entry.path not in self._unreadable:
                self._report(f"{entry.path}: {error.strerror}; the files after it wait until it can be read")
            self._unreadable.add(entry.path)
            return None

    def _replace(self, waiting: list[Source]) -> None:
        for source in self.waiting:
            if source not in waiting:
                source.close()
        self.waiting = waiting
