"""What the vendors' clients raise when something is wrong: our code, message and request id, where they show them."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from huaweicloudsdkcodeartsbuild.v3 import CodeArtsBuildClient, DownloadTaskLogRequest
from huaweicloudsdkcodeartscheck.v2 import CodeArtsCheckClient
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException, ServerResponseException
from huaweicloudsdkcss.v1 import CssClient, ListLogsJobRequest
from huaweicloudsdkmodelarts.v1 import ModelArtsClient
from keystoneauth1 import exceptions as keystone
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from local.emulator import physical_name
from logkeep.identity.credentials import Kind, token_place, user_id
from tests.calls import PROJECT, credential
from tests.conformance.clients import (
    IGNORED,
    StreamResponse,
    aws,
    check_logs,
    client,
    empty_bucket,
    put_access_key,
    service_events,
    store_of,
)  # fmt: skip
from tests.local.service import Service, running

pytestmark = IGNORED
KEYS = {"ak": "OFNOISYPROJECT", "sk": "a-secret-of-the-noisy-project", "project_id": "noisy"}
GATEWAY = "Incorrect IAM authentication information: "


@pytest.fixture(scope="module")
def service(service: Service) -> Service:
    """With an expired token, a project that has used up its limit, and a file that is too large for an answer."""
    store_of(service).put(token_place(Kind.TOKEN, "expired"), credential(expires_at=1_600_000_000))
    put_access_key(service, KEYS["ak"], KEYS["sk"], KEYS["project_id"])
    store_of(service).put(token_place(Kind.TOKEN, "noisy"), credential(project="noisy"))
    empty_bucket(service, "project/noisy")
    empty_bucket(service, f"user/{user_id('noisy')}")
    with service.client() as sender:
        text = random.Random(1).randbytes(5 << 20)
        for log_id in (f"build/{LARGE['codeartsbuild']}/stage1", f"check/{LARGE['codeartscheck']}"):
            for start in range(0, len(text), 4 << 20):
                path = f"/v1/{PROJECT}/logs/{log_id}?offset={start}"
                sender.patch(path, content=text[start : start + (4 << 20)]).raise_for_status()
    return service


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Its tables were deleted while it ran, but those that prove a caller."""
    with running(tmp_path_factory.mktemp("broken")) as started:
        for name in ("LogsTable", "EventsTable", "BackupsTable"):
            aws(started, "dynamodb").delete_table(TableName=physical_name(name))
        yield started


# A call of each client, for an id that is there or not.
KINDS: dict[str, Any] = {
    "css": CssClient,
    "codeartsbuild": CodeArtsBuildClient,
    "codeartscheck": CodeArtsCheckClient,
    "modelarts": ModelArtsClient,
}
CALLS: dict[str, Callable[[Any, str], Any]] = {
    "css": lambda made, id: made.list_logs_job(ListLogsJobRequest(cluster_id=id)),
    "codeartsbuild": lambda made, id: made.download_task_log(DownloadTaskLogRequest(record_id=id, task_name="stage1")),
    "codeartscheck": check_logs,
    "modelarts": service_events,
}
UNKNOWN = {"css": "0" * 36, "codeartsbuild": "0" * 36, "codeartscheck": "0" * 32, "modelarts": "0" * 36}
LARGE = {"codeartsbuild": "e" * 36, "codeartscheck": "e" * 32}


def raised(made: Any, name: str, id: str) -> ClientRequestException:
    """What the call raises; it shows a request id."""
    with pytest.raises(ClientRequestException) as caught:
        CALLS[name](made, id)
    assert_named(caught.value)
    return caught.value


def in_the_end[E: Exception](work: Callable[[], object], kind: type[E], status: int) -> E:
    """What it raises with this status, once the few requests that a process lets pass are used up."""
    for _ in range(40):
        try:
            work()
        except kind as error:
            if getattr(error, "status_code", 0) == status:
                return error
    raise AssertionError(f"no {status}")


def body_of(error: Any) -> Any:
    """Of an error of OpenStack's clients."""
    return error.response.json()


def assert_named(error: Any) -> None:
    """It shows the request's id, which a user can tell us."""
    assert len(error.request_id) == 36


def shown(error: Any) -> tuple[int, str, str]:
    return error.status_code, error.error_code, error.error_msg


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_secret_and_an_unknown_key(service, name) -> None:
    wrong = raised(client(service, KINDS[name], sk="wrong"), name, UNKNOWN[name])
    assert shown(wrong) == (401, "APIGW.0301", GATEWAY + "verify aksk signature fail")
    nobody = raised(client(service, KINDS[name], ak="NOBODY"), name, UNKNOWN[name])
    assert shown(nobody) == (401, "APIGW.0301", GATEWAY + "Get secretKey failed,ak:NOBODY,err:ak not exist")


