"""Tests are named alike whenever and wherever they are collected, without which workers in parallel disagree."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

# Collects twice. To the second collection, which imports the tests anew, it is 40 days later: gzip, for one, writes the
# second into what it packs. What the tests import stays, since to import it takes most of the time.
_COLLECT: Final = """
import contextlib, json, os, sys, time
import pytest

class Names:
    def pytest_collection_finish(self, session):
        self.found = [item.nodeid for item in session.items]

def collected():
    names = Names()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        status = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", *sys.argv[1:]], plugins=[names])
    assert status == 0, f"exit status {status} of pytest --collect-only"
    return names.found

first = collected()
for name, module in list(sys.modules.items()):
    file = os.path.basename(getattr(module, "__file__", None) or "")
    if name.partition(".")[0] == "tests" or file.startswith("test_"):
        del sys.modules[name]
real = time.time
time.time = lambda: real() + 40 * 86_400
second = collected()
assert len(set(first)) == len(first)
json.dump([first, second], sys.stdout)
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
    (tmp_path / "test_packed.py").write_text(_PACKED)
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _COLLECT, "tests", str(tmp_path)],
        cwd=root,
        env=os.environ | {"PYTHONHASHSEED": "2", "TZ": "NST3:30" if time.timezone == -19_800 else "IST-5:30"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    now, later = map(set, json.loads(done.stdout))
    assert len(now) == len(later) > 1000
    (name,) = now - later
    assert "test_packed" in name
    assert set(ours) <= now
