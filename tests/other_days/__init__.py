"""Tests at other times than now, under faketime."""

import os
from pathlib import Path


def clock(*folders: Path) -> dict[str, str]:
    """What gives a process the tests' clock if it inherits no environment, with folders to import from."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("FAKETIME", "LD_PRELOAD"))}
    paths = [*map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}
