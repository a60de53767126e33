import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.apis.kuscia.codes import QueryRefused, refusal
from logkeep.apis.kuscia.query import LogQuery, find, task_heads, task_owner
from logkeep.errors import Invalid
from logkeep.logid import LogId
from logkeep.logs.head import Head, Totals
from tests.memory import MemoryLogs

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("body", "query"),
    [
        (b"{}", LogQuery()),
        (b"null", LogQuery()),
        (b'{"task_id":"t"}', LogQuery(task_id="t")),
        (
            b'{"task_id":"t","replica_idx":2,"container":"c","follow":true}',
            LogQuery(task_id="t", replica_idx=2, container="c", follow=True),
        ),
        (b'{"task_id":null,"replica_idx":null,"container":null,"follow":null,"header":null}', LogQuery()),
        (b' \t\r\n{"task_id":"t"}', LogQuery(task_id="t")),
        (b'{"task_id":"t"}trailing bytes', LogQuery(task_id="t")),
        (b'{"task_id":"t"}{"task_id":"u"}', LogQuery(task_id="t")),
        (b"null}", LogQuery()),
        (b'{"task_id":"t","local":true,"tail":[{}]}', LogQuery(task_id="t")),
        (b'{"taskId":"t"}', LogQuery()),
        (b'{"TASK_ID":"t","Replica_Idx":1,"Container":"c","FOLLOW":true}',
         LogQuery(task_id="t", replica_idx=1, container="c", follow=True)),
        ('{"ta\u017f\u212a_id":"t"}'.encode(), LogQuery(task_id="t")),  # long s and the Kelvin sign fold, too
        (b'{"task_id":"t","TASK_ID":"u"}', LogQuery(task_id="u")),
        (b'{"TASK_ID":"t","task_id":"u"}', LogQuery(task_id="u")),
        (b'{"Task_Id":"t","task_id":"u","Task_Id":"v"}', LogQuery(task_id="v")),
        (b'{"task_id":"t","task_id":null,"TASK_ID":null}', LogQuery(task_id="t")),
        (b'{"task_id":"a\\ud800"}', LogQuery(task_id="a\ufffd")),
        (b'{"container":"\\udc00\\ud800b\\ud83d\\ude00"}', LogQuery(container="\ufffd\ufffdb\U0001f600")),
        (b'{"replica_idx":2147483647}', LogQuery(replica_idx=2**31 - 1)),
        (b'{"replica_idx":-2147483648}', LogQuery(replica_idx=-(2**31))),
        ('{"task_id":"任务"}'.encode(), LogQuery(task_id="任务")),
    ],
    ids=repr,
)  # fmt: skip
def test_a_query_is_read_as_the_published_server_reads_it(body: bytes, query: LogQuery):
    assert LogQuery.from_json(body) == query


