"""Where in the log a file began, kept across ends of the agent, however they come."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from logkeep_agent import Refused

_VERSION: Final = 1


@dataclass(frozen=True)
class Mark:
    """A place in the log: so many bytes, of this CRC-32."""

    bytes: int = 0
    crc32: int = 0


@dataclass(frozen=True)
class State:
    """The file that is being shipped: its first byte stands at `base` of the log.

    How far it was shipped is not kept: the log itself knows. `before` and `after` are where the log ends without and
    with the piece that was sent last; where it ends elsewhere, someone else wrote to it.
    """

    project: str
    log_id: str
    device: int
    inode: int
    begun: int  # epoch nanoseconds; a file that was written last before then does not follow this one
    written: int  # when the file had been written last by then
    base: Mark
    before: Mark
    after: Mark

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """None if there is none yet; raise Refused if it cannot be read."""
        try:
            told = json.loads(path.read_text())
            if told.pop("version") != _VERSION:
                raise ValueError
            return cls(**told | {name: Mark(**told[name]) for name in ("base", "before", "after")})
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(f"the state file {path}: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Refused(f"{path} is no state file of this agent; name another with --state") from error

    def save(self, path: Path) -> None:
        """Replace the file by one that is whole on disk, so that a power cut leaves the old or the new one."""
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


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep a second agent from the same state. The lock ends with the process."""
    try:
        file = path.with_name(f"{path.name}.lock").open("w")
    except OSError as error:
        raise Refused(f"the state file {path} cannot be written: {error.strerror}; see --state") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(f"another agent ships with the state file {path}") from error
        yield
