"""The files that follow the one that is shipped, held open so that their bytes outlive their names."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from logkeep_agent import Refused
from logkeep_agent.files import Entry, First, Source, chain, of_identity, real
from logkeep_agent.state import Mark, State

_OPEN_MAX: Final = 64  # files that wait; more are found in the directory when it is their turn


class Rotation:
    """What followed a path's file, oldest first."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        self._path, self._tell = path, tell
        self._unreadable: set[Path] = set()
        self.waiting: list[Source] = []

    def look(self, source: Source) -> None:
        """Open what came behind the source since the last look."""
        try:
            found = self._path.stat()
        except OSError:
            return  # it was renamed, and the next is not there yet
        if not self.waiting and (found.st_dev, found.st_ino) == source.identity:
            return
        entries = chain(self._path)
        places = {entry.identity: index for index, entry in enumerate(entries)}
        # Of what is gone from the directory the descriptor is left; it was the oldest.
        gone = [each for each in self.waiting if each.identity not in places]
        if source.identity in places:
            following = entries[places[source.identity] + 1 :]
        elif len(gone) < len(self.waiting):
            following = entries[places[self.waiting[len(gone)].identity] :]
        else:
            following = self._behind(entries, (gone or [source])[-1].modified)
        opened = self._open(following[: max(0, _OPEN_MAX - len(gone))])
        if opened is not None:
            self._replace([*gone, *opened])

    def since(self, begun: int) -> bool:
        """Open what follows a file that was begun then and is no more; False if nothing is there."""
        self._replace(self._open(self._behind(chain(self._path), begun)[:_OPEN_MAX]) or [])
        return bool(self.waiting)

    def holder(self, state: State, end: Mark, first: First) -> Source | None:
        """The file that the log ends with: by its inode, or a copy, or what compression made of it.

        It begins with `first`, by which it is known also where nothing of it was sent.
        """
        sent = end.bytes - state.base.bytes
        identity, second = (state.device, state.inode), 10**9  # which is all that some programs keep of a time
        entries = of_identity(self._path, identity)
        if sent or first.size:
            entries += [each for each in chain(self._path) if each.modified // second >= state.written // second]
        for entry in entries:
            source = self._opened(entry)
            with suppress(Refused):  # one that is damaged
                if source and source.crc32(sent, state.base.crc32) == end.crc32 and first.begins(source):
                    return source
            if source:
                source.close()
        return None

    def close(self) -> None:
        self._replace([])

    def _behind(self, entries: Sequence[Entry], time: int) -> list[Entry]:
        own = real(self._path)
        return [entry for entry in entries if entry.path == own or entry.modified > time]

    def _open(self, entries: Sequence[Entry]) -> list[Source] | None:
        """Their files, or None if a name has become another file's meanwhile: the next look finds it."""
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
                self._tell(f"{entry.path}: {error.strerror}; it has to be read before what follows it")
            self._unreadable.add(entry.path)
            return None

    def _replace(self, waiting: list[Source]) -> None:
        for source in self.waiting:
            if source not in waiting:
                source.close()
        self.waiting = waiting