def test_custom_headers_are_read():
    query = LogQuery.from_json(b'{"Header":{"Custom_Headers":{"A":"\\ud800","a":"b"}}}')
    assert query.header is not None
    assert query.header.custom_headers == {"A": "\ufffd", "a": "b"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b" ", "body"),
        (b"{", "body"),
        (b"task_id=t", "body"),
        (b'{"task_id":"t"', "body"),
        (b"[]", "body"),
        (b'"t"', "body"),
        (b"5", "body"),
        (b"true", "body"),
        (b'{"task_id":"\xff"}', "body"),
        (b"\xef\xbb\xbf{}", "body"),
        (b"[" * 100_000, "body"),
        (b'{"a":' * 100_000, "body"),
        (b'{"replica_idx":' + b"1" * 5000 + b"}", "body"),
        (b'{"task_id":5}', "task_id"),
        (b'{"task_id":["t"]}', "task_id"),
        (b'{"TASK_ID":5}', "task_id"),
        (b'{"replica_idx":"0"}', "replica_idx"),
        (b'{"replica_idx":1.0}', "replica_idx"),
        (b'{"replica_idx":true}', "replica_idx"),
        (b'{"replica_idx":2147483648}', "replica_idx"),
        (b'{"replica_idx":-2147483649}', "replica_idx"),
        (b'{"container":5}', "container"),
        (b'{"follow":"true"}', "follow"),
        (b'{"follow":1}', "follow"),
        (b'{"header":5}', "header"),
        (b'{"header":{"custom_headers":{"a":5}}}', "header.custom_headers.a"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_what_the_published_server_does_not_bind_is_invalid(body: bytes, field: str):
    with pytest.raises(Invalid) as caught:
        LogQuery.from_json(body)
    assert caught.value.field == field


@pytest.mark.parametrize("task_id", [None, ""])
def test_a_query_without_a_task_is_refused_with_the_text_of_the_server(task_id: str | None):
    with pytest.raises(QueryRefused, match=r"^resource name may not be empty$") as caught:
        task_owner(LogQuery(task_id=task_id))
    assert caught.value.code == 13200


@pytest.mark.parametrize("task_id", ["a/b", "..", "a b", "x" * 129, "任务", "a\n"])
def test_a_name_that_no_task_can_have_is_an_unknown_task(task_id: str):
    with pytest.raises(QueryRefused) as caught:
        task_owner(LogQuery(task_id=task_id))
    assert (caught.value.code, str(caught.value)) == (13200, f'kusciatasks.kuscia.secretflow "{task_id}" not found')


def test_a_task_owns_the_logs_under_its_id():
    assert task_owner(LogQuery(task_id="job-1")) == "task/job-1"


def heads_of(*names: str, empty: Iterable[str] = (), sealed: Iterable[str] = ()) -> list[Head]:
    logs = MemoryLogs()
    return [
        *(logs.append(f"task/t/{name}", b"x") for name in names),
        *(logs.append(f"task/t/{name}") for name in empty),
        *(logs.append(f"task/t/{name}").seal(Totals()) for name in sealed),
    ]


ONE = heads_of("0/main/0")
RESTARTED = heads_of("0/main/2", "0/main/10", "0/main/9")
TWO_REPLICAS = heads_of("0/main/0", "1/main/3", "10/main/0")
TWO_CONTAINERS = heads_of("0/main/0", "0/side/1", "1/side/0")
NOT_FOUND = 'kusciatasks.kuscia.secretflow "t" not found'
NO_LOG = "failed to local query, err: can't find pod log directory for alice_t-{}, err: <nil>"
CHOOSE = "task's deploy container larger than 1, please specify the container name"


@pytest.mark.parametrize(
    ("heads", "query", "found"),
    [
        (ONE, {}, "0/main/0"),
        (ONE, {"replica_idx": 0, "container": "main"}, "0/main/0"),
        (ONE, {"container": ""}, "0/main/0"),
        (RESTARTED, {}, "0/main/10"),
        (RESTARTED[::-1], {}, "0/main/10"),
        (TWO_REPLICAS, {}, "0/main/0"),
        (TWO_REPLICAS, {"replica_idx": 1}, "1/main/3"),
        (TWO_REPLICAS, {"replica_idx": 10}, "10/main/0"),
        (TWO_CONTAINERS, {"container": "side"}, "0/side/1"),
        (TWO_CONTAINERS, {"container": "main"}, "0/main/0"),
        (TWO_CONTAINERS, {"replica_idx": 1, "container": "side"}, "1/side/0"),
        (heads_of(sealed=["0/main/0"]), {}, "0/main/0"),
        (heads_of("0/main/0", sealed=["0/main/1"]), {}, "0/main/1"),
    ],
)
def test_a_query_finds_the_newest_restart_of_its_container(heads: list[Head], query: dict[str, Any], found: str):
    assert str(find(LogQuery(task_id="t", **query), iter(heads), "alice").log_id) == f"task/t/{found}"


@pytest.mark.parametrize(
    ("heads", "query", "code", "text"),
    [
        ([], {}, 13200, NOT_FOUND),
        ([], {"replica_idx": 9, "container": "x"}, 13200, NOT_FOUND),
        (ONE, {"replica_idx": 1}, 11100, "replicate index invalid"),
        (ONE, {"replica_idx": -1}, 11100, "replicate index invalid"),
        (ONE, {"replica_idx": 2**31 - 1}, 11100, "replicate index invalid"),
        (TWO_REPLICAS, {"replica_idx": 11}, 11100, "replicate index invalid"),
        (TWO_REPLICAS, {"replica_idx": 5}, 13200, NO_LOG.format(5)),
        (TWO_CONTAINERS, {}, 11100, CHOOSE),
        (TWO_CONTAINERS, {"replica_idx": 1}, 11100, CHOOSE),
        (TWO_CONTAINERS, {"replica_idx": 9}, 11100, "replicate index invalid"),
        (TWO_CONTAINERS, {"container": "x"}, 11100, "container name x invalid"),
        (TWO_CONTAINERS, {"replica_idx": 1, "container": "main"}, 13200, NO_LOG.format(1)),
        (ONE, {"container": "Main"}, 11100, "container name Main invalid"),
        (ONE, {"container": "../main"}, 11100, "container name ../main invalid"),
        (heads_of(empty=["0/main/0"]), {}, 13200, NO_LOG.format(0)),
        (heads_of("0/main/0", empty=["0/main/1"]), {}, 13200, NO_LOG.format(0)),
    ],
)
def test_a_query_that_finds_nothing_is_refused_as_the_server_does(
    heads: list[Head], query: dict[str, Any], code: int, text: str
):
    with pytest.raises(QueryRefused) as caught:
        find(LogQuery(task_id="t", **query), iter(heads), "alice")
    assert (caught.value.code, str(caught.value)) == (code, text)


def logs_with(*names: str) -> MemoryLogs:
    logs = MemoryLogs()
    for name in names:
        logs.append(f"task/{name}", b"x")
    return logs


def found(logs: MemoryLogs, task_id: str, **query: Any) -> str:
    asked = LogQuery(task_id=task_id, **query)
    return str(find(asked, task_heads(asked, logs.heads), "alice").log_id).removeprefix("task/")


ONE_ROLE = logs_with("psi-1/0/server_main/0", "psi-1/0/server_main/2", "psi-1/1/server_main/0")
TWO_ROLES = logs_with("psi-1/0/server_main/0", "psi-1/0/edge-client_main/0", "psi-1/0/edge-client_side/0")
MIXED = logs_with("psi-1/0/main/0", "psi-1/0/server_main/0", "psi-1-server/0/main/7")


@pytest.mark.parametrize(
    ("logs", "task_id", "query", "name"),
    [
        (ONE_ROLE, "psi-1", {}, "psi-1/0/server_main/2"),
        (ONE_ROLE, "psi-1-server", {}, "psi-1/0/server_main/2"),
        (ONE_ROLE, "psi-1", {"container": "main", "replica_idx": 1}, "psi-1/1/server_main/0"),
        (ONE_ROLE, "psi-1", {"container": "server_main"}, "psi-1/0/server_main/2"),
        (TWO_ROLES, "psi-1-server", {}, "psi-1/0/server_main/0"),
        (TWO_ROLES, "psi-1-edge-client", {"container": "side"}, "psi-1/0/edge-client_side/0"),
        (MIXED, "psi-1", {}, "psi-1/0/main/0"),
        (MIXED, "psi-1-server", {}, "psi-1-server/0/main/7"),
    ],
)
def test_a_task_whose_pods_have_a_role_is_found_by_its_own_name_and_by_that_of_its_pods(
    logs: MemoryLogs, task_id: str, query: dict[str, Any], name: str
):
    assert found(logs, task_id, **query) == name


@pytest.mark.parametrize(
    ("logs", "task_id", "query", "code", "text"),
    [
        (TWO_ROLES, "psi-1", {}, 11100,
         "task's role larger than 1, please query {task_id}-{role}, role edge-client or server"),
        (TWO_ROLES, "psi-1-client", {}, 13200, 'kusciatasks.kuscia.secretflow "psi-1-client" not found'),
        (TWO_ROLES, "psi", {}, 13200, 'kusciatasks.kuscia.secretflow "psi" not found'),
        (TWO_ROLES, "psi-1-", {}, 13200, 'kusciatasks.kuscia.secretflow "psi-1-" not found'),
        (TWO_ROLES, "psi-1-edge-client", {}, 11100, CHOOSE),
        (ONE_ROLE, "psi-1-server", {"replica_idx": 2}, 11100, "replicate index invalid"),
        (logs_with("t/0/a_b/0", "t/0/c_b/0"), "t", {"container": "b"}, 11100,
         "task's role larger than 1, please query {task_id}-{role}, role a or c"),
    ],
)  # fmt: skip
def test_what_a_role_does_not_tell_is_refused(
    logs: MemoryLogs, task_id: str, query: dict[str, Any], code: int, text: str
):
    with pytest.raises(QueryRefused) as caught:
        found(logs, task_id, **query)
    assert (caught.value.code, str(caught.value)) == (code, text)


@pytest.mark.parametrize("task_id", ["-" * 128, "a-" * 64, "x", "--", "a-b-c-d-e-f-g-h"])
def test_a_task_is_looked_for_in_at_most_five_places(task_id: str):
    asked: list[str] = []

    def heads_of(owner: str) -> list[Head]:
        asked.append(owner)
        return []

    with pytest.raises(QueryRefused, match="not found"):
        task_heads(LogQuery(task_id=task_id), heads_of)
    assert 1 <= len(asked) <= 5
    assert all(LogId.parse(f"{owner}/0/c/0") for owner in asked)


def test_a_refusal_is_one_message_with_the_text_where_the_server_and_where_the_seed_have_it():
    data = refusal(QueryRefused(13200, 'task "任务" <x>\n'))
    assert json.loads(data) == {"status": {"code": 13200, "message": 'task "任务" <x>\n'}, "log": 'task "任务" <x>\n'}
    assert data.count(b"\n") == 1
    assert data.endswith(b"\n")


any_text = st.text(st.characters())
"""Text as Python has it: with lone surrogates, which UTF-8 does not have."""


@given(any_text, any_text)
def test_a_request_with_any_text_is_answered(task_id: str, container: str):
    query = LogQuery.from_json(json.dumps({"task_id": task_id, "container": f"x{container}"}).encode())
    with pytest.raises(QueryRefused) as caught:
        find(query, [], "alice")
    json.loads(refusal(caught.value))
    with pytest.raises(QueryRefused) as caught:
        find(query, TWO_REPLICAS, container)
    json.loads(refusal(caught.value))


@given(st.integers(), any_text)
def test_a_refusal_may_have_any_text(code: int, text: str):
    message = json.loads(refusal(QueryRefused(code, text)))
    assert message == {"status": {"code": code, "message": message["log"]}, "log": message["log"]}
    assert message["log"] == "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
