from typing import Any

import pytest
from pydantic import ValidationError

from logkeep.errors import Conflict, Invalid
from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.logs.registration import Registration, RegistrationQuery

pytestmark = pytest.mark.unit

JOB = "b59137c75cc44d0b8e1f2ee58b0fdc1f"
BUILD = {"job_id": JOB, "build_no": "27"}
EXECUTION = {"task_id": "a.task", "execute_id": "e-1"}
LOGS = {"build": "build/r/stage1", "check": "check/s", "task": "task/t/0/c/0", "cluster": "cluster/c/i/t"}


def registration(kind: str, values: dict[str, str]) -> Registration | None:
    return RegistrationQuery.model_validate(values).registration(LogId.parse(LOGS[kind]))


def test_a_build_log_goes_with_a_build_and_a_check_log_with_an_execution():
    assert registration("build", BUILD) == (JOB, "27")
    assert registration("build", BUILD | {"build_no": "027"}) == (JOB, "27")
    assert registration("check", EXECUTION) == ("a.task", "e-1")
    assert all(registration(kind, {}) is None for kind in LOGS)


@pytest.mark.parametrize(
    ("kind", "values", "named"),
    [
        ("build", {"job_id": JOB}, "build_no"),
        ("build", {"build_no": "1"}, "job_id"),
        ("check", {"task_id": "t"}, "execute_id"),
        ("check", {"execute_id": "e"}, "task_id"),
        ("build", EXECUTION, "task_id"),
        ("check", BUILD, "job_id"),
        ("build", BUILD | {"execute_id": "e"}, "execute_id"),
        ("task", BUILD, "job_id"),
        ("cluster", EXECUTION, "task_id"),
        ("task", {"execute_id": "e"}, "execute_id"),
    ],
)
def test_half_a_pair_or_one_of_another_kind_is_named(kind: str, values: dict[str, str], named: str):
    with pytest.raises(Invalid) as caught:
        registration(kind, values)
    assert caught.value.field == named


@pytest.mark.parametrize(
    "values",
    [
        {"job_id": JOB[1:]},
        {"job_id": JOB + "0"},
        {"job_id": JOB[1:] + "-"},
        {"job_id": JOB + "\n"},
        {"job_id": "é" * 32},
        {"build_no": "0"},
        {"build_no": "-1"},
        {"build_no": "1.0"},
        {"build_no": "1" * 19},
        {"task_id": ""},
        {"task_id": ".."},
        {"task_id": "a/b"},
        {"execute_id": "x" * 129},
        {"execute_id": "latest\n"},
    ],
    ids=str,
)
def test_ids_that_are_none_are_refused(values: dict[str, Any]):
    with pytest.raises(ValidationError):
        RegistrationQuery.model_validate(values)


def test_a_head_keeps_its_registration():
    head = Head.born(LogId.parse("check/s"))
    assert head.register(None) is head
    registered = head.register(Registration("t", "e"))
    assert registered.register(Registration("t", "e")) is registered.register(None) is registered
    with pytest.raises(Conflict):
        registered.register(Registration("t", "f"))
