"""The state file: where in the log a file began. It survives every end of the agent, also a power cut."""

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
    """A place in the log: the number of bytes before it, and their CRC-32."""

    bytes: int = 0
    crc32: int = 0


@dataclass(frozen=True)
class State:
    """The file that is being shipped. Its first byte is at `base` in the log.

    How far it was shipped is not kept, because the log itself shows that. `before` and `after` are where the log ends
    without and with the last piece that was sent. If it ends anywhere else, someone else has written to it.
    """

    project: str
    log_id: str
    device: int
    inode: int
    begun: int  # epoch ns, when shipping it began; a file last written before then does not come after this one
    written: int  # epoch ns, time of its last write by then
    base: Mark
    before: Mark
    after: Mark

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """None if the file does not exist. Raises Refused if it cannot be read."""
        try:
            fields = json.loads(path.read_text())
            if fields.pop("version") != _VERSION:
                raise ValueError
            return cls(**fields | {name: Mark(**fields[name]) for name in ("base", "before", "after")})
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(f"the state file {path} cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Refused(f"{path} is not a state file of this agent; name another with --state") from error

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
