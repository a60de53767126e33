"""A run of the tests of roles that repeats each without one grant at a time, and reports which grants it missed."""

import fnmatch
import json
import os
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import pytest
from _pytest.runner import runtestprotocol

from local.emulator import Emulator, physical_name
from local.template import Template, Values, resolve
from tests.audit.grants import Grant, declared_grants, policy_of, without

# Taken away in the whole run, so that nothing needs to be repeated.
_TAKEN: Final = [Grant(*each) for each in json.loads(os.environ["LOGKEEP_TAKEN"])]
_REPORT: Final = Path(os.environ["LOGKEEP_REPORT"])
_DECISIONS: Final = Path(os.environ["LOGKEEP_DECISIONS"])
_PROOF: Final = "test_it_can_do_nothing_that_it_need_not"  # which is about what roles lack

type Decisions = Collection[tuple[str, str, str, bool]]  # role, action, resource, whether it was allowed

_create_roles = Emulator._create_roles
_made: Final[list[tuple[Emulator, Template, Values]]] = []  # the roles that the tests use
_patterns: Final[dict[Grant, str]] = {}  # the resources of grants as ARNs
_used: Final[dict[Grant, list[str]]] = defaultdict(list)  # with the tests that used it
_missed: Final[set[Grant]] = set()
_failed: Final[list[str]] = []  # tests that fail though nothing is taken away
_read = 0  # bytes of the decisions that were looked at


def pytest_configure(config: pytest.Config) -> None:
    Emulator.program = "tests.audit.emulator"
    Emulator.start_seconds = 120.0
    Emulator._create_roles = create_roles  # type: ignore[method-assign]  # for the audit only


def create_roles(self: Emulator, template: Template, values: Values) -> None:
    _create_roles(self, without(template, _TAKEN), values)
    _made[:] = [(self, template, values)]
    _patterns.update({grant: resolve(resource, values) for grant, resource in declared_grants(template)})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [each for each in items if _PROOF not in each.name]


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    decisions()  # those before this test
    passed = _passes(item)
    made = decisions()
    used = {grant for grant in _patterns if any(allowed and covers(grant, *each) for *each, allowed in made)}
    for grant in used:
        _used[grant].append(item.nodeid)
    if _TAKEN:
        denied = [each for *each, allowed in made if not allowed]
        _missed.update(grant for grant in _TAKEN if not passed and any(covers(grant, *each) for each in denied))
    elif not passed:
        _failed.append(item.nodeid)
    elif (untried := sorted(used - _missed)) and _passes(item):
        _missed.update(grant for grant in untried if _misses(item, grant))
    item.session._setupstate.teardown_exact(nextitem)
    return True


class _Again:
    """Stands for a next test of the same module, so that its fixtures stay."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    def listchain(self) -> list[Any]:
        return self._item.listchain()[:-1]


def _passes(item: pytest.Item) -> bool:
    return all(not each.failed for each in runtestprotocol(item, log=False, nextitem=_Again(item)))  # type: ignore[arg-type]  # only its chain is asked for


def _misses(item: pytest.Item, grant: Grant) -> bool:
    """Whether the test fails without a grant, because of it."""
    emulator, template, values = _made[0]
    _put(emulator, policy_of(without(template, [grant]), grant), grant, values)
    decisions()
    passed = _passes(item)
    denied = any(covers(grant, *each) for *each, allowed in decisions() if not allowed)
    _put(emulator, policy_of(template, grant), grant, values)
    return denied and not passed


def _put(emulator: Emulator, policy: dict[str, Any] | None, grant: Grant, values: Values) -> None:
    place = {"RoleName": physical_name(grant.role), "PolicyName": grant.policy}
    if policy:
        document = json.dumps(resolve(policy["PolicyDocument"], values))
        emulator.client("iam").put_role_policy(**place, PolicyDocument=document)
    else:
        emulator.client("iam").delete_role_policy(**place)


def covers(grant: Grant, role: str, action: str, resource: str) -> bool:
    return (grant.role, grant.action.lower()) == (role, action.lower()) and fnmatch.fnmatchcase(
        resource, _patterns[grant].replace("[", "[[]")
    )


def decisions() -> Decisions:
    """What was decided about requests of roles since this was last asked."""
    global _read
    if not _DECISIONS.exists():
        return []
    with _DECISIONS.open() as file:
        file.seek(_read)
        lines = file.readlines()
        _read = file.tell()
    return [
        (principal.partition("role/")[2].partition("/")[0].removeprefix(physical_name("")), action, resource, allowed)
        for principal, action, resource, allowed in map(json.loads, lines)
    ]


def pytest_sessionfinish() -> None:
    report = {
        "used": [[each.parts, tests] for each, tests in _used.items()],
        "missed": [each.parts for each in sorted(_missed)],
        "failed": _failed,
    }
    _REPORT.write_text(json.dumps(report, indent=1))