@pytest.mark.parametrize(
    ("name", "expired", "unknown"),
    [
        (
            "css",
            ("APIGW.0301", GATEWAY + "token expires, expires_at: 2020-09-13T12:26:40Z"),
            ("APIGW.0301", GATEWAY + "decrypt token fail"),
        ),
        (
            "codeartsbuild",
            ("APIGW.0301", GATEWAY + "token expires, expires_at: 2020-09-13T12:26:40Z"),
            ("APIGW.0301", GATEWAY + "decrypt token fail"),
        ),
        (
            "codeartscheck",
            ("CC.00000003", "Authentication information expired."),
            ("CC.00000003", "Authentication information expired."),
        ),
        (
            "modelarts",
            ("ModelArts.0202", "Token expired. expires_at: 2020-09-13T12:26:40Z"),
            ("ModelArts.0203", "Invalid token. the credential is not known"),
        ),
    ],
)
def test_an_expired_and_an_unknown_token(service, name, expired, unknown) -> None:
    for token, told in (("expired", expired), ("unknown", unknown)):
        assert shown(raised(client(service, KINDS[name], token), name, UNKNOWN[name])) == (401, *told)


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("css", "CSS.3027", "The cluster does not exist!"),
        ("codeartsbuild", "CB.00060404", "The build log does not exist:"),
        ("codeartscheck", "CC.00070400.404", ""),
        ("modelarts", "ModelArts.3502", f"Service {UNKNOWN['modelarts']} does not exist."),
    ],
)
def test_what_is_not_there(service, name, code, text) -> None:
    status, error_code, message = shown(raised(client(service, KINDS[name]), name, UNKNOWN[name]))
    assert (status, error_code) == (404, code)
    assert message.startswith(text)


@pytest.mark.parametrize(("name", "code"), [("codeartsbuild", "CB.00060413"), ("codeartscheck", "CC.00070400.413")])
def test_a_file_that_is_too_large_for_a_signed_client(service, name, code) -> None:
    status, error_code, message = shown(raised(client(service, KINDS[name]), name, LARGE[name]))
    assert (status, error_code) == (413, code)
    assert "Accept: application/json" in message


@pytest.mark.parametrize("name", CALLS)
def test_too_many_requests(service, name) -> None:
    """Of a GET's 429 the SDK shows the status alone: urllib3 takes the answer for one to be tried again."""
    made = client(service, KINDS[name], **KEYS)
    error = in_the_end(lambda: CALLS[name](made, UNKNOWN[name]), ClientRequestException, 429)
    assert error.error_code == "429"
    assert "too many 429 error responses" in error.error_msg
    assert not error.request_id


def test_too_many_requests_of_a_post_are_shown_whole(service) -> None:
    made = client(service, ModelArtsClient, **KEYS)
    made.model_package.Answer = StreamResponse

    def post() -> None:
        made.call_api(
            "/v1/noisy/services/s/events", "POST", header_params={}, body={"events": []}, response_type="Answer"
        )

    error = in_the_end(post, ClientRequestException, 429)
    assert error.error_code == "ModelArts.2799"
    assert error.error_msg == "Too many requests. limit:400, rate:100 per second"
    assert_named(error)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("css", ("CSS.0005", "Server error.")),
        ("codeartsbuild", ("CB.00060101", "Internal error.")),
        ("codeartscheck", ("CC.00070400.500", "Internal error.")),
        ("modelarts", ("ModelArts.0010", "Internal error.")),
    ],
)
def test_a_failure_of_ours(broken, name, told) -> None:
    with pytest.raises(ServerResponseException) as caught:
        CALLS[name](client(broken, KINDS[name]), UNKNOWN[name])
    assert shown(caught.value) == (500, *told)
    assert_named(caught.value)


# OpenStack's clients


def events_of(service: Service, token: str, project: str = PROJECT) -> Callable[[str], list[Any]]:
    """Of Open Telekom Cloud's client, with a token as a login leaves it."""
    import openstack
    from otcextensions import sdk

    auth = {"endpoint": service.demo["endpoint"], "token": token}
    connection = openstack.connect(auth_type="admin_token", auth=auth, region_name="local")
    sdk.register_otc_extensions(connection)
    proxy: Any = connection.modelartsv1  # type: ignore[attr-defined]  # made by register_otc_extensions
    proxy.endpoint_override = f"{service.demo['endpoint']}/v1/{project}"
    return lambda service_id: list(proxy.service_events(service_id))


