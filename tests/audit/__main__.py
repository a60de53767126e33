"""`make iam-audit`: takes each action of each role away in turn, and lists those that no test of roles misses.

A round takes one action from every role at once, because each of those tests acts with one role. What no request of the
tests asked for is not tried: taken away, it could not be missed. Whatever is listed must be explained in
docs/iam-audit.md, and nothing else may be.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from local import ROOT
from tests.audit.grants import Grant, grants

EXPLAINED: Final = ROOT / "docs" / "iam-audit.md"
_ROLES: Final = ["tests/test_roles.py"]
_LOCKS: Final = ["tests/backups/test_lock_roles.py"]


def main() -> None:
    started = time.monotonic()
    every = sorted(grants())
    sound = run([], [*_ROLES, *_LOCKS])
    if sound["failed"]:
        sys.exit(f"these fail by themselves: {sound['failed']}")
    used = {(role, action) for role, action in sound["used"]}
    tried = [each for each in every if (each.role, each.action.lower()) in used]
    unmissed = set(every) - set(tried)
    for number, (taken, files) in enumerate(rounds(tried)):
        report = run(taken, files)
        found = {each for each in taken if each.role not in report["missed"]}
        unmissed |= found
        told = f"round {number}: {len(taken) - len(found)} of {len(taken)} missed, {time.monotonic() - started:.0f} s"
        print(told, *report["failed"], *map(line, sorted(found)), sep="\n  ", flush=True)
    explained = rows(EXPLAINED.read_text())
    unexplained = [each for each in sorted(unmissed) if not any(covers(row, each) for row in explained)]
    outdated = [row for row in explained if not any(covers(row, each) for each in unmissed)]
    print(f"{len(every)} grants, {len(unmissed)} of them missed by no test, in {time.monotonic() - started:.0f} s")
    print("not explained:", *map(line, unexplained), sep="\n  ")
    print("explained, but missed by a test:", *outdated, sep="\n  ")
    sys.exit(bool(unexplained or outdated))


def rounds(tried: Collection[Grant]) -> Iterator[tuple[list[Grant], list[str]]]:
    """What is taken at once, and the tests that may miss it."""
    by_role = defaultdict(list)
    for each in tried:
        if each.policy == "lock":
            yield [each], _LOCKS
        elif each.role == "DownloadRole":  # which other roles assume
            yield [each], _ROLES
        else:
            by_role[each.role].append(each)
    for taken in zip_longest(*by_role.values()):
        yield [each for each in taken if each], _ROLES


def run(taken: Collection[Grant], files: Collection[str]) -> Any:
    """A run of tests without some grants; the report of tests.audit.plugin."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        environment = os.environ | {
            "LOGKEEP_TAKEN": json.dumps([[each.role, each.policy, each.action, each.resource] for each in taken]),
            "LOGKEEP_REPORT": str(report),
            "LOGKEEP_DECISIONS": str(Path(folder, "decisions")),
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.audit.plugin", *files]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
        if not report.exists():
            sys.exit(done.stdout[-3000:] + done.stderr[-3000:])
        return json.loads(report.read_text())


def line(grant: Grant) -> str:
    return f"{grant.role}: {grant.action} on {grant.resource}"


def rows(text: str) -> list[tuple[str, str, str]]:
    """Roles, actions and resources of the table's rows; `*` stands for all."""
    cells = [
        [cell.strip().strip("`") for cell in each.split("|")[1:4]]
        for each in text.splitlines()
        if each.startswith("| ")
    ]
    return [(role, action, resource) for role, action, resource in cells[1:]]


def covers(row: tuple[str, str, str], grant: Grant) -> bool:
    return all(own in {"*", each} for own, each in zip(row, (grant.role, grant.action, grant.resource), strict=True))


if __name__ == "__main__":
    main()
