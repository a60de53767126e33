"""The line that every request leaves: who, what, with which outcome, and no secret in it."""

import io
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.emulator import values_of
from local.sample import AK, KUSCIA_TOKEN, PASSWORD, SK, TOKEN, write_credentials
from logkeep.aws import usage
from logkeep.aws.logger import logger
from logkeep.identity.credential_store import credential_store
from logkeep.identity.credentials import Kind, token_place
from logkeep.identity.limiter_store import Limiter
from logkeep.identity.throttle import Limit
from logkeep.logid import LogId
from logkeep.logs.store import log_store
from logkeep.web.audit import UNPROVED, forget_unproved
from logkeep_runtime import loop
from tests.calls import EVENTS, PROJECT, RECORD, TASK, a_build, append, call, credential, event, forget_aws, read, send
from tests.conftest import TEMPLATE, marked
from tests.rewinding import Rewinding
from tests.signing import send_signed, signed

pytestmark = [
    pytest.mark.usefixtures("aws"),
    pytest.mark.no_faults("counts lines; a call that is answered 503 is repeated, and each has its own"),
]
NAMES = sorted(path.stem for path in EVENTS.glob("*.json") if '"requestContext"' in path.read_text())
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)")

type Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def written(emulator: Rewinding, environment: dict[str, str]) -> None:
    with marked("audit", emulator, environment):
        write_credentials(values_of(TEMPLATE, emulator.endpoint)["CredentialsKey"])
        append(f"build/{RECORD}/stage1", b"a line\n")
        append(f"task/{TASK}/0/c/0", b"a line\n")


