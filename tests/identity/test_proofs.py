"""Signed requests, as either gateway hands them over, and what each refusal says."""

import base64
import time
from typing import Any
from urllib.parse import quote

import pytest

from local.emulator import Emulator, values_of
from local.sample import AK, SK
from logkeep.identity.credential_store import credential_store
from logkeep.identity.credentials import Kind, access_key_place
from tests.calls import (
    PROJECT,
    RECORD,
    SUB_JOBS,
    TOKENS,
    Answer,
    a_build,
    append,
    binary,
    call,
    credential,
    event,
    log_request,
    put_events,
    read,
)  # fmt: skip
from tests.conftest import TEMPLATE, marked
from tests.faults import counted
from tests.rewinding import Rewinding
from tests.signing import FUNCTION_URL, GATEWAYS, HOST, send_signed, signed

pytestmark = pytest.mark.usefixtures("aws")
TEXT = b"2026-01-01 00:00:00 INFO a line\n"
REFUSED = "Incorrect IAM authentication information: "


def put_key(emulator: Emulator, id: str = AK, secret: str = SK, **changes: Any) -> None:
    key = values_of(TEMPLATE, emulator.endpoint)["CredentialsKey"]
    credential_store().put_access_key(credential(Kind.ACCESS_KEY, id=id, **changes), secret, key)


@pytest.fixture(scope="module")
def written(emulator: Rewinding, environment: dict[str, str]) -> None:
    with marked("access key", emulator, environment):
        put_key(emulator)
        append(f"build/{RECORD}/stage1", TEXT)


@pytest.fixture(autouse=True)
def access_key(written: None, aws: None, emulator: Rewinding) -> None:
    emulator.rewind("access key")


@pytest.fixture(params=GATEWAYS)
def gateway(request: pytest.FixtureRequest) -> str:
    return request.param


def told(answer: Answer) -> str:
    """The documented text behind its beginning."""
    assert (answer.status, answer.json["error_code"]) == (401, "APIGW.0301")
    assert answer.headers["X-Request-Id"]
    assert answer.json["error_msg"].startswith(REFUSED)
    return answer.json["error_msg"].removeprefix(REFUSED)


# What is right


def test_a_signature_proves_a_caller(gateway) -> None:
    answer = call("read_log", send_signed("read_log", gateway=gateway))
    assert (answer.status, answer.body) == (200, TEXT)


@pytest.mark.parametrize("more", ["", "&compress=true", "&log_level=INFO&log_level=INFO"])
def test_a_query_is_signed_whatever_is_in_it(gateway, more) -> None:
    query = f"task_name=stage1&note=a%20b%2Bc%2Fd%C3%A9~{more}"
    asked = signed(event("download_build_log", rawQueryString=query), gateway=gateway)
    answer = call("download_build_log", asked)
    assert answer.status == (400 if more.startswith("&log_level") else 200), answer.body


def test_repeated_keys_are_signed_each(gateway) -> None:
    for sub_job in SUB_JOBS:
        append(f"check/{sub_job}", TEXT)
    query = "&".join(f"sub_job_id={each}" for each in reversed(SUB_JOBS))
    asked = signed(event("download_check_logs", rawQueryString=query), gateway=gateway)
    assert call("download_check_logs", asked).status == 200
    asked["rawQueryString"] = asked["rawQueryString"].replace(SUB_JOBS[0], SUB_JOBS[1])
    assert told(call("download_check_logs", asked)) == "verify aksk signature fail"


def test_an_order_of_the_query_is_not_signed(gateway) -> None:
    """The canonical query is sorted, so a proxy may sort too, or not."""
    asked = signed(event("download_build_log", rawQueryString="task_name=stage1&compress=true"), gateway=gateway)
    assert asked["rawQueryString"] == "compress=true&task_name=stage1"
    asked["rawQueryString"] = "task_name=stage1&compress=true"
    assert call("download_build_log", asked).status == 200


