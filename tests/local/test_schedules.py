"""Schedules of the template, called while the local service runs."""

import time
from dataclasses import replace
from typing import Any

import pytest

from local.sandbox import FunctionFailed, FunctionTimedOut
from local.schedules import Schedules
from local.template import Template
from tests.local.service import eventually


class Functions:
    """Notes calls; each fails in the way that was chosen."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._failure = failure

    def invoke(self, function: Any, event: dict[str, Any], request_id: str, seconds: float) -> None:
        self.calls.append((function.name, event))
        if self._failure:
            raise self._failure


def often() -> Template:
    """The template, with seconds in place of minutes."""
    template = Template.load()
    functions = {
        name: replace(each, schedules=tuple(0.01 for _ in each.schedules)) for name, each in template.functions.items()
    }
    template.__dict__["functions"] = functions
    return template


@pytest.mark.parametrize("failure", [None, FunctionFailed("ValueError", "x"), FunctionTimedOut(1)])
def test_a_function_is_called_again_and_again_even_if_it_fails(failure: Exception | None) -> None:
    functions = Functions(failure)
    with Schedules(often(), functions):  # type: ignore[arg-type]  # a fake
        assert eventually(lambda: len(functions.calls) >= 6)
    assert eventually(lambda: {name for name, _ in functions.calls} == {"ScheduleBackups", "TendLogs"})
    event, other = [event for name, event in functions.calls if name == "ScheduleBackups"][:2]
    assert event["source"] == "aws.scheduler"
    assert event["id"] != other["id"]
    ended = len(functions.calls)
    time.sleep(0.05)
    assert len(functions.calls) == ended


def test_the_first_call_comes_after_a_pause_and_the_end_does_not_wait_for_it() -> None:
    functions, started = Functions(), time.monotonic()
    with Schedules(Template.load(), functions):  # type: ignore[arg-type]  # a fake
        pass
    assert functions.calls == []
    assert time.monotonic() - started < 5


def test_a_rate_is_read_and_what_is_not_known_here_refused() -> None:
    template = Template.load()
    assert template.functions["ScheduleBackups"].schedules == (60,)
    function = template.raw["Resources"]["ScheduleBackups"]["Properties"]
    function["Events"]["Minute"]["Properties"]["ScheduleExpression"] = "cron(0 * * * ? *)"
    with pytest.raises(ValueError, match="cron"):
        _ = Template(template.raw).functions