@pytest.fixture(autouse=True)
def sample(written: None, aws: None, emulator: Rewinding, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator.rewind("audit")
    monkeypatch.setattr(Limiter, "take", lambda *_: None)
    monkeypatch.setattr("logkeep.web.audit.UNPROVED", Limit(rate=1, burst=1000))


@pytest.fixture
def printed(capsys) -> Iterator[Callable[[], str]]:
    """All that was written to stdout and stderr since this was last called, in UTF-8 as Lambda has it."""
    (handler,) = (each for each in logging.getLogger("logkeep").handlers if type(each) is logging.StreamHandler)
    written = io.BytesIO()
    before = handler.setStream(io.TextIOWrapper(written, "utf-8", write_through=True))

    def take() -> str:
        found, other = written.getvalue().decode(), capsys.readouterr()
        written.seek(0)
        written.truncate()
        return found + other.out + other.err

    take()
    yield take
    handler.setStream(before)


@pytest.fixture
def lines(printed) -> Lines:
    def take() -> list[dict[str, Any]]:
        return [json.loads(line) for line in printed().split("\n") if line]

    return take


def requests() -> dict[str, tuple[str, dict[str, Any]]]:
    """Every event, and such as carry what must not be told."""
    made = {name: (name.partition("-")[0], event(name)) for name in NAMES}
    made |= {f"{name} signed": (name, send_signed(name)) for name in ("read_log", "list_logs", "put_service_events")}
    made["signed wrongly"] = ("read_log", send_signed("read_log", keys=(AK, SK[::-1])))
    made["a guess"] = ("issue_token", event("issue_token-wrong_password"))
    made["broken json"] = ("issue_token", event("issue_token", body=event("issue_token")["body"][:-3]))
    made["basic"] = ("read_log", event("read_log", headers={"authorization": "Basic c2VjcmV0", "x-auth-token": None}))
    for name, proof in (
        ("bearer", f"Bearer {TOKEN}"),
        ("two", f"Bearer {TOKEN},Bearer {TOKEN}"),
        ("bare", "Basic c2VjcmV0Og=="),
    ):
        made[name] = ("read_log", event("read_log", headers={"authorization": proof, "x-auth-token": None}))
    made["contradiction"] = ("read_log", event("read_log", headers={"authorization": f"Bearer {TOKEN[::-1]}"}))
    return made


def test_every_request_leaves_one_line_that_says_who_did_what(lines: Lines) -> None:
    for name, (function, asked) in requests().items():
        answer = call(function, asked)
        (line,) = lines()
        assert line["message"] == "request", name
        assert (line["function"], line["status"]) == (function, answer.status)
        assert line["method"] == asked["requestContext"]["http"]["method"]
        assert (line["path"], line["route"]) == (asked["rawPath"], asked["routeKey"])
        assert line["correlation_id"] == answer.headers["X-Request-Id"]
        assert line["source_ip"] == "192.0.2.1"
        assert line["duration_ms"] >= 0
        assert ("error" in line) is (answer.status >= 400 or (function == "query_task_log" and b"code" in answer.body))
        if answer.status in {200, 201, 202} and function != "show_api_versions":
            assert line["project"] == PROJECT
            assert line["credential"] not in {"-", ""}
        if answer.status == 401:
            assert (line["project"], line["credential"]) == ("-", "-")
    assert {line["credential"] for line in lines()} == set()


def test_no_line_tells_a_secret(printed) -> None:
    told = ""
    secrets = {TOKEN, KUSCIA_TOKEN, SK, SK[::-1], PASSWORD, "guess", "c2VjcmV0", TOKEN[::-1]}
    for function, asked in requests().values():
        answer = call(function, asked)
        told += printed()
        secrets |= {asked["headers"].get("authorization", "-" * 9)[-64:], answer.headers.get("X-Subject-Token", TOKEN)}
    issued = call("issue_token", event("issue_token")).headers["X-Subject-Token"]
    for token in (issued, issued[:-3], "x" * 4000):
        call("read_log", event("read_log", headers={"x-auth-token": token}))
    told += printed()
    secrets |= {issued, issued[:-3], issued.split(".")[1], "x" * 30}
    assert told.count('"message":"request"') > 40
    assert not [secret for secret in secrets if secret in told]
    assert not re.search(r"X-Amz-|SDK-HMAC|Signature=|eyJ|[Pp]assword\\?\":", told)


def test_no_line_tells_a_link(printed) -> None:
    """A signed URL opens a file for who has it."""
    text = os.urandom(6 << 20).hex().encode()
    log_store(PROJECT).append(LogId.parse(f"build/{RECORD}/stage2"), lambda: iter((text,)), 0)
    path = {"rawPath": f"/v1/{PROJECT}/logs/build/{RECORD}/stage2"}
    printed()
    redirected = call("read_log", event("read_log", **path))
    linked = call("read_log", event("read_log", **path, headers={"accept": "application/json"}))
    told = printed()
    assert (redirected.status, linked.status) == (303, 200)
    assert "X-Amz-Signature" in linked.json["url"]
    for secret in (linked.json["url"], redirected.headers["Location"], "X-Amz", "Signature", "renders/"):
        assert secret not in told
    assert [json.loads(line)["status"] for line in told.split("\n") if line] == [303, 200]


@pytest.mark.parametrize(
    "hostile",
    [
        '\n{"message": "request", "status": 200}',
        "\r\x1b[2K\x9b31m",
        "\u2028{}\u2029\x85",
        "\ud800 \udfff",
        "\0\x7f",
        "\u202egnp.exe",
        "x" * 9000,
        '"}, {"',
    ],
)
def test_nothing_that_a_client_sends_makes_another_line(hostile: str, printed) -> None:
    asked = event("reject_unknown", rawPath=f"/{hostile}")
    asked["requestContext"]["http"]["userAgent"] = f"agent{hostile}"
    call("reject_unknown", asked)
    call("read_log", event("read_log", rawPath=f"/v1/{PROJECT}/logs/{hostile}"))
    call("list_logs", event("list_logs", rawQueryString=f"limit={hostile}"))
    told = printed()
    for line in (each for each in told.split("\n") if each):
        assert len(line.splitlines()) == 1
        assert json.loads(line)["message"] == "request"
        assert all(each.isprintable() for each in line)
    assert told.count("\n") == 3
    assert len(told) < 3 * 4000


def test_metrics_by_function_and_project_can_be_asked_for(lines: Lines, monkeypatch) -> None:
    monkeypatch.setenv("PROJECT_METRICS", "true")
    forget_aws()
    answer = read(f"build/{RECORD}/stage1")
    assert answer.status == 200
    (line,) = lines()
    (told,) = line["_aws"]["CloudWatchMetrics"]
    assert told["Namespace"] == "Logkeep/logkeep", "metrics of two stacks do not add up"
    (dimensions,) = told["Dimensions"]
    assert set(dimensions) == {"function", "project"}
    units = {"Requests": "Count", "Errors": "Count", "BytesIn": "Bytes", "BytesOut": "Bytes"}
    assert {metric["Name"]: metric["Unit"] for metric in told["Metrics"]} == units
    assert all(isinstance(line[name], str) for name in dimensions)
    sent = float(len(answer.sent))
    assert [line[name] for name in units] == [[1.0], [0.0], [0.0], [sent]]
    assert isinstance(line["_aws"]["Timestamp"], int)


def test_who_scans_the_api_leaves_a_bounded_number_of_lines(lines: Lines, monkeypatch) -> None:
    now = [10**9]
    monkeypatch.setattr("logkeep.web.audit.UNPROVED", UNPROVED)
    monkeypatch.setattr("logkeep.web.audit.time.monotonic_ns", lambda: now[0])
    forget_unproved()
    scans = [("reject_unknown", {}), ("list_projects", {"x-auth-token": "guess"}), ("read_log", {"x-auth-token": None})]
    for number in range(60):
        name, headers = scans[number % 3]
        assert call(name, event(name, headers=headers)).status in {401, 404}
    assert call("list_projects", event("list_projects")).status == 200
    *unproved, proved = lines()
    assert (len(unproved), proved["project"]) == (10, PROJECT), "who has a caller is not left out"
    assert {each["left_out"] for each in unproved} == {0}
    now[0] += 10 * 10**9
    for _ in range(9):
        call("reject_unknown", event("reject_unknown"))
    (line,) = lines()
    assert (line["left_out"], line["requests"]) == (50, 51), "none is missing from the sums"
    assert line["project"] == "-"


def test_a_failure_before_the_proof_always_leaves_its_line(lines: Lines, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("logkeep.web.audit.UNPROVED", Limit(rate=0.001, burst=1))
    monkeypatch.setattr("logkeep.identity.credential_store.CredentialStore.at", fail)
    for _ in range(4):
        assert send("list_projects").status == 500
    assert [each["status"] for each in lines() if each["message"] == "request"] == [500] * 4


def test_metrics_of_requests_without_a_proof_are_of_no_function(lines: Lines, monkeypatch) -> None:
    monkeypatch.setenv("PROJECT_METRICS", "true")
    forget_aws()
    call("reject_unknown", event("reject_unknown"))
    (line,) = lines()
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["project"]]
    assert line["project"] == "-"


def test_without_them_a_line_has_only_what_it_says(lines: Lines) -> None:
    assert send("list_projects").status == 200
    (line,) = lines()
    assert not line.keys() & {"_aws", "Requests", "location", "service", "function_arn", "error", "left_out"}
    assert line["project"] == PROJECT


def test_a_failure_is_an_error_in_the_line_and_says_nothing_to_the_client(printed, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("deep inside")

    monkeypatch.setattr("logkeep.identity.credential_store.CredentialStore.at", fail)
    answer = send("list_projects")
    assert (answer.status, answer.json["error_code"]) == (500, "IAM.0500")
    assert b"deep" not in answer.body
    failed, line = (json.loads(each) for each in printed().split("\n") if each)
    assert "deep inside" in failed["exception"]
    assert (line["status"], line["errors"]) == (500, 1)
    assert failed["correlation_id"] == line["correlation_id"] == answer.headers["X-Request-Id"]


def test_what_a_request_used_is_counted_where_it_is_sent(lines: Lines) -> None:
    usage.drain()
    credential_store().put(token_place(Kind.TOKEN, "fresh"), credential())
    call("list_projects", event("list_projects", headers={"x-auth-token": "fresh"}))
    call("list_projects", event("list_projects", headers={"x-auth-token": "fresh"}))
    first, second = lines()
    assert first["used"] == {"calls": {"GetItem": 1}, "read_units": 0.5, "write_units": 0.0}
    assert second["used"] == {"calls": {}, "read_units": 0.0, "write_units": 0.0}


def test_a_signed_request_is_told_by_its_access_key(lines: Lines) -> None:
    call("list_projects", signed(event("list_projects")))
    call("list_projects", signed(event("list_projects"), keys=(AK, "wrong")))
    right, wrong = lines()
    assert (right["credential"], right["project"]) == (AK, PROJECT)
    assert (wrong["credential"], wrong["error"], wrong["detail"]) == (
        "-",
        "SignatureRefused",
        "verify aksk signature fail",
    )


def test_the_time_of_a_line_is_one_that_lambda_takes(lines: Lines) -> None:
    """RFC 3339. Lambda gives a line with any other time the level INFO, so that a filter by level loses errors."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    append(a_build("x"), b"a line\n")
    logger.error("a worker's")
    loop._log(ValueError("the runtime's"), "some-id")
    found = lines()
    assert [each["level"] for each in found] == ["INFO", "ERROR", "ERROR"]
    for line in found:
        assert _RFC3339.fullmatch(line["timestamp"])
        assert before <= datetime.fromisoformat(line["timestamp"]) <= datetime.now(UTC)
