"""A run of the tests of roles in which some grants are taken away, and what becomes of it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from local.emulator import Emulator, Values, physical_name
from local.template import Template
from tests.audit.grants import Grant, without

_TAKEN: Final = [Grant(*each) for each in json.loads(os.environ["LOGKEEP_TAKEN"])]
_REPORT: Final = Path(os.environ["LOGKEEP_REPORT"])
_DECISIONS: Final = Path(os.environ["LOGKEEP_DECISIONS"])
_PROOF: Final = "test_it_can_do_nothing_that_it_need_not"  # which is about what roles lack
_LINKED: Final = ("ReadLogRole", "DownloadBackupRole")  # by whose functions DownloadRole is assumed

_create_roles = Emulator._create_roles
_missed: Final[dict[str, str]] = {}  # the test that missed a role's grant
_failed: Final[set[str]] = set()  # tests that failed without one
_used: Final[set[tuple[str, str]]] = set()  # roles and their actions
_read = 0  # bytes of the decisions that were looked at


def pytest_configure(config: pytest.Config) -> None:
    Emulator.program = "tests.audit.emulator"
    Emulator._create_roles = create_roles  # type: ignore[method-assign]  # for the audit only


def create_roles(self: Emulator, template: Template, values: Values) -> None:
    _create_roles(self, without(template, _TAKEN), values)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Only what is tested with a role that lacks something; everything if none does."""
    roles = {each.role for each in _TAKEN}
    if "DownloadRole" in roles:
        roles.update(_LINKED)
    kept = [
        each for each in items if _PROOF not in each.name and (not roles or not _role(each) or _role(each) in roles)
    ]
    config.hook.pytest_deselected(items=[each for each in items if each not in kept])
    items[:] = kept


def _role(item: pytest.Item) -> str:
    parameters = getattr(item, "callspec", None)
    name = parameters.params.get("role", "") if parameters else ""
    return f"{name}Role" if name else ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    _decisions()  # those before this test
    if _role(item) in _missed:
        pytest.skip("it is known to be missed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    made = yield
    if made.failed:
        denied = {(role, action) for role, action, allowed in _decisions() if not allowed}
        found = [each.role for each in _TAKEN if (each.role, each.action.lower()) in denied]
        for role in found:
            _missed.setdefault(role, item.nodeid)
        if not found:
            _failed.add(item.nodeid)
    return made


def _decisions() -> list[tuple[str, str, bool]]:
    """Roles, actions, and whether they were allowed, since this was last asked."""
    global _read
    if not _DECISIONS.exists():
        return []
    with _DECISIONS.open() as file:
        file.seek(_read)
        lines = file.readlines()
        _read = file.tell()
    found = []
    for principal, action, _, decision in map(json.loads, lines):
        role = principal.partition("role/")[2].partition("/")[0].removeprefix(physical_name(""))
        found.append((role, action.lower(), decision == "Allow"))
        if decision == "Allow":
            _used.add((role, action.lower()))
    return found


def pytest_sessionfinish() -> None:
    _decisions()
    report = {"missed": _missed, "failed": sorted(_failed), "used": sorted(_used)}
    _REPORT.write_text(json.dumps(report, indent=1))
