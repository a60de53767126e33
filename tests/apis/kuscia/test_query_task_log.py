import json
import random

import pytest

from tests.calls import OTHER_TOKEN, PROJECT, TASK, append, call, event, seal, send

pytestmark = pytest.mark.usefixtures("aws")


def query(**fields):
    body = json.dumps(fields)
    return call("query_task_log", event("query_task_log", body=body))


def logs(answer) -> list[str]:
    return [json.loads(line).get("log", "") for line in answer.body.decode().splitlines()]


def refused(answer) -> tuple[int, str]:
    (line,) = answer.body.decode().splitlines()
    message = json.loads(line)
    assert answer.status == 200
    assert message["log"] == message["status"]["message"]
    return message["status"]["code"], message["log"]


def test_lines_come_in_messages_of_a_hundred_without_a_trailing_newline() -> None:
    append(f"task/{TASK}/0/secretflow/0", b"".join(b"line %d\n" % n for n in range(250)))
    answer = query(task_id=TASK)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert [len(log.split("\n")) for log in logs(answer)] == [100, 100, 50]
    assert "\n".join(logs(answer)) == "\n".join(f"line {n}" for n in range(250))
    assert answer.body.startswith(b'{"status":{"message":"success"},"log":"line 0\\n')


def test_the_newest_restart_is_read() -> None:
    for restart in (0, 2, 10, 9):
        append(f"task/{TASK}/0/secretflow/{restart}", b"restart %d\n" % restart)
    assert logs(query(task_id=TASK)) == ["restart 10"]


def test_the_first_replica_is_read_unless_another_is_named() -> None:
    for replica in (0, 1):
        append(f"task/{TASK}/{replica}/secretflow/0", b"replica %d\n" % replica)
    assert logs(query(task_id=TASK)) == ["replica 0"]
    assert logs(query(task_id=TASK, replica_idx=1, container="secretflow")) == ["replica 1"]


def test_a_log_of_many_fragments_is_read_whole() -> None:
    text = b"".join(b"%07d the same words again and again\n" % n for n in range(60_000))
    for start in range(0, len(text), 700_001):
        append(f"task/{TASK}/0/c/0", text[start : start + 700_001], offset=start)
    assert "\n".join(logs(query(task_id=TASK))) + "\n" == text.decode()


@pytest.mark.parametrize("task", [None, ""])
def test_a_missing_task_id(task) -> None:
    assert refused(query(task_id=task)) == (13200, "resource name may not be empty")


@pytest.mark.parametrize("task", ["nobody", "../etc", "a/b", "\x00", "t" * 5000, "\N{SNOWMAN}"])
def test_an_unknown_task(task) -> None:
    assert refused(query(task_id=task)) == (13200, f'kusciatasks.kuscia.secretflow "{task}" not found')


@pytest.mark.parametrize("replica", [-1, 2, 2**31 - 1])
def test_a_replica_out_of_range(replica) -> None:
    append(f"task/{TASK}/1/c/0", b"x\n")
    assert refused(query(task_id=TASK, replica_idx=replica)) == (11100, "replicate index invalid")


def test_several_containers_and_none_named() -> None:
    for container in ("a", "b"):
        append(f"task/{TASK}/0/{container}/0", b"x\n")
    text = "task's deploy container larger than 1, please specify the container name"
    assert refused(query(task_id=TASK)) == (11100, text)
    assert refused(query(task_id=TASK, container="")) == (11100, text)
    assert logs(query(task_id=TASK, container="b")) == ["x"]


def test_an_unknown_container() -> None:
    append(f"task/{TASK}/0/a/0", b"x\n")
    assert refused(query(task_id=TASK, container="z/../z")) == (11100, "container name z/../z invalid")


def test_a_task_that_is_registered_but_has_no_log() -> None:
    append(f"task/{TASK}/0/a/0", b"")
    where = f"can't find pod log directory for {PROJECT}_{TASK}-0"
    assert refused(query(task_id=TASK)) == (13200, f"failed to local query, err: {where}, err: <nil>")


def test_an_empty_log_is_an_empty_answer() -> None:
    seal(f"task/{TASK}/0/a/0", bytes=0)
    answer = query(task_id=TASK)
    assert (answer.status, answer.body) == (200, b"")


def test_one_blank_line_is_a_message_without_log() -> None:
    append(f"task/{TASK}/0/a/0", b"\n")
    assert query(task_id=TASK).body == b'{"status":{"message":"success"}}\n'


@pytest.mark.parametrize(
    "body",
    ['{"task_id": 1}', '{"task_id": "t", "replica_idx": "0"}', '{"task_id": "t", "replica_idx": 1.0}',
     '{"task_id": "t", "replica_idx": true}', '{"task_id": "t", "follow": "true"}', "{", "", "[]", '"t"',
     '{"task_id": "t", "header": []}', '{"task_id": "t", "replica_idx": 2147483648}', "[" * 100_000, "\udc80"],
)  # fmt: skip
def test_what_go_cannot_bind_is_a_400_with_an_empty_body(body) -> None:
    answer = call("query_task_log", event("query_task_log", body=body))
    assert (answer.status, answer.sent) == (400, b"")
    assert "Content-Type" not in answer.headers


def test_unknown_fields_nulls_and_trailing_bytes_are_ignored_and_only_snake_case_binds() -> None:
    append(f"task/{TASK}/0/a/0", b"x\n")
    body = json.dumps({"task_id": TASK, "taskId": 7, "container": None, "follow": None, "local": True}) + " trailing"
    assert logs(call("query_task_log", event("query_task_log", body=body))) == ["x"]
    assert refused(query(taskId=TASK))[0] == 13200


def test_another_content_type_binds_nothing() -> None:
    answer = call("query_task_log", event("query_task_log", headers={"content-type": "text/plain"}))
    assert refused(answer) == (13200, "resource name may not be empty")


@pytest.mark.parametrize("token", [None, "", "wrong", "logkeep-demo-token", "x" * 100_001])
def test_a_bad_token_is_a_401_with_an_empty_body(token) -> None:
    answer = send("query_task_log", headers={"token": token})
    assert (answer.status, answer.sent) == (401, b"")


def test_a_log_too_large_for_an_answer_is_refused_in_kuscias_form() -> None:
    noise = random.Random(7)
    for offset in range(0, 12 << 20, 2 << 20):
        append(f"task/{TASK}/0/a/0", noise.randbytes(2 << 20).hex().encode()[: 2 << 20], offset=offset)
    answer = query(task_id=TASK)
    code, text = refused(answer)
    assert code == 11101
    assert "read it under its own id" in text


def test_another_project_has_not_got_the_task() -> None:
    append(f"task/{TASK}/0/a/0", b"x\n")
    answer = send("query_task_log", headers={"token": OTHER_TOKEN})
    assert refused(answer)[1].endswith("not found")


def test_the_event_files_do_what_their_names_say() -> None:
    for container in ("secretflow", "sidecar"):
        append(f"task/{TASK}/0/{container}/0", b"x\n")
    assert logs(send("query_task_log")) == ["x"]
    assert refused(send("query_task_log-several_containers"))[0] == 11100
    assert send("query_task_log-wrong_type").status == 400
    assert send("query_task_log-bad_token").status == 401