@pytest.mark.parametrize(
    ("changes", "status"),
    [({}, 202), ({"isBase64Encoded": True, "body": base64.b64encode(TEXT).decode()}, 202)],
)
def test_a_body_is_signed_as_text_and_in_base64(gateway, changes, status) -> None:
    asked = event("append_log", rawPath=f"/v1/{PROJECT}/logs/{a_build('new')}", rawQueryString="offset=0", **changes)
    asked["headers"]["content-type"] = "application/json"
    asked = signed(asked, gateway=gateway)
    if "body" in changes:
        asked["headers"]["content-length"] = str(len(TEXT))
    assert call("append_log", asked).status == status
    asked["body"] = base64.b64encode(b"other").decode() if asked["isBase64Encoded"] else "other"
    assert told(call("append_log", asked)) == "verify aksk signature fail"


@pytest.mark.parametrize("arrived", [f"{HOST}:443", HOST])
def test_the_host_may_arrive_with_its_port_and_without(arrived) -> None:
    for signed_host in (HOST, f"{HOST}:443"):
        asked = send_signed("read_log", headers={"Host": signed_host})
        asked["headers"]["host"] = arrived
        assert call("read_log", asked).status == 200


def test_headers_may_be_signed_or_not_but_host_and_date() -> None:
    asked = send_signed("read_log", headers={"X-Mine": "1", "X-Project-Id": "another, as it may be"})
    assert call("read_log", asked).status == 200
    asked["headers"]["x-unsigned"] = "2"
    assert call("read_log", asked).status == 200
    asked["headers"]["x-mine"] = "2"
    assert told(call("read_log", asked)) == "verify aksk signature fail"
    del asked["headers"]["x-mine"]
    assert told(call("read_log", asked)) == "verify aksk signature fail, the signed header x-mine is missing"


def test_a_signature_counts_before_a_token() -> None:
    """SDKs sign whatever else they send: a right token does not heal a wrong signature."""
    token = {"X-Auth-Token": TOKENS[Kind.TOKEN]}
    assert call("read_log", send_signed("read_log", headers=token)).status == 200
    asked = send_signed("read_log", headers=token, keys=(AK, "wrong"))
    assert told(call("read_log", asked)) == "verify aksk signature fail"
    assert call("read_log", send_signed("read_log", headers={"X-Auth-Token": "nonsense"})).status == 200


@pytest.mark.parametrize(
    "authorization", ["Negotiate dTpw", "Bearers x", "sdk-hmac-sha256 Access=a", "AWS4-HMAC-SHA256 x"]
)
def test_another_scheme_leaves_it_to_the_token(authorization) -> None:
    assert call("read_log", event("read_log", headers={"authorization": authorization})).status == 200
    without = event("read_log", headers={"authorization": authorization, "x-auth-token": None})
    assert told(call("read_log", without)) == "x-auth-token not found"


def test_an_sdk_gets_no_redirect_and_no_second_read(gateway) -> None:
    """Its credential is read and its secret decrypted once, and then neither."""
    with counted() as counts:
        call("list_projects", send_signed("list_projects", gateway=gateway))
    assert counts == {"GetItem": 1, "Decrypt": 1}
    with counted() as counts:
        assert call("list_projects", send_signed("list_projects", gateway=gateway)).status == 200
    assert not counts


# What is wrong


def test_a_clock_may_be_a_quarter_of_an_hour_off_and_no_more(gateway) -> None:
    for seconds in (-899.0, 0, 899):
        assert call("read_log", send_signed("read_log", gateway=gateway, age=seconds)).status == 200
    for seconds in (-902.0, 902, 86400, time.time() - 253_402_300_799):  # the last second of 9999
        said = told(call("read_log", send_signed("read_log", gateway=gateway, age=seconds)))
        assert said.startswith("verify aksk signature fail, signature expired: x-sdk-date ")


def test_a_wrong_secret_an_unknown_and_a_disabled_key_are_refused(emulator, gateway) -> None:
    put_key(emulator, "DISABLED", "s", disabled=True)
    for keys, said in (
        ((AK, "wrong"), "verify aksk signature fail"),
        (("NOBODY", SK), "Get secretKey failed,ak:NOBODY,err:ak not exist"),
        (("DISABLED", "s"), "Get secretKey failed,ak:DISABLED,err:ak not exist"),
    ):
        assert told(call("read_log", send_signed("read_log", gateway=gateway, keys=keys))) == said


