from typing import Any
from urllib.parse import urlencode

import pytest

from logkeep.limits import ANSWER_MAX
from tests.calls import CHECK_TASK, EXECUTION, PROJECT, SUB_JOBS, Answer, append, call, event, seal, send

pytestmark = pytest.mark.usefixtures("aws")


def scan(log_id: str, text: bytes, execution: str = EXECUTION["execute_id"], task: str = CHECK_TASK) -> None:
    append(f"check/{log_id}", text, registered={"task_id": task, "execute_id": execution})


def detail(query: str = "", task: str = CHECK_TASK) -> Answer:
    parameters = {"project_id": PROJECT, "task_id": task}
    path = f"/v2/{PROJECT}/tasks/{task}/log-detail"
    return call(
        "show_check_log", event("show_check_log", rawPath=path, pathParameters=parameters, rawQueryString=query)
    )


def console(job_id: str = CHECK_TASK, **query: Any) -> Any:
    return console_answer(urlencode({"job_id": job_id, **query})).json["result"]


def console_answer(query: str) -> Answer:
    return call("show_check_log", event("show_check_log-console", rawQueryString=query))


# log-detail


def test_all_logs_of_an_execution_are_shown_in_the_sdks_shape() -> None:
    scan(SUB_JOBS[1], b"2026-01-01 10:00:00 WARN slow\n2026-01-01 10:00:00 INFO x\n")
    scan(f"{SUB_JOBS[0]}/pmd.log", "日志\n".encode())
    scan(f"{SUB_JOBS[0]}/a.log", b"ERROR: no\nDEBUG: x")
    answer = send("show_check_log").json
    assert answer["param_info"] == dict.fromkeys(
        ["url", "branch", "language", "exclude_dir", "encode", "compile_config", "rule_template"]
    )
    assert [(each["display_name"], each["log"], each["level"]) for each in answer["log_info"]] == [
        (f"{SUB_JOBS[0]}/a.log", "ERROR: no\nDEBUG: x", "ERROR"),
        (f"{SUB_JOBS[0]}/pmd.log", "日志\n", "INFO"),
        (f"{SUB_JOBS[1]}.log", "2026-01-01 10:00:00 WARN slow\n2026-01-01 10:00:00 INFO x\n", "WARN"),
    ]
    assert all(each["analysis"] is each["faq"] is None for each in answer["log_info"])


def test_without_an_execution_the_latest_is_shown() -> None:
    scan(SUB_JOBS[0], b"first\n", "e1")
    scan(SUB_JOBS[1], b"second\n", "e2")
    scan(SUB_JOBS[2], b"late\n", "e1")
    assert [each["log"] for each in detail().json["log_info"]] == ["second\n"]
    assert [each["log"] for each in detail("execute_id=e1").json["log_info"]] == ["first\n", "late\n"]


def test_bytes_that_are_no_utf8_are_shown_as_such() -> None:
    scan(SUB_JOBS[0], b"a\xffb\x00\n")
    assert detail().json["log_info"][0]["log"] == "a\N{REPLACEMENT CHARACTER}b\x00\n"


def test_logs_that_no_answer_holds_name_the_download_and_its_ids() -> None:
    scan(SUB_JOBS[0], b"x" * ANSWER_MAX)
    assert detail().status == 200
    scan(f"{SUB_JOBS[1]}/a.log", b"x")
    answer = detail()
    assert (answer.status, answer.json["error_code"]) == (413, "CC.00070400.413")
    assert f"/v1/log-file?sub_job_id={SUB_JOBS[0]},{SUB_JOBS[1]}" in answer.json["error_msg"]


def test_logs_that_escape_to_more_than_an_answer_holds_are_too_large() -> None:
    scan(SUB_JOBS[0], b"\x01" * (ANSWER_MAX - 1))
    event_ = event("show_check_log", headers={"accept-encoding": "identity"})
    assert call("show_check_log", event_).status == 413


def test_an_unknown_task_or_execution_is_a_404() -> None:
    scan(SUB_JOBS[0], b"x\n")
    for answer in (detail("execute_id=none"), detail(task="none"), detail("execute_id=latest", "none")):
        assert (answer.status, answer.json["error_code"]) == (404, "CC.00070400.404")


