"""`pytest --faults SEED`: the requests of the code under test meet what AWS does now and then (local/faults.py).

A test draws its faults from the seed and its own id, so that it meets the same ones when it is run alone. Calls of
functions are repeated if they are answered that AWS is busy, as clients do.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.retries.standard import ExponentialBackoff

from local.faults import Fault, Faults
from local.template import Template
from tests import calls, faults

_TRIES = 12  # of a call that is answered 503
_MANY = 300  # tests of which each kind of fault must have met one


class _Plugin:
    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.faults = Faults(seed, Template.load())

    @pytest.fixture(autouse=True)
    def _faults(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self.faults.begin(f"{self.seed} {request.node.nodeid}")
        self.faults.on = request.node.get_closest_marker("no_faults") is None
        if self.faults.on:
            monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
            monkeypatch.setattr(calls, "tries", _TRIES)
            monkeypatch.setattr(faults, "of_all", self.faults)
        yield
        self.faults.on = False

    def pytest_configure(self, config: pytest.Config) -> None:
        # A connection whose answer is cut is left to the collector of garbage, at any time.
        config.addinivalue_line(
            "filterwarnings", "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
        )

    def pytest_sessionstart(self) -> None:
        self.faults.on = False  # until a test begins
        self.faults.install()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        # A process that died has put out nothing; pytest-xdist says so.
        self.faults.counts.update(getattr(node, "workeroutput", {}).get("faults", {}))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["faults"] = dict(self.faults.counts)  # plain strings: execnet sends no enumeration
        elif session.testscollected >= _MANY and self.missing and not session.exitstatus:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        met = ", ".join(f"{kind} {self.faults.counts[kind]}" for kind in Fault)
        terminalreporter.write_line(f"faults: {met} (--faults {self.seed} for the same ones)")

    @property
    def missing(self) -> list[str]:
        return [kind for kind in Fault if not self.faults.counts[kind]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", metavar="SEED", help="let requests meet what AWS does now and then")


def pytest_configure(config: pytest.Config) -> None:
    if seed := config.getoption("--faults"):
        config.pluginmanager.register(_Plugin(seed), "faulty")