@pytest.mark.parametrize(
    ("token", "project", "status", "code", "text"),
    [
        ("expired", PROJECT, 401, "ModelArts.0202", "Token expired."),
        ("unknown", PROJECT, 401, "ModelArts.0203", "Invalid token."),
        ("token", "another", 403, "ModelArts.0210", "The project id in the request URL does not match the token."),
        ("token", PROJECT, 404, "ModelArts.3502", f"Service {UNKNOWN['modelarts']} does not exist."),
    ],
)
def test_open_telekom_clouds_client_shows_a_refusal(service, token, project, status, code, text) -> None:
    from openstack import exceptions

    with pytest.raises(exceptions.HttpException, match=code) as caught:
        events_of(service, service.demo.get(token, token), project)(UNKNOWN["modelarts"])
    assert caught.value.status_code == status
    assert body_of(caught.value)["error_msg"].startswith(text), "of which it prints the code alone"
    assert_named(caught.value)


def test_open_telekom_clouds_client_shows_a_throttled_and_a_failed_request(service, broken) -> None:
    from openstack import exceptions

    made = events_of(service, "noisy", "noisy")
    error = in_the_end(lambda: made(UNKNOWN["modelarts"]), exceptions.HttpException, 429)
    assert body_of(error)["error_code"] == "ModelArts.2799"
    assert_named(error)
    with pytest.raises(exceptions.HttpException) as caught:
        events_of(broken, broken.demo["token"])(UNKNOWN["modelarts"])
    assert caught.value.status_code == 500
    assert body_of(caught.value)["error_code"] == "ModelArts.0010"
    assert_named(caught.value)


def log_in(service: Service, **changes: str) -> Session:
    who = {"username": service.demo["user"], "password": service.demo["password"], "project_id": PROJECT, **changes}
    session = Session(auth=v3.Password(f"{service.demo['endpoint']}/v3", user_domain_id="default", **who))
    session.get_token()
    return session


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"password": "wrong"}, keystone.Unauthorized, "The username or password is wrong."),
        ({"project_id": "another"}, keystone.Unauthorized, "The user has no such project."),
        ({"username": "noisy"}, keystone.TooManyRequests, "The throttling threshold has been reached"),
        ({"username": "x" * 256}, keystone.BadRequest, "at most 255 characters"),
        ({"password": "x" * 20_000}, keystone.RequestEntityTooLarge, "the body is larger than 16384 bytes"),
    ],
)
def test_keystones_client_shows_why_a_login_is_refused(service, changes, kind, text) -> None:
    with pytest.raises(kind) as caught:
        log_in(service, **changes)
    assert text in caught.value.message
    assert_named(caught.value)
    if kind in {keystone.TooManyRequests, keystone.RequestEntityTooLarge}:
        assert caught.value.retry_after == int(caught.value.response.headers.get("Retry-After", 0))


def test_keystones_client_shows_what_a_call_is_refused_for(service, broken) -> None:
    session = log_in(service)
    with pytest.raises(keystone.NotFound) as caught:
        session.get(f"{service.demo['endpoint']}/v1/{PROJECT}/services/{UNKNOWN['modelarts']}/events")
    assert body_of(caught.value)["error_code"] == "ModelArts.3502"
    assert_named(caught.value)
    with pytest.raises(keystone.InternalServerError) as failed:
        log_in(broken).get(f"{broken.demo['endpoint']}/v1/{PROJECT}/services/{UNKNOWN['modelarts']}/events")
    assert body_of(failed.value)["error_code"] == "ModelArts.0010"
    with without_credentials(broken), pytest.raises(keystone.InternalServerError, match=r"Internal error\."):
        log_in(broken)


@contextmanager
def without_credentials(service: Service) -> Iterator[None]:
    """Its table of credentials is deleted, and made again."""
    dynamodb, name = aws(service, "dynamodb"), physical_name("CredentialsTable")
    declared = dynamodb.describe_table(TableName=name)["Table"]
    kept = dynamodb.scan(TableName=name)["Items"]
    dynamodb.delete_table(TableName=name)
    try:
        yield
    finally:
        shape = {key: declared[key] for key in ("TableName", "KeySchema", "AttributeDefinitions")}
        dynamodb.create_table(**shape, BillingMode="PAY_PER_REQUEST")
        for item in kept:
            dynamodb.put_item(TableName=name, Item=item)


def test_an_expired_token_is_a_401_to_keystones_client_after_one_more_login(service) -> None:
    from keystoneauth1.token_endpoint import Token

    session = Session(auth=Token(service.demo["endpoint"], "expired"))
    with pytest.raises(keystone.Unauthorized) as caught:
        session.get(f"{service.demo['endpoint']}/v3/projects")
    assert caught.value.message.startswith(GATEWAY + "token expires, expires_at: 2020-09-13T12:26:40Z")
    assert_named(caught.value)


def test_a_gateway_that_refuses_by_itself_is_not_ours(service) -> None:
    """Beyond 10 MB API Gateway answers without a function, in its own shape."""
    with service.client() as sender:
        answer: httpx.Response = sender.patch(f"/v1/{PROJECT}/logs/build/x/stage1", content=bytes(11 << 20))
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Entity Too Large"})
