"""What a cache between us and a client may keep: nothing for others, and nothing without asking."""

import os

import pytest

from logkeep.logid import LogId
from logkeep.logs.store import log_store
from tests.calls import PROJECT, RECORD, Answer, append, call, event, read, send, streamed

pytestmark = pytest.mark.usefixtures("aws")
LOG = f"build/{RECORD}/stage1"
NO_STORE, NO_CACHE = "private, no-store", "private, no-cache"


def kept(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.headers.get("Cache-Control")


def test_answers_to_a_caller_are_private_and_those_with_a_tag_are_asked_for_again() -> None:
    assert kept(append(LOG, b"a line\n")) == (202, NO_STORE)
    whole = read(LOG)
    assert kept(whole) == (200, NO_CACHE)
    assert kept(read(LOG, **{"if-none-match": whole.headers["ETag"]})) == (304, NO_CACHE)
    assert kept(streamed("read_log", event("read_log"))) == (200, NO_CACHE)
    for name, status in {"list_logs": 200, "list_projects": 200, "put_service_events": 200}.items():
        assert kept(send(name)) == (status, NO_STORE), name
    assert kept(call("read_log", event("read_log-follow"))) == (200, NO_STORE)


def test_links_and_redirects_to_them_are_not_kept() -> None:
    log_store(PROJECT).append(LogId.parse(LOG), lambda: iter((os.urandom(3 << 20).hex().encode(),)), 0)
    redirected = read(LOG, **{"accept-encoding": "identity"})
    assert kept(redirected) == (303, NO_STORE)
    assert "X-Amz-Signature" in redirected.headers["Location"]
    assert kept(read(LOG, accept="application/json")) == (200, NO_STORE)


def test_errors_are_kept_by_nobody_whoever_asked() -> None:
    cases = {"read_log-no_token": 401, "read_log-unknown_log": 404, "list_logs-bad_limit": 400, "reject_unknown": 404,
             "list_service_events-other_project": 403, "query_task_log-bad_token": 401}  # fmt: skip
    for name, status in cases.items():
        assert kept(send(name)) == (status, NO_STORE), name
    assert streamed("read_log", event("read_log-no_token")).headers["Cache-Control"] == NO_STORE
    assert kept(send("show_api_versions")) == (200, None), "anyone may have that"