def test_only_who_has_the_secret_hears_that_its_key_has_expired(emulator) -> None:
    put_key(emulator, "OLD", "s", expires_at=1_600_000_000)
    expired = call("read_log", send_signed("read_log", keys=("OLD", "s")))
    assert told(expired) == "token expires, expires_at: 2020-09-13T12:26:40Z"
    assert told(call("read_log", send_signed("read_log", keys=("OLD", "x")))) == "verify aksk signature fail"


@pytest.mark.parametrize("id", ["user/x/1", "AK%2F", "é", "A" * 129, "../token", ""])
def test_an_access_key_leads_to_no_other_row(id) -> None:
    credential_store().put(access_key_place("x"), credential())
    asked = send_signed("read_log")
    asked["headers"]["authorization"] = asked["headers"]["authorization"].replace(AK, id)
    assert told(call("read_log", asked)) == "verify aksk signature fail, the Authorization header is malformed"


def test_other_algorithms_are_refused_by_name() -> None:
    asked = send_signed("read_log")
    asked["headers"]["authorization"] = asked["headers"]["authorization"].replace("SHA256", "SM3")
    said = "verify aksk signature fail, SDK-HMAC-SM3 is not supported, use SDK-HMAC-SHA256"
    assert told(call("read_log", asked)) == said


def test_json_must_be_signed_and_a_file_need_not(gateway) -> None:
    unsigned = {"X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD", "Content-Type": "application/json"}
    asked = signed(event("put_service_events"), gateway=gateway, headers=unsigned)
    assert told(call("put_service_events", asked)) == "verify aksk signature fail, the body must be signed"
    asked = signed(event("put_service_events"), gateway=gateway, headers={**unsigned, "Content-Type": "text/plain"})
    assert told(call("put_service_events", asked)) == "verify aksk signature fail, the body must be signed"
    asked = event("append_log", rawPath=f"/v1/{PROJECT}/logs/{a_build('file')}", rawQueryString="offset=0")
    asked["headers"]["content-type"] = "application/octet-stream"
    asked = signed(asked, gateway=gateway)
    assert asked["headers"]["x-sdk-content-sha256"] == "UNSIGNED-PAYLOAD", "as the SDK does for files"
    assert call("append_log", asked).status == 202


# An attacker's ideas


@pytest.mark.parametrize(
    "change",
    [
        {"rawPath": f"/v1/{PROJECT}/logs/build/{RECORD}/stage2"},
        {"rawPath": f"/v1/{PROJECT}/logs/build/{RECORD}/../{RECORD}/stage2"},
        {"rawQueryString": "offset=1"},
        {"rawQueryString": "&"},
        {"rawQueryString": "%00"},
    ],
)
def test_a_signature_is_good_for_its_own_request_alone(gateway, change) -> None:
    asked = send_signed("read_log", gateway=gateway) | change
    same = change.get("rawQueryString") == "&"  # holds nothing
    assert (call("read_log", asked).status == 200) is same


def test_a_signature_to_read_does_not_write() -> None:
    """The same path, of another method."""
    asked = send_signed("read_log")
    asked["requestContext"]["http"]["method"] = "PATCH"
    assert call("append_log", asked).status == 401
    assert read(f"build/{RECORD}/stage1").body == TEXT


def test_a_path_that_is_encoded_twice_leads_nowhere_else(gateway) -> None:
    """Either form of a path is taken, so what a signature is good for must have no percent sign left in it."""
    asked = send_signed("read_log", gateway=gateway)
    twice = asked["rawPath"].replace("stage1", quote(quote("stage1", safe="").replace("s", "%73"), safe=""))
    assert call("read_log", asked | {"rawPath": twice}).status in {400, 401, 404}