@pytest.mark.parametrize(
    ("query", "task", "named"),
    [
        ("execute_id=a%2Fb", CHECK_TASK, "execute_id"),
        ("execute_id=a&execute_id=b", CHECK_TASK, "execute_id"),
        ("", "a b", "task_id"),
        ("", "..", "task_id"),
        ("", "x" * 129, "task_id"),
        ("task_id=x", "{task_id}", "task_id"),
    ],
)
def test_a_bad_parameter_of_a_detail_is_named(query, task, named) -> None:
    answer = detail(query, task)
    assert (answer.status, answer.json["error_code"]) == (400, "CC.00070400.400")
    assert f" {named}: " in answer.json["error_msg"]


# console-log


LINES = [f"line {number}\n" for number in range(250)]


def test_a_console_shows_the_last_lines_and_is_paged_backwards() -> None:
    scan(SUB_JOBS[0], "".join(LINES).encode())
    answer = console_answer(f"job_id={SUB_JOBS[0]}").json
    assert answer == {
        "result": {
            "hasMore": True,
            "startOffset": len("".join(LINES[:150])),
            "endOffset": len("".join(LINES)),
            "logs": "".join(LINES[150:]),
        },
        "error": None,
        "status": "success",
    }
    text, found = answer["result"]["logs"], answer["result"]
    while found["hasMore"]:
        found = console(SUB_JOBS[0], end_offset=found["startOffset"], size=77)
        text = found["logs"] + text
    assert text == "".join(LINES)


def test_a_console_is_paged_forwards_and_has_more_while_a_log_is_open() -> None:
    scan(SUB_JOBS[0], "".join(LINES).encode())
    text, start = "", 0
    for size in (100, 100, 50, 0):
        found = console(SUB_JOBS[0], sort="ASC", start_offset=start)
        assert (found["hasMore"], found["logs"].count("\n")) == (True, size)
        text, start = text + found["logs"], found["endOffset"]
    assert text == "".join(LINES)
    seal(f"check/{SUB_JOBS[0]}")
    assert console(SUB_JOBS[0], sort="ASC", start_offset=start)["hasMore"] is False


def test_a_tasks_console_is_that_of_its_latest_execution() -> None:
    scan(SUB_JOBS[0], b"old\n", "e1")
    scan(SUB_JOBS[1], b"new", "e2")
    scan(f"{SUB_JOBS[2]}/a.log", b"other\n", "e2")
    assert console()["logs"] == "new\nother\n"
    assert console(sort="ASC")["logs"] == "new", "the log may still grow: what follows it comes once it is sealed"
    seal(f"check/{SUB_JOBS[1]}")
    assert console(sort="ASC")["logs"] == "new\nother\n"


def test_a_sub_job_comes_before_a_task_of_the_same_id() -> None:
    scan(CHECK_TASK, b"sub-job\n", "e", "another-task")
    scan(SUB_JOBS[0], b"task\n")
    assert console()["logs"] == "sub-job\n"


def test_an_unknown_job_is_a_404() -> None:
    answer = console_answer(f"job_id={CHECK_TASK}")
    assert (answer.status, answer.json["error_code"]) == (404, "CC.00070400.404")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("", "job_id"),
        ("job_id=short", "job_id"),
        (f"job_id={CHECK_TASK}x", "job_id"),
        ("job_id=" + "%2F" * 32, "job_id"),
        (f"job_id={CHECK_TASK}&size=1001", "size"),
        (f"job_id={CHECK_TASK}&size=-1", "size"),
        (f"job_id={CHECK_TASK}&sort=UP", "sort"),
        (f"job_id={CHECK_TASK}&start_offset=-1", "start_offset"),
        (f"job_id={CHECK_TASK}&end_offset=x", "end_offset"),
    ],
)
def test_a_bad_parameter_of_a_console_is_named(query, named) -> None:
    answer = console_answer(query)
    assert (answer.status, answer.json["error_code"]) == (400, "CC.00070400.400")
    assert f" {named}: " in answer.json["error_msg"]


def test_the_event_files_do_what_their_names_say() -> None:
    scan(SUB_JOBS[0], b"x\n")
    assert len(send("show_check_log").json["log_info"]) == 1
    assert send("show_check_log-unknown_execution").status == 404
    assert send("show_check_log-console").json["result"]["logs"] == "x\n"
    assert send("show_check_log-console_bad_size").status == 400
