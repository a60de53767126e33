"""`make iam-audit`: takes each action of each role away in turn, and lists those that no test of roles misses.

The tests of roles run once, and each is repeated without each of the grants that it used. A grant is missed if a test
that passes again with it, without it is refused what it grants and fails. What no repetition missed is taken away for a
whole run of the tests that used it: one grant of each role at a time, because such a test acts with one role. What no
request used needs no run: without it, nothing would be refused. Whatever is listed must be explained in
docs/iam-audit.md, and nothing else may be.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from local import ROOT
from tests.audit.grants import Grant, grants

EXPLAINED: Final = ROOT / "docs" / "iam-audit.md"
TESTS: Final = ["tests/test_roles.py", "tests/backups/test_lock_roles.py"]

type Row = tuple[str, str, str]  # role, action and resource; `*` stands for all


def main() -> None:
    started = time.monotonic()
    every = sorted(grants())
    report = run(TESTS)
    if report["failed"]:
        sys.exit(f"these fail by themselves: {report['failed']}")
    missed = grants_of(report["missed"])
    used = {Grant(*parts): tests for parts, tests in report["used"]}
    show(f"{len(missed)} of {len(used)} used grants are missed after {time.monotonic() - started:.0f} s", [])
    for taken in rounds(used.keys() - missed):
        found = grants_of(run(sorted({test for grant in taken for test in used[grant]}), taken)["missed"])
        missed |= found
        show(f"{len(found)} of {len(taken)} more after {time.monotonic() - started:.0f} s, but not", set(taken) - found)
    unmissed = [each for each in every if each not in missed]
    explained = rows(EXPLAINED.read_text())
    unexplained = [each for each in unmissed if not any(covers(row, each) for row in explained)]
    outdated = [row for row in explained if not any(covers(row, each) for each in unmissed)]
    print(f"{len(every)} grants, {len(unmissed)} of them missed by no test, in {time.monotonic() - started:.0f} s")
    show("not used by any test, and not explained:", [each for each in unexplained if each not in used])
    show("used, missed by no test, and not explained:", [each for each in unexplained if each in used])
    show("explained, but missed by a test:", outdated)
    sys.exit(bool(unexplained or outdated))


def rounds(tried: Collection[Grant]) -> Iterator[list[Grant]]:
    """What is taken at once. DownloadRole is assumed by other roles, and a test of locks acts with two."""
    by_role = defaultdict(list)
    for each in sorted(tried):
        if each.policy == "lock" or each.role == "DownloadRole":
            yield [each]
        else:
            by_role[each.role].append(each)
    for taken in zip_longest(*by_role.values()):
        yield [each for each in taken if each]


def run(tests: Collection[str], taken: Collection[Grant] = ()) -> Any:
    """A run of tests, without some grants or without each in turn; the report of tests.audit.plugin."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        environment = os.environ | {
            "LOGKEEP_TAKEN": json.dumps([each.parts for each in taken]),
            "LOGKEEP_REPORT": str(report),
            "LOGKEEP_DECISIONS": str(Path(folder, "decisions")),
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.audit.plugin", *tests]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
        if done.returncode > 1:  # tests failed or not: there was another error
            sys.exit(done.stdout[-3000:] + done.stderr[-3000:])
        return json.loads(report.read_text())


def grants_of(reported: Iterable[list[str]]) -> set[Grant]:
    return {Grant(*each) for each in reported}


def rows(text: str) -> list[Row]:
    """The rows of the table."""
    found = [each.split("|")[1:4] for each in text.splitlines() if each.startswith("| `")]
    return [(role.strip(" `"), action.strip(" `"), resource.strip(" `")) for role, action, resource in found]


def covers(row: Row, grant: Grant) -> bool:
    return all(own in {"*", each} for own, each in zip(row, (grant.role, grant.action, grant.resource), strict=True))


def show(title: str, listed: Iterable[object]) -> None:
    print(title, *listed, sep="\n  ", flush=True)


if __name__ == "__main__":
    main()
