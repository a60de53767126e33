"""Tests are named alike whenever and wherever they are collected, without which workers in parallel disagree."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

# The suite's clock is the machine's, but for what is asked of time.time(): gzip dates its headers by it.
_COLLECT = """
import sys, time, pytest
real, ahead = time.time, float(sys.argv[1])
time.time = lambda: real() + ahead
sys.exit(pytest.main(["--collect-only", "-p", "no:cacheprovider"]))
"""


def collected(root: Path, seconds_ahead: int, **environment: str) -> list[str]:
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _COLLECT, str(seconds_ahead)],
        cwd=root, env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return [line for line in done.stdout.splitlines() if "::" in line]


def test_no_name_of_a_test_depends_on_time_zone_or_hashing(request: pytest.FixtureRequest, root: Path) -> None:
    ours = [item.nodeid for item in request.session.items]
    other = collected(root, 40 * 86_400, PYTHONHASHSEED="2", TZ="NST3:30" if time.timezone == -19_800 else "IST-5:30")
    assert len(other) > 1000
    assert len(set(other)) == len(other)
    assert set(ours) <= set(other)
