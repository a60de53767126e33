import itertools
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from logkeep import kuscia
from logkeep.errors import Invalid
from logkeep.kuscia import (
    MESSAGE_BYTES,
    MESSAGE_LINES,
    LogQuery,
    QueryRefused,
    find,
    messages,
    refusal,
    task_heads,
    task_owner,
)
from logkeep.log import Head, Totals
from logkeep.logid import LogId
from tests.unit.memory import MemoryLogs
from tests.unit.samples import any_bytes, cut, cuts_of


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


# Messages


def logs_of(texts: Iterable[bytes]) -> list[str]:
    """The log of each message, as a client reads it; every message is checked on the way."""
    logs = []
    for data in filter(None, messages(texts)):
        assert len(data) <= kuscia.MESSAGE_BYTES
        assert data.endswith(b"}\n")
        assert data.count(b"\n") == 1
        message = json.loads(data)
        assert message.pop("status") == {"message": "success"}
        log = message.pop("log", "")
        assert message == {}
        assert ("log" in json.loads(data)) == (log != "")
        assert log.count("\n") < kuscia.MESSAGE_LINES
        logs.append(log)
    return logs


def read_text(texts: list[bytes]) -> str:
    """What a client should have: the text, its last newline left out as in every message."""
    return b"".join(texts).decode(errors="replace").removesuffix("\n")


def test_messages_are_small_enough_for_their_limits_as_they_are():
    # A piece that is escaped to six times its size still fits into an empty message.
    assert 6 * (kuscia._PIECE + 3) + 100 <= MESSAGE_BYTES


