"""Patterns of files, and the ids of their logs."""

import glob
import os
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from logkeep_agent import Refused
from logkeep_agent.files import PACKED
from logkeep_agent.names import is_rotated

_PLACEHOLDER: Final = re.compile(r"\{(\w*)\}")
_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9._-]")
_NAMES: Final = "{name}, {stem}, {date}, {1} to {9}"


def is_pattern(text: str) -> bool:
    return glob.has_magic(text) and not Path(text).exists()


def files_of(pattern: str, known: Iterable[Path] = ()) -> list[Path]:
    """The files that match, without those that were rotated from another one, or are compressed."""
    found = [Path(each) for each in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - as it was written
    files = [each for each in found if not PACKED.search(each.name) and not each.is_dir()]
    others = {*files, *known}
    return [each for each in files if not any(is_rotated(each, other) for other in others)]


def log_id_of(form: str, path: Path, pattern: str, day: str = "") -> str:
    """The log id of a file, in which placeholders are replaced; what an id cannot have becomes a hyphen.

    {name} is the file's name, {stem} the name without its last extension, {1} what the first wildcard matched, {date}
    the day. Raises Refused for another placeholder.
    """
    wild = _wildcards(pattern, path)
    values = {"name": path.name, "stem": path.stem, **({"date": day} if day else {})}
    values |= {str(number): text for number, text in enumerate(wild, 1)}

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise Refused(f"--log: there is no {found[0]} for {path}; an ID may have {_NAMES}")
        return _ILLEGAL.sub("-", values[found[1]])

    return _PLACEHOLDER.sub(value, form)


def daily(form: str) -> str:
    """The form of an id with the day in it: after its second part, in kind app at the end, unless it says where."""
    if "{date}" in form:
        return form
    kind, _, rest = form.partition("/")
    if kind == "app":
        return f"{form}/{{date}}"
    first, slash, others = rest.partition("/")
    return f"{kind}/{first}-{{date}}{slash}{others}"


def state_of(path: Path, directory: Path | None) -> Path:
    """The state file of one of many files: beside it, or in a directory for all."""
    if directory is None:
        return path.with_name(f".{path.name}.logkeep")
    return directory / f".{path.name}.{zlib.crc32(os.fsencode(path.absolute())):08x}.logkeep"


def _wildcards(pattern: str, path: Path) -> list[str]:
    """What each *, ? and [...] of a pattern matched."""
    form = ""
    for part in re.split(r"(\*\*/|\*+|\?|\[[^]]+\])", pattern):
        if part == "**/":
            form += "(.*/|)"
        elif part.startswith("*"):
            form += "([^/]*)"
        elif part == "?":
            form += "([^/])"
        elif part.startswith("["):
            form += "(" + part.replace("[!", "[^") + ")"
        else:
            form += re.escape(part)
    found = re.fullmatch(form, str(path)) if glob.has_magic(pattern) else None
    return [text.strip("/") for text in found.groups()] if found else []
