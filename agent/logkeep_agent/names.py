"""Which files belong together: what was rotated from a path, and what a moving link pointed to before."""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from logkeep_agent.files import PACKED, Source

_LOOKS: Final = 10  # at a directory whose names are changing
_PACKED: Final = PACKED.pattern.removesuffix("$")
# app.log.1, app.log-20261122.gz, app.log.2026-11-22_05, app.log.old, and app-20261122.log
_STAMP: Final = r"[-_.](?:\d[\dTZ:._-]*|old)"
# app.log.1 is younger than app.log.2, unless the program counts upwards (log4j2 does by default). Files with other
# names are ordered by the time of their last write.
_NUMBER: Final = re.compile(rf"\.(\d{{1,3}})(?:{_PACKED})?")
_GAP_MAX: Final = 1000
_COUNTER_MAX: Final = 100_000  # numbers below count; larger ones are times or processes


@dataclass(frozen=True)
class Entry:
    """A file as it was found in its directory. It is, or was rotated from, `member`."""

    path: Path
    member: Path
    identity: tuple[int, int]
    modified: int

    def open(self) -> Source | None:
        """None if the name belongs to another file by now. Raises OSError or Unreadable if it cannot be read."""
        try:
            source = Source(self.path, self.member)
        except FileNotFoundError:
            return None
        if source.identity == self.identity:
            return source
        source.close()
        return None


@dataclass(frozen=True)
class Family:
    """The files of a path: of the file that it names and, if it is a link that moves, of those that it named before."""

    path: Path
    rotated: tuple[Path, ...] = ()  # other directories to which files are rotated

    @property
    def member(self) -> Path:
        """The path without symbolic links, because the file itself is rotated, in its own directory."""
        return Path(os.path.realpath(self.path))

    def chain(self, since: Path | None = None, begun: int = 0, copies: bool = False) -> list[Entry]:
        """All files, oldest first: of the member `since`, which was begun at a time in epoch ns, up to the path's own.

        Names are read one after the other, so a rotation meanwhile could hide a file. Therefore the list must be the
        same twice in a row; it is empty if it keeps changing. `copies` includes app.log.gz where app.log is there, too.
        """
        found = self._chain(since, begun, copies)
        for _ in range(_LOOKS):
            again = self._chain(since, begun, copies)
            if [(each.path, each.identity) for each in again] == [(each.path, each.identity) for each in found]:
                return again
            found = again
        return []

    def of_identity(self, identity: tuple[int, int], since: Path | None = None) -> list[Entry]:
        """The files with that device and inode in these directories, whatever their names."""
        found = []
        member = since or self.member
        for directory in dict.fromkeys([self.member.parent, member.parent, *self.rotated]):
            with suppress(OSError):
                entries = (_entry(path, member) for path in directory.iterdir())
                found += [entry for entry in entries if entry and entry.identity == identity]
        return found

    def missing(self, since: Path) -> list[Path]:
        """Members that a link must have named after `since`, because it counts, and that are not there."""
        one, two = (re.split(r"(\d+)", str(path)) for path in (since, self.member))
        differing = [index for index, pair in enumerate(zip(one, two, strict=False)) if pair[0] != pair[1]]
        if len(one) != len(two) or len(differing) != 1 or not differing[0] % 2 or since.parent != self.member.parent:
            return []
        old, new = int(one[differing[0]]), int(two[differing[0]])
        if not old < new < min(old + _GAP_MAX, _COUNTER_MAX):
            return []
        there = {_runs(path) for path in between(since, self.member)}
        names = []
        for number in range(old + 1, new):
            one[differing[0]] = str(number).zfill(len(two[differing[0]]) if two[differing[0]].startswith("0") else 0)
            names.append(Path("".join(one)))
        return [name for name in names if _runs(name) not in there]

    def _chain(self, since: Path | None, begun: int, copies: bool) -> list[Entry]:
        own = self.member
        entries: list[Entry] = []
        if since and since != own:
            entries = self._of(since, copies)
            known = {since: entries}
            for member in between(since, own):
                known[member] = self._of(member, copies)
            ordered = [each for each in known if each != since]
            if not _runs(since) < _runs(own):  # the numbers do not count upwards
                ordered.sort(key=lambda each: (max((entry.modified for entry in known[each]), default=0), each.name))
            for member in ordered:
                entries += [each for each in known[member] if each.modified >= begun]
        return entries + self._of(own, copies)

    def _of(self, member: Path, copies: bool) -> list[Entry]:
        """What was rotated from a member, oldest first, and then the file itself."""
        numbered: list[tuple[int, Entry]] = []
        others: list[Entry] = []
        for path, number in _rotated(member, self.rotated, copies):
            entry = _entry(path, member)
            if entry and number is not None:
                numbered.append((number, entry))
            elif entry:
                others.append(entry)
        numbered.sort(key=lambda each: (-each[0], each[1].path.parent == member.parent, each[1].modified))
        ordered = [entry for _, entry in numbered]
        if _counts_upwards(ordered):
            ordered.reverse()
        if others:
            rank = {entry: index for index, entry in enumerate(ordered)}
            ordered = sorted(ordered + others, key=lambda each: (each.modified, rank.get(each, 0), each.path.name))
        own = _entry(member, member)
        return [*ordered, *([own] if own else [])]