@pytest.fixture
def _small_messages():
    """Limits that short texts reach: 10 lines, 12 bytes a piece, about 128 bytes of log."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kuscia, "MESSAGE_BYTES", 128 + len(kuscia._START) + len(b',"log":""}\n'))
        patch.setattr(kuscia, "MESSAGE_LINES", 10)
        patch.setattr(kuscia, "_PIECE", 12)
        yield


lines = st.one_of(
    st.just(""),
    st.text(max_size=20),
    st.integers(0, 60).map(lambda size: "x" * size),
    st.integers(0, 20).map(lambda size: "\x01" * size),
)
texts = st.builds(
    lambda some, last: ("\n".join(some) + last).encode(), st.lists(lines, max_size=40), st.sampled_from(["", "\n"])
)


@pytest.mark.usefixtures("_small_messages")
@settings(max_examples=400)
@given(cuts_of(texts))
def test_messages_joined_by_newlines_give_the_text_back(pieces: list[bytes]):
    assume(all(len(json.dumps(line, ensure_ascii=False).encode()) <= 128 for line in read_text(pieces).split("\n")))
    logs = logs_of(pieces)
    assert "\n".join(logs) == read_text(pieces)
    assert bool(logs) == any(pieces)


@pytest.mark.usefixtures("_small_messages")
@settings(max_examples=300)
@given(
    cuts_of(st.one_of(any_bytes, texts, st.integers(100, 999).map(lambda size: b"a\n\nb\n" + b"x" * size + b"\n\nc")))
)
def test_any_bytes_lose_nothing_but_the_newlines_that_a_long_line_gains(pieces: list[bytes]):
    logs = logs_of(pieces)
    expected = read_text(pieces)
    assert "".join(logs).replace("\n", "") == expected.replace("\n", "")
    assert "\n".join(logs).count("\n") >= expected.count("\n")
    # Where newlines were gained, a whole message stands between them.
    left = expected
    for index, log in enumerate(logs):
        assert left.startswith(log)
        left = left[len(log) :]
        if left.startswith("\n"):
            left = left[1:]
        elif index < len(logs) - 1:
            assert "\n" not in log
            assert len(log.encode()) > 128 - 6 * (12 + 3) - 2
    assert left == ""


@given(cuts_of(any_bytes))
def test_messages_do_not_depend_on_where_the_text_was_cut(pieces: list[bytes]):
    assert "\n".join(logs_of(pieces)) == "\n".join(logs_of([b"".join(pieces)])) == read_text(pieces)


@given(cuts_of(any_text.map(lambda text: text.encode(errors="surrogatepass"))))
def test_messages_may_have_any_text(pieces: list[bytes]):
    assert "\n".join(logs_of(pieces)) == read_text(pieces)


def test_an_empty_log_has_no_message():
    assert list(messages([])) == []


def test_a_blank_line_is_a_message_without_a_log():
    assert list(messages([b"\n"])) == [b'{"status":{"message":"success"}}\n']
    assert logs_of([b"\n\n"]) == ["\n"]


def test_a_message_is_written_as_the_server_writes_it():
    assert list(messages([b'a"b\\\t\r\n\xe6\x97\xa5'])) == [
        '{"status":{"message":"success"},"log":"a\\"b\\\\\\t\\r\\n日"}\n'.encode()
    ]


def test_two_hundred_and_fifty_lines_come_as_the_server_cuts_them():
    text = b"".join(b"line %d\n" % number for number in range(250))
    assert [log.count("\n") + 1 for log in logs_of([text])] == [100, 100, 50]
    assert [log.count("\n") + 1 for log in logs_of([text[:1400], text[1400:]])] == [100, 100, 50]


@pytest.mark.parametrize("number", [MESSAGE_LINES - 1, MESSAGE_LINES, MESSAGE_LINES + 1])
def test_blank_lines_are_counted_as_lines(number: int):
    logs = logs_of([b"\n" * number])
    assert [log.count("\n") + 1 for log in logs] == [100, 1][: len(logs)] if number > 99 else [99]
    assert "\n".join(logs) == "\n" * (number - 1)


def test_the_last_line_may_lack_its_newline():
    assert logs_of([b"a\nb"]) == logs_of([b"a\nb\n"]) == ["a\nb"]


@pytest.mark.parametrize("size", [3_000, 30_000, 200_000, MESSAGE_BYTES - 60])
def test_a_line_that_fits_into_a_message_is_never_split(size: int):
    line = b"x" * size
    text = (line + b"\n") * (4 * MESSAGE_BYTES // size)
    for pieces in ([text], cut(text, range(0, len(text), 10_007))):
        logs = logs_of(pieces)
        assert "\n".join(logs) == read_text(pieces)
        assert {len(each) for log in logs for each in log.split("\n")} == {size}


def test_a_line_longer_than_a_message_goes_on_in_the_next():
    text = b"before\n" + b"x" * (5 << 20) + b"\nbehind\n"
    logs = logs_of([text])
    assert logs[0] == "before"
    assert "".join(logs).replace("\n", "") == text.decode().replace("\n", "")
    assert logs[-1].endswith("x\nbehind")
    assert len(logs) <= 2 + (5 << 20) // (MESSAGE_BYTES - 40_000)


def test_a_long_line_of_bytes_that_json_escapes_keeps_the_limit():
    for char in (b"\x01", b'"', b"\xff"):
        assert len("".join(logs_of([char * (1 << 20)]))) == 1 << 20


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\xff", "\ufffd"),
        (b"a\x80b", "a\ufffdb"),
        (b"\xe6\x97", "\ufffd"),
        (b"\xe6\x97\n", "\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xf0\x9f\x98\x80", "\U0001f600"),
        (b"\xc3\xa9\xc3", "é\ufffd"),
    ],
)
def test_bytes_that_are_not_utf_8_become_the_replacement_character_in_any_cuts(raw: bytes, text: str):
    for points in itertools.product(range(len(raw) + 1), repeat=2):
        assert logs_of(cut(raw, points)) == [text]


def test_messages_come_while_the_log_is_still_being_read():
    read = []

    def endless():
        for number in itertools.count():
            read.append(number)
            yield b"line\n" * 60

    first, second = itertools.islice(messages(endless()), 2)
    assert first == second
    assert len(read) <= 4
