"""A program that writes a file, rotates and edits it as programs do, and knows what a log of it must hold."""

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Final

from tests.agent.packing import pack

# What is done to a file, in turn with what is written. Each of a list is as likely as the others.
SCENARIOS: Final = {
    "rotations": ("rename", "copy", "sed", "half"),
    "links": ("link",),
    "late lines": ("late", "late", "rename", "half"),
    "holes": ("gap", "gap", "rename", "copy"),
    "emptied files": ("empty", "rewrite", "rewrite", "rename", "copy"),
    "days": ("rename", "rename", "half", "sed"),
}
_LATE_MAX: Final = 3  # rotated files that are written to at the same time


@dataclass
class Text:
    """What was written to one file until another one was begun, or until it was emptied."""

    lines: list[bytes] = field(default_factory=list)
    days: list[str] = field(default_factory=list)  # on which each line was written
    is_emptied: bool = False  # so that its last lines may be lost


class Producer:
    """Writes line after line, each with its number, and now and then does what a scenario says."""

    def __init__(self, path: Path, scenario: str, seed: int, most: int) -> None:
        """`most` lines are written at once."""
        self.path, self.old = path, path.parent / "old"  # where files are moved to
        self.texts: list[Text] = []
        self.counts = Counter[str]()
        self.stamp: Callable[[int], str] = lambda _: ""  # dates a file that was written to, and says the day
        self.pause: Callable[[float], None] = lambda _: None
        self.edits_after = 0.0  # seconds since it was begun
        self.often = 0.06
        self.packed: tuple[str, ...] = ("gz", "xz", "zst")
        self._chance = random.Random(seed)
        self.scenario, self._kinds, self._most = scenario, SCENARIOS[scenario], most
        self._line = 0
        self._open_late: dict[int, tuple[FileIO, Text]] = {}  # by inode
        self.old.mkdir(parents=True, exist_ok=True)
        if scenario == "links":
            path.symlink_to("0.log")
        self._file = self._open()

    def step(self) -> None:
        """Write some lines, and perhaps rotate or edit the file."""
        for _ in range(self._chance.choice([1, 5, self._most])):
            self._write()
        for file, text in list(self._open_late.values()):
            if self._chance.random() < 0.3:
                self.counts["lines written late"] += 1
                self._write(file, text)
        if self._chance.random() < self.often:
            kind = self._chance.choice(self._kinds)
            # Of less, an agent that is down for long would not know enough to recognize the edited file.
            if kind == "sed" and (len(self.texts[-1].lines) < 50 or time.monotonic() < self.began + self.edits_after):
                kind = "rename"
            self.counts[kind] += 1
            getattr(self, f"_{kind}")()

    def close(self) -> None:
        """Write a last line, which has no end."""
        self._write(end=b"the end")
        for file in (self._file, *(late for late, _ in self._open_late.values())):
            file.close()

    def _open(self) -> FileIO:
        self.texts.append(Text())
        self.began = time.monotonic()
        return self._opened()

    def _opened(self) -> FileIO:
        if self.scenario != "holes":
            return FileIO(self.path, "a")
        # A program that does not append writes on where it was, though the file was emptied.
        file = FileIO(self.path, "w", opener=lambda name, _: os.open(name, os.O_WRONLY | os.O_CREAT))
        file.seek(0, os.SEEK_END)
        return file

    def _write(self, file: FileIO | None = None, text: Text | None = None, end: bytes = b"\n") -> None:
        file, text = file or self._file, text or self.texts[-1]
        self._line += 1
        noise = self._chance.randbytes(self._chance.choice([4, 40, 300])).hex().encode()
        if self.scenario == "holes" and self._chance.random() < 0.1:
            noise += b"\0" * self._chance.choice([1, 100]) + b"x"
        line = b"2026-11-22 00:00:00,000 INFO line %d plain %s" % (self._line, noise) + end
        # Now and then an agent sees half a line.
        half = self._chance.choice([0, len(line) // 2])
        file.write(line[:half])
        file.write(line[half:])
        text.lines.append(line)
        text.days.append(self.stamp(file.fileno()))

    # Rotations

    def _shift(self) -> None:
        """Number rotated files anew. Those after the first are compressed, and those after the second moved away."""
        folders = {self.old, self.path.parent}
        found = [each for folder in folders for each in folder.glob(f"{self.path.name}.*")]
        for path in sorted(found, key=lambda each: -int(each.name.removeprefix(self.path.name).split(".")[1])):
            _, number, *packed = path.name.removeprefix(self.path.name).split(".")
            new = path.with_name(".".join([self.path.name, str(int(number) + 1), *packed]))
            path.rename(new)
            if number == "1":
                self._pack(new)
            elif number == "2":
                new.rename(self.old / new.name)

    def _pack(self, path: Path) -> None:
        file, _ = self._open_late.pop(path.stat().st_ino, (None, None))
        if file:
            file.close()
        kind = self._chance.choice(self.packed)
        pack(path, kind)
        self.counts[kind] += 1

    def _move(self) -> None:
        self._shift()
        self.path.rename(self.path.with_name(f"{self.path.name}.1"))

    def _rename(self) -> None:
        self._move()
        for _ in range(self._chance.choice([0, 1, 20])):  # it has not noticed yet
            self._write()
            self.pause(self._chance.choice([0, 0, 0.02]))
        self._file.close()
        self._file = self._open()

    def _half(self) -> None:
        """Rotate in the midst of a line. What is added in the log is a line's end."""
        self._write(end=b" half")
        self._move()
        self._file.close()
        self._file = self._open()

    def _copy(self) -> None:
        self._shift()
        copy = self.path.with_name(f"{self.path.name}.1")
        shutil.copy(self.path, copy)
        with copy.open("ab") as file:
            self.stamp(file.fileno())
        self._empty(is_lost=False)

    def _link(self) -> None:
        """Several times at once now and then."""
        for _ in range(self._chance.choice([1, 1, 3])):
            self._file.close()
            self.counts["files"] += 1
            new = self.path.with_name("new")
            target = self.path.with_name(f"{self.counts['files']}.log")
            target.touch()
            new.symlink_to(target.name)
            new.rename(self.path)
            self._file = self._open()
            self._write()

    def _late(self) -> None:
        """Begin another file while others still write to this one."""
        if len(self._open_late) == _LATE_MAX:
            self._rename()
            return
        self._move()
        self._open_late[os.fstat(self._file.fileno()).st_ino] = (self._file, self.texts[-1])
        self._file = self._open()
        self._write()

    # Edits

    def _sed(self) -> None:
        new = self.path.with_name("sedq3Zk8W")
        lines = self.path.read_bytes().splitlines(keepends=True)
        chosen = self._chance.randrange(len(lines))
        lines[chosen] = lines[chosen].replace(b" plain ", b" EDITED ")
        new.write_bytes(b"".join(lines))
        self._file.close()
        new.rename(self.path)
        self._file = self._opened()
        self.stamp(self._file.fileno())

    def _empty(self, *, is_lost: bool = True) -> None:
        self.texts[-1].is_emptied = is_lost
        self._file.truncate(0)
        self.stamp(self._file.fileno())
        self.texts.append(Text())
        self.began = time.monotonic()

    def _rewrite(self) -> None:
        """Write the file anew in place, with a mark in every line."""
        lines = self.texts[-1].lines
        self._empty()
        for line in lines:
            number, _, rest = line.partition(b" plain ")
            self._line += 1
            self.texts[-1].lines.append(number + b" anew as line %d plain " % self._line + rest)
        self.texts[-1].days += [self.stamp(self._file.fileno())] * len(lines)
        self._file.write(b"".join(self.texts[-1].lines))
        self.stamp(self._file.fileno())

    # Holes. `copy` makes one at the beginning of the file, too.

    def _gap(self) -> None:
        """Leave a hole in the midst, as a program that reserves space does."""
        self._file.seek(self._chance.choice([600, 5000, 100_000]), os.SEEK_CUR)
        self._write()