def is_rotated(path: Path, other: Path) -> bool:
    """Whether a file has a name that is given to another one when it is rotated."""
    return path.parent == other.parent and path != other and _pattern(other).fullmatch(path.name) is not None


def between(old: Path, new: Path) -> list[Path]:
    """The members between two that a link named, in the order of the numbers in their names.

    Both have the same form, such as 0.log and 12.log, or app-2026-11-22.log in directories that are named by the day.
    What both have before the first number that differs is the same in all.
    """
    if _skeleton(old) != _skeleton(new):
        return []
    found = [Path(new.anchor)]
    differs = False
    last = len(new.parts) - 1
    for index, (one, two) in enumerate(zip(old.parts, new.parts, strict=True)):
        if index == 0:
            continue
        if not differs and one == two:
            found = [path / two for path in found]
            continue
        pattern, differs = _form(one, two, differs)
        rotated = rf"(?:{_STAMP})?(?:{_PACKED})?" if index == last else ""
        whole = re.compile(f"({pattern}){rotated}")
        names = ((path, whole.fullmatch(name)) for path in found for name in _names(path))
        found = list(dict.fromkeys(path / match[1] for path, match in names if match))
    ordered = sorted(found, key=_runs)
    low, high = _runs(old), _runs(new)
    if low < high:
        return [each for each in ordered if low < _runs(each) < high]
    return [each for each in ordered if each not in {old, new}]


def _form(one: str, two: str, differs: bool) -> tuple[str, bool]:
    """A pattern of names that have the form of both, and whether a number in them differs."""
    pattern = ""
    for index, (a, b) in enumerate(zip(re.split(r"(\d+)", one), re.split(r"(\d+)", two), strict=True)):
        is_number = index % 2 == 1
        differs = differs or (is_number and a != b)
        pattern += r"\d+" if is_number and differs else re.escape(b)
    return pattern, differs


def _skeleton(path: Path) -> str:
    return re.sub(r"\d+", "0", str(path))


def _runs(path: Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", str(path))))


def _counts_upwards(ordered: Sequence[Entry]) -> bool:
    """Whether most files are younger than the next one. Not all need be, because one may have been written late."""
    return sum((one.modified > two.modified) - (one.modified < two.modified) for one, two in pairwise(ordered)) > 0


def _pattern(path: Path) -> re.Pattern[str]:
    stem, suffix = re.escape(path.stem), re.escape(path.suffix)
    return re.compile(rf"(?:{stem}{suffix}{_STAMP}|{stem}{_STAMP}{suffix})(?:{_PACKED})?|{stem}{suffix}{_PACKED}")


def _rotated(path: Path, others: Iterable[Path], copies: bool) -> Iterator[tuple[Path, int | None]]:
    """The paths of rotated files, with the number that rotation gave them, if any."""
    pattern = _pattern(path)
    for directory in dict.fromkeys([path.parent, *others]):
        names = set(_names(directory))
        is_elsewhere = directory != path.parent
        for name in names:
            if not (is_elsewhere if name == path.name else pattern.fullmatch(name)):
                continue
            # While a file is being compressed, it exists twice.
            if not copies and PACKED.search(name) and PACKED.sub("", name) in names:
                continue
            number = _NUMBER.fullmatch(name.removeprefix(path.name)) if name.startswith(path.name) else None
            yield directory / name, int(number[1]) if number else None


def _names(directory: Path) -> list[str]:
    with suppress(OSError):
        return os.listdir(directory)  # noqa: PTH208 - names are all that is needed
    return []


def _entry(path: Path, member: Path) -> Entry | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return Entry(path, member, (found.st_dev, found.st_ino), found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
