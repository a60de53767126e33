"""The state file: which bytes of which file the end of the log holds. It survives every end of the agent."""

import fcntl
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from logkeep_agent import Refused
from logkeep_agent.lines import Lines

_VERSION: Final = 2
Bytes = bytes  # within Mark, `bytes` is a number


@dataclass(frozen=True)
class Mark:
    """A place in the log: the number of bytes before it, their CRC-32, and whether it is within a line."""

    bytes: int = 0
    crc32: int = 0
    is_open: bool = field(default=False, compare=False)  # the service does not say it

    def plus(self, text: Bytes) -> "Mark":
        is_open = not text.endswith(b"\n") if text else self.is_open
        return Mark(self.bytes + len(text), zlib.crc32(text, self.crc32), is_open)


@dataclass(frozen=True)
class Print:
    """The size and CRC-32 of some bytes of a file, by which it is recognized."""

    size: int = 0
    crc32: int = 0

    def __bool__(self) -> bool:
        return self.size > 0


@dataclass(frozen=True)
class Left:
    """A rotated file that was sent up to a position, and may still grow."""

    path: str
    device: int
    inode: int
    position: int
    first: Print
    last: Print


@dataclass(frozen=True)
class State:
    """The file that is being shipped. Its byte `start` is at `base` in the log, and what follows lies there unbroken.

    How far it was shipped is not kept, because the log itself shows that. `before` and `after` are where the log ends
    without and with the last piece that was sent. If it ends anywhere else, someone else has written to it. If `late`
    is not 0, that piece came from the first of the files that were left, and was so long. `joined`: the line before
    `base` is the file's own.
    """

    project: str
    log_id: str
    day: str  # of a log a day; otherwise empty
    path: str  # when shipping it began
    member: str  # the name that it had before it was rotated
    device: int
    inode: int
    begun: int  # epoch ns; a file last written before then does not come after this one
    written: int  # epoch ns, time of its last write by then
    start: int
    base: Mark
    before: Mark
    after: Mark
    first: Print  # the first bytes of the file
    last: Print  # the bytes before `start`
    lines_before: Lines
    lines_after: Lines
    left: tuple[Left, ...] = ()
    late: int = 0
    joined: bool = True
    next: Print = Print()  # the first bytes after `start`, if some were there, sent or not

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """None if the file does not exist. Raises Refused if it cannot be read."""
        try:
            fields = json.loads(path.read_text())
            version = fields.pop("version")
            if version == 1:
                fields = _of_version_1(fields)
            elif version != _VERSION:
                raise ValueError
            return cls._of(fields)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(f"the state file {path} cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Refused(f"{path} is not a state file of this agent; name another with --state") from error

    @classmethod
    def _of(cls, fields: dict[str, Any]) -> Self:
        marks = {name: Mark(**fields[name]) for name in ("base", "before", "after")}
        prints = {name: Print(**fields.get(name, {})) for name in ("first", "last", "next")}
        lines = {name: Lines.load(fields[name]) for name in ("lines_before", "lines_after")}
        state = cls(**fields | marks | prints | lines | {"left": tuple(map(_left, fields["left"]))})
        numbers = (state.device, state.inode, state.begun, state.written, state.start, state.late)
        texts = (state.project, state.log_id, state.day, state.path, state.member)
        if not all(type(each) is int for each in numbers) or not all(isinstance(each, str) for each in texts):
            raise TypeError
        return state

    def save(self, path: Path) -> None:
        """Write a new file to disk and rename it, so that a power cut leaves the old or the new one. Raises Refused."""
        new = path.with_name(f"{path.name}.new")
        try:
            with new.open("w") as file:
                json.dump({"version": _VERSION, **asdict(self)}, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise Refused(f"the state file {path} cannot be written: {error.strerror}; see --state") from error

    def at(self, end: Mark) -> Mark:
        """The same place, with what the state knows of it: whether it is within a line."""
        return next((each for each in (self.after, self.before, self.base) if each == end), end)


def _left(fields: dict[str, Any]) -> Left:
    return Left(**fields | {name: Print(**fields[name]) for name in ("first", "last")})


def _of_version_1(fields: dict[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {"day": "", "path": "", "member": "", "start": 0, "left": [], "late": 0}
    return known | {"first": {}, "last": {}, "lines_before": {}, "lines_after": {}} | fields


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other agents from using the same state file. The lock ends with the process. Raises Refused."""
    try:
        file = path.with_name(f"{path.name}.lock").open("w")
    except OSError as error:
        raise Refused(f"the state file {path} cannot be written: {error.strerror}; see --state") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(f"another agent is using the state file {path}") from error
        yield
