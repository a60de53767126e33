"""Processes that run functions, with functions of the template that need nothing of AWS."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from local.emulator import values_of
from local.sandbox import FunctionFailed, FunctionTimedOut, Sandboxes
from local.template import Template
from tests.calls import event

TEMPLATE = Template.load()
FUNCTION = TEMPLATE.functions["RejectUnknown"]
NOBODY_LISTENS = "http://127.0.0.1:9"
ENVIRONMENT = TEMPLATE.environment(values_of(TEMPLATE, NOBODY_LISTENS)) | {"POWERTOOLS_LOG_LEVEL": "CRITICAL"}


@pytest.fixture
def sandboxes() -> Iterator[Sandboxes]:
    with Sandboxes(ENVIRONMENT) as sandboxes:
        yield sandboxes


def test_calls_at_once_do_not_mix(sandboxes):
    def call(number: int) -> str:
        request = event("reject_unknown")
        request["requestContext"]["requestId"] = str(number)
        answer = sandboxes.invoke(FUNCTION, request, str(number), 20)
        assert answer["statusCode"] == 404
        return answer["headers"]["X-Request-Id"]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(call, range(40))) == [str(number) for number in range(40)]


def test_a_call_that_takes_too_long_ends_and_the_next_one_works(sandboxes):
    with pytest.raises(FunctionTimedOut):
        sandboxes.invoke(FUNCTION, event("reject_unknown"), "1", 0)
    assert sandboxes.invoke(FUNCTION, event("reject_unknown"), "2", 20)["statusCode"] == 404


def test_a_function_that_raises_fails_and_the_next_call_works(sandboxes):
    with pytest.raises(FunctionFailed):
        sandboxes.invoke(replace(FUNCTION, folder="nowhere"), {}, "1", 20)
    assert sandboxes.invoke(FUNCTION, event("reject_unknown"), "2", 20)["statusCode"] == 404


def test_nothing_is_called_once_closed(sandboxes):
    sandboxes.close()
    with pytest.raises(FunctionFailed):
        sandboxes.invoke(FUNCTION, event("reject_unknown"), "1", 20)