def test_behind_a_function_url_another_project_is_refused_too() -> None:
    """There the gateway finds no parameters in a path."""
    asked = event("list_logs", rawPath=f"/v1/{'f' * 32}/logs")
    asked = signed(asked, gateway="Function URL")
    assert "pathParameters" not in asked
    assert asked["headers"]["host"] == FUNCTION_URL
    assert call("list_logs", asked).status == 403


@pytest.mark.parametrize("name", ["authorization", "x-sdk-date", "user-agent", "content-type"])
def test_a_header_that_is_changed_or_sent_twice_is_a_401(name) -> None:
    sent = send_signed("read_log")["headers"][name]
    for value in ("", ",", "\0", "\ud800", "é" * 3000, f"{sent},{sent}", f"{sent}, {sent}"):
        asked = send_signed("read_log")
        asked["headers"][name] = value
        assert call("read_log", asked).status == 401


@pytest.mark.parametrize("field", ["rawPath", "rawQueryString", "method", "body"])
def test_half_of_a_surrogate_pair_or_a_nul_is_refused_anywhere(field) -> None:
    for hostile in ("\ud800", "\0"):
        asked = send_signed("put_service_events")
        if field == "method":
            asked["requestContext"]["http"]["method"] = f"POST{hostile}"
        else:
            asked[field] = str(asked[field]) + hostile
        assert call("put_service_events", asked).status in {400, 401, 404}


def test_a_header_with_an_underscore_is_not_the_one_with_a_dash() -> None:
    asked = send_signed("read_log")
    asked["headers"]["x_sdk_date"] = asked["headers"].pop("x-sdk-date")
    assert call("read_log", asked).status == 401


def test_what_a_client_forges_into_a_body_that_is_not_signed_is_found(gateway) -> None:
    asked = send_signed("put_service_events", gateway=gateway)
    assert call("put_service_events", asked).status == 200
    body = base64.b64encode(b"{}").decode() if asked["isBase64Encoded"] else "{}"
    assert call("put_service_events", asked | {"body": body}).status == 401
    assert call("put_service_events", asked | {"body": None}).status == 401
    put_events([])


def test_a_body_that_is_not_signed_is_taken_only_at_an_offset() -> None:
    """Else whoever sees the request could add other bytes with it, as often as they like."""
    unsigned = {"X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD", "Content-Type": "application/octet-stream"}
    for query, status in (("offset=0", 202), ("", 401)):
        asked = log_request("append_log", f"build/{RECORD}/stage8", query, **binary(b"text\n"))
        assert call("append_log", signed(asked, headers=unsigned)).status == status


def test_temporary_keys_are_refused() -> None:
    answer = call("list_logs", send_signed("list_logs", headers={"X-Security-Token": "of-a-session"}))
    assert answer.status == 401
    assert "x-security-token" in answer.json["error_msg"]


def test_a_plus_that_was_signed_stays_a_plus_and_one_of_a_form_is_a_blank() -> None:
    for info in ("a+b", "a b"):
        put_events([{"occur_time": 1_795_348_800_000, "event_type": "normal", "event_info": info}])
    asked = event("list_service_events-v2", rawQueryString="event_info_key=a%2Bb&limit=10")
    made = signed(asked)
    found = {
        query: call("list_service_events", {**made, "rawQueryString": query})
        for query in ("event_info_key=a%2Bb&limit=10", "event_info_key=a+b&limit=10")
    }
    assert {tuple(each["event_info"] for each in answer.json["data"]) for answer in found.values()} == {("a+b",)}
    asked = event("list_service_events-v2", rawQueryString="event_info_key=a+b&limit=10")
    assert [each["event_info"] for each in call("list_service_events", asked).json["data"]] == ["a b"]


@pytest.mark.parametrize("name", ["list_projects", "list_logs", "show_api_versions"])
def test_a_last_slash_changes_nothing(name: str) -> None:
    asked = event(name)
    with_slash = {**asked, "rawPath": asked["rawPath"] + "/"}
    assert call(name, with_slash).json == call(name, asked).json
    assert call(name, with_slash).status == 200
