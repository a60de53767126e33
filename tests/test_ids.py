"""Tests are named alike whenever and wherever they are collected, without which workers in parallel disagree."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

# Collects all tests 40 days later: gzip, for one, writes the second into what it packs. They are compared with those of
# this run. A control, which must differ, is collected now as well, since this run has not collected it.
_COLLECT: Final = """
import contextlib, json, os, sys, time
import pytest

class Names:
    def pytest_collection_finish(self, session):
        self.found = [item.nodeid for item in session.items]

def collected(*paths):
    names = Names()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        status = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", *paths], plugins=[names])
    assert status == 0, f"exit status {status} of pytest --collect-only"
    return names.found

tests, control = sys.argv[1:]
real = time.time
time.time = lambda: real() + 40 * 86_400
later = collected(tests, control)
for name in [name for name, module in sys.modules.items() if getattr(module, "__file__", None) == control]:
    del sys.modules[name]
time.time = real
json.dump([collected(control), later], sys.stdout)
"""


# A name that holds the second, which must be noticed.
_PACKED: Final = """
import gzip, pytest

@pytest.mark.parametrize("packed", [gzip.compress(b"")])
def test_it(packed): ...
"""


def test_no_name_of_a_test_depends_on_time_time_zone_or_hashing(
    request: pytest.FixtureRequest, root: Path, tmp_path: Path
) -> None:
    ours = [item.nodeid for item in request.session.items]
    control = tmp_path / "test_packed.py"
    control.write_text(_PACKED)
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _COLLECT, "tests", str(control)],
        cwd=root,
        env=os.environ | {"PYTHONHASHSEED": "2", "TZ": "NST3:30" if time.timezone == -19_800 else "IST-5:30"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (now,), later = json.loads(done.stdout)
    assert "test_packed" in now
    assert now not in later
    assert len(set(later)) == len(later) > 1000
    assert set(ours) <= set(later)
