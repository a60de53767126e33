"""append_log: registering a build's or a code check's log."""

import pytest

from tests.calls import BUILD, EXECUTION, JOB, RECORD, SUB_JOBS, append, call, event, log_request, read, send

pytestmark = pytest.mark.usefixtures("aws")
STAGE = f"build/{RECORD}/stage4"


def test_an_append_registers_and_a_repetition_changes_nothing() -> None:
    assert append(STAGE, b"one\n", registered=BUILD).status == 202
    assert append(STAGE, b"one\n", registered=BUILD).status == 200
    assert append(STAGE, b"two\n", offset=4).status == 202
    assert send("page_build_log").json["result"]["log"] == "one\ntwo\n"


def test_a_registration_without_new_bytes_is_written() -> None:
    append(STAGE, b"one\n")
    assert send("page_build_log").status == 404
    assert append(STAGE, b"one\n", registered=BUILD).status == 202
    assert append(STAGE, b"", registered=BUILD).status == 200
    assert send("page_build_log").status == 200


def test_another_registration_is_a_conflict_and_appends_nothing() -> None:
    append(STAGE, b"one\n", registered=BUILD)
    answer = append(STAGE, b"one\ntwo\n", registered=BUILD | {"build_no": "28"})
    assert (answer.status, answer.json["error_code"]) == (409, "LOGKEEP.0409")
    assert read(STAGE).body == b"one\n"
    assert send("page_build_log-unknown_build").status == 404


@pytest.mark.parametrize(
    ("log_id", "query", "named"),
    [
        (STAGE, f"job_id={JOB}", "build_no"),
        (STAGE, "build_no=1", "job_id"),
        (STAGE, f"job_id={JOB}&build_no=0", "build_no"),
        (STAGE, f"job_id={JOB}&build_no=x", "build_no"),
        (STAGE, f"job_id={JOB[1:]}&build_no=1", "job_id"),
        (STAGE, f"job_id={JOB}&job_id={JOB}&build_no=1", "job_id"),
        (STAGE, f"job_id={JOB}&build_no=1&task_id=t&execute_id=e", "task_id"),
        (STAGE, "task_id=t&execute_id=e", "task_id"),
        (f"check/{SUB_JOBS[0]}", f"job_id={JOB}&build_no=1", "job_id"),
        (f"check/{SUB_JOBS[0]}", "task_id=t", "execute_id"),
        (f"check/{SUB_JOBS[0]}", "task_id=a%2Fb&execute_id=e", "task_id"),
        (f"check/{SUB_JOBS[0]}", "task_id=t&execute_id=", "execute_id"),
        ("task/t/0/c/0", f"job_id={JOB}&build_no=1", "job_id"),
        ("cluster/c/i/t", "task_id=t&execute_id=e", "task_id"),
    ],
)
def test_a_registration_that_does_not_fit_is_named_and_appends_nothing(log_id, query, named) -> None:
    answer = call("append_log", log_request("append_log", log_id, query))
    assert (answer.status, answer.json["error_code"]) == (400, "LOGKEEP.0400")
    assert answer.json["error_msg"].startswith(f"{named}: ")
    assert read(log_id).status == 404


def test_the_event_files_do_what_their_names_say() -> None:
    assert send("append_log-half_a_build").status == 400
    assert send("append_log-of_a_build").status == 202
    assert send("append_log-of_a_build").status == 200
    append(f"check/{SUB_JOBS[0]}", b"x\n", registered=EXECUTION)
    assert call("append_log", event("append_log", rawQueryString="offset=0")).status == 200
